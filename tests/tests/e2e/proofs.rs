//! What the operator proves at the command line: the audit log is whole, a receipt of a deletion
//! holds, and the master key can be changed under everything that was sealed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusuden_tests::fleet::{Fleet, Plan};
use rusuden_tests::service::{Service, is_transcribed, wait_for};
use serde_json::json;

/// Standard output, or standard error of a command that failed.
fn said(arguments: &[&str]) -> Result<String, String> {
    let output = crate::cli::rusuden(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn verify_audit(data: &Path, head: Option<&str>) -> Result<String, String> {
    let mut arguments = vec!["audit", "verify", "--data-dir", data.to_str().unwrap()];
    arguments.extend(head.iter().flat_map(|head| ["--head", head]));
    said(&arguments).map(|text| text.trim().to_owned())
}

/// What somebody with the database file in hands does behind the service's back.
fn tamper(data: &Path, statement: &str) {
    let script = "import sqlite3, sys\n\
                  db = sqlite3.connect(sys.argv[1])\n\
                  db.executescript(sys.argv[2])\n\
                  db.commit()";
    let file = data.join("rusuden.db");
    let done = Command::new("python3").args(["-c", script]).arg(file).arg(statement).status();
    assert!(done.unwrap().success());
}

fn set_flag(service: &Service, line: &str) {
    let path = format!("/v1/lines/{line}/flags/arrears");
    let answer = service.request("PUT", &path, Some(&json!({ "reason": "two months unpaid" })));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

#[test]
fn the_audit_log_shows_what_was_changed_in_it_or_taken_from_it() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let service = Service::start(data, "");
    set_flag(&service, "+819000000001");
    let early = verify_audit(data, None).expect("a running service does not hinder");
    set_flag(&service, "+819000000002");
    service.stop();
    let late = verify_audit(data, Some(&early)).expect("the log has grown behind the head");
    assert_ne!(early, late);

    let refused = said(&["audit", "verify", "--head", "7:abc", "--data-dir", "x"]).unwrap_err();
    assert!(refused.contains("64 hex digits"), "{refused}");

    let last = "(SELECT max(seq) FROM audit)";
    tamper(data, &format!("DROP TRIGGER audit_keeps; DELETE FROM audit WHERE seq = {last}"));
    verify_audit(data, None).expect("without a head nobody can tell that the end is missing");
    let gone = verify_audit(data, Some(&late)).unwrap_err();
    assert!(gone.contains("taken away"), "{gone}");

    tamper(
        data,
        &format!("DROP TRIGGER audit_stays; UPDATE audit SET detail = '{{}}' WHERE seq = {last}"),
    );
    let broken = verify_audit(data, None).unwrap_err();
    assert!(broken.contains("changed after it was written"), "{broken}");
}

/// S54: the receipt that everything is gone.
#[test]
fn s54_a_receipt_verifies_offline_and_a_changed_one_does_not() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), "");
    let mailbox = service.make_mailbox("05077770001", &json!({}));
    let path = format!("/v1/mailboxes/{mailbox}");
    assert_eq!(service.request("DELETE", &path, None).status, 204);
    let receipt = wait_for("the receipt", || {
        let answer = service.request("GET", &format!("/v1/deletions/{mailbox}"), None);
        (answer.status == 200).then(|| answer.json())
    });
    let key = service.request("GET", "/v1/receipt-key", None).body;
    service.stop();

    let [key_file, receipt_file] = ["key.pem", "receipt.json"].map(|name| folder.path().join(name));
    std::fs::write(&key_file, &key).unwrap();
    let verify = |receipt: &serde_json::Value| {
        std::fs::write(&receipt_file, serde_json::to_vec_pretty(receipt).unwrap()).unwrap();
        let [receipt, key] = [&receipt_file, &key_file].map(|file| file.to_str().unwrap());
        said(&["receipt", "verify", receipt, "--key", key])
    };
    let said = verify(&receipt).unwrap();
    assert!(said.contains(&mailbox) && said.contains("0 messages"), "{said}");
    let mut changed = receipt.clone();
    changed["receipt"]["deleted"]["messages"] = 1.into();
    let refused = verify(&changed).unwrap_err();
    assert!(refused.contains("the receipt was changed"), "{refused}");
    std::fs::write(&key_file, "no key").unwrap();
    let refused = verify(&receipt).unwrap_err();
    assert!(refused.contains("BEGIN PUBLIC KEY"), "{refused}");
}

#[test]
fn a_new_master_key_opens_what_the_old_one_had_closed() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let service = Service::start(data, "");
    let mailbox =
        service.make_mailbox("05077770002", &json!({ "greeting": "none", "beep": false }));
    let plan = Plan {
        from: "09011110000".to_owned(),
        to: "05077770002".to_owned(),
        at: Duration::ZERO,
        frames: (0..100).map(|n: usize| vec![n as u8; 160]).collect(),
        hangs_up: true,
    };
    Fleet::new(service.sip_udp, "sealed", vec![plan]).run(|_, _| false);
    let message = service.wait_for_messages(&mailbox, 1, is_transcribed).remove(0);
    let audio = format!("/v1/messages/{}/audio.mp3", message["id"].as_str().unwrap());
    let sound = service.request("GET", &audio, None);
    assert_eq!(sound.status, 200);

    let master = data.join("keys").join("master.key");
    let old = std::fs::read(&master).unwrap();
    let rotate = || said(&["key", "rotate-master", "--data-dir", data.to_str().unwrap()]);
    let said = rotate().expect("a running service does not hinder");
    assert!(said.starts_with("1 data keys are wrapped"), "{said}");
    assert_ne!(std::fs::read(&master).unwrap(), old);
    assert_eq!(service.request("GET", &audio, None).body, sound.body, "while it runs");
    service.stop();

    let service = Service::start(data, "");
    assert_eq!(service.request("GET", &audio, None).body, sound.body, "after a restart");
    service.stop();
    std::fs::write(&master, &old).unwrap();
    let said = rotate().unwrap_err();
    assert!(said.contains("master key"), "the old key opens nothing any more: {said}");
}
