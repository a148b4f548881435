//! Privacy at rest: what lies on the disk while a mailbox lives, and that nothing can be read once
//! it is deleted (S56, S57), also from backups taken before.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control_plane::receipt::verify;
use control_plane::vault::{Held, Vault, VaultConfig};
use control_plane::{ControlPlane, PlaneConfig};
use engine_core::id::{MailboxId, RecordingId};
use serde_json::{Value, json};

use crate::support::{Centre, arrival, mp3, number, payloads};

const NUMBER: &str = "+819087654321";
const ADDRESS: &str = "very.private@example.jp";
const HOTWORD: &str = "内緒の名前";
const GREETING: &str = "RIFF my own voice, nobody else's";

/// What must not be found, in every form in which it might lie somewhere.
fn secrets() -> Vec<(String, Vec<u8>)> {
    let text = "明日の会議は";
    let mut secrets = vec![
        ("the text".to_owned(), text.as_bytes().to_vec()),
        ("the text in UTF-16".to_owned(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("the number".to_owned(), NUMBER.as_bytes()[1..].to_vec()),
        ("the number as it is dialled".to_owned(), b"09087654321".to_vec()),
        ("the address".to_owned(), ADDRESS.as_bytes().to_vec()),
        ("the hotword".to_owned(), HOTWORD.as_bytes().to_vec()),
        ("the MP3".to_owned(), mp3()[1_000..1_064].to_vec()),
        ("the recording".to_owned(), payloads()[100].clone()),
        ("the greeting".to_owned(), GREETING.as_bytes().to_vec()),
    ];
    for at in 0..3 {
        // Base64 of the middle, at each of the three offsets.
        let encoded = |bytes: &[u8]| STANDARD.encode(bytes).as_bytes()[..32].to_vec();
        secrets.push((format!("the MP3 in base64, {at}"), encoded(&mp3()[999 + at..1_064])));
        secrets.push((
            format!("the text in base64, {at}"),
            encoded(&"明日の会議は十時からです。".as_bytes()[at..]),
        ));
    }
    secrets
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Every secret that can be read in the files of a folder, with the file.
fn found(folder: &Path, but: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(folder) {
        let name = file.strip_prefix(folder).unwrap().display().to_string();
        if but.iter().any(|part| name.starts_with(part)) {
            continue;
        }
        let bytes = std::fs::read(&file).unwrap();
        for (what, secret) in secrets() {
            if bytes.windows(secret.len()).any(|window| window == secret) {
                found.push(format!("{what} in {name}"));
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}

/// Database (with its log) and sound, as a backup of the data folder takes them: not the keys.
fn back_up(data: &Path, backup: &Path) {
    for entry in std::fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with("rusuden.db") {
            std::fs::copy(entry.path(), backup.join(name)).unwrap();
        }
    }
    copy(&data.join("objects"), &backup.join("objects"));
}

/// A mailbox with everything: a message with text, sound and number, an address, a greeting.
async fn fill(centre: &Centre) -> (MailboxId, RecordingId) {
    let mailbox = centre.mailbox("+815012345678", &[ADDRESS]).await;
    let words = json!({ "hotwords": [HOTWORD] });
    centre.json("PATCH", &format!("/v1/mailboxes/{mailbox}"), words).await;
    let greeting = centre.request("PUT", &format!("/v1/mailboxes/{mailbox}/greeting"));
    let greeting = greeting.header("content-type", "audio/wav").body(GREETING);
    assert_eq!(greeting.send().await.unwrap().status(), 200);
    let arrival = arrival(1, mailbox, number(NUMBER));
    centre.arrive(&arrival).await;
    let message = arrival.opened.recording;
    centre.wait_for(message, |row| !row["notified_at"].is_null()).await;
    (mailbox, message)
}

async fn delete(centre: &Centre, mailbox: MailboxId) -> Value {
    let path = format!("/v1/mailboxes/{mailbox}");
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    receipt(centre, mailbox).await
}

/// Waits for the receipt of a deletion.
async fn receipt(centre: &Centre, mailbox: MailboxId) -> Value {
    loop {
        let (status, answer) = centre.get(&format!("/v1/deletions/{mailbox}")).await;
        if status == 200 {
            return answer;
        }
        assert_eq!((status, &answer["code"]), (409, &"not_ready".into()), "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// S56 and S57.
#[tokio::test]
async fn s57_after_a_deletion_nothing_is_left_on_the_disk_and_the_receipt_verifies() {
    let (folder, centre) = Centre::running().await;
    let (mailbox, message) = fill(&centre).await;
    let data = folder.path();
    // Mails wait in clear for whoever fetches them from the folder; all else is sealed at rest.
    assert_eq!(found(data, &["mail"]), Vec::<String>::new());
    let (status, row) = centre.get(&format!("/v1/messages/{message}")).await;
    assert_eq!((status, &row["caller"]["number"]), (200, &NUMBER.into()));
    assert_eq!(centre.get(&format!("/v1/deletions/{mailbox}")).await.0, 404);

    let signed = delete(&centre, mailbox).await;
    let wanted = json!({"messages": 1, "texts": 1, "caller_numbers": 1, "recordings": 1,
        "mp3s": 1, "greetings": 1});
    assert_eq!(signed["receipt"]["deleted"], wanted);
    assert_eq!(signed["receipt"]["mailbox"], mailbox.to_string());
    assert!(signed["receipt"]["data_key"].is_string());
    let key = centre.request("GET", "/v1/receipt-key").send().await.unwrap().text().await.unwrap();
    assert_eq!(std::fs::read_to_string(data.join("keys/receipt.pub")).unwrap(), key);
    let receipt = verify(&signed.to_string(), &key).unwrap();
    assert_eq!(receipt.mailbox(), Some(mailbox));
    for path in [format!("/v1/mailboxes/{mailbox}"), format!("/v1/messages/{message}")] {
        assert_eq!(centre.get(&path).await.0, 410, "{path}");
    }
    assert_eq!(found(data, &[]), Vec::<String>::new(), "while the service runs");
    centre.stop().await;
    assert_eq!(found(data, &[]), Vec::<String>::new());
}

#[tokio::test]
async fn s57_a_backup_taken_before_the_deletion_cannot_be_read_after_it() {
    let (folder, centre) = Centre::running().await;
    let (mailbox, message) = fill(&centre).await;
    let data = folder.path().to_owned();
    let backup = tempfile::tempdir().unwrap();
    back_up(&data, backup.path());
    assert_eq!(found(backup.path(), &[]), Vec::<String>::new());
    // The backup is whole: with the keys as they are now, it reads.
    let whole = tempfile::tempdir().unwrap();
    copy(backup.path(), whole.path());
    copy(&data.join("keys"), &whole.path().join("keys"));
    let restored = Centre::open(whole.path(), PlaneConfig::default()).await;
    let (_, row) = restored.get(&format!("/v1/messages/{message}")).await;
    assert_eq!(row["caller"]["number"], NUMBER, "or this test would prove nothing");
    restored.stop().await;

    delete(&centre, mailbox).await;
    centre.stop().await;

    // With the master key and all that is left in the key file, it does not.
    copy(&data.join("keys"), &backup.path().join("keys"));
    assert!(backup.path().join("keys/master.key").exists());
    let vault = Vault::new(backup.path(), &VaultConfig::default());
    assert!(matches!(vault.look_up(mailbox).await.unwrap(), Held::Destroyed { .. }));
    vault.close().await;
    let restored = Centre::open(backup.path(), PlaneConfig::default()).await;
    for path in [
        format!("/v1/mailboxes/{mailbox}"),
        format!("/v1/mailboxes/{mailbox}/messages"),
        format!("/v1/mailboxes/{mailbox}/greeting"),
        format!("/v1/messages/{message}"),
        format!("/v1/messages/{message}/audio.mp3"),
        format!("/v1/messages/{message}/recording"),
    ] {
        assert_eq!(restored.get(&path).await.0, 410, "{path}");
    }
    assert_eq!(restored.plane.directory().mailbox("+815012345678").await.unwrap(), None);
    // What came back is deleted again, with a receipt of its own.
    restored.plane.run_background().await.unwrap();
    receipt(&restored, mailbox).await;
    restored.stop().await;
    assert_eq!(found(backup.path(), &[]), Vec::<String>::new());
}

#[tokio::test]
async fn keys_that_come_back_out_of_a_backup_are_destroyed_at_the_start() {
    let (folder, centre) = Centre::running().await;
    let (mailbox, _) = fill(&centre).await;
    let old_keys = tempfile::tempdir().unwrap();
    copy(&folder.path().join("keys"), old_keys.path());
    delete(&centre, mailbox).await;
    centre.stop().await;
    std::fs::remove_dir_all(folder.path().join("keys")).unwrap();
    copy(old_keys.path(), &folder.path().join("keys"));
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let vault = Vault::new(folder.path(), &VaultConfig::default());
    assert!(matches!(vault.look_up(mailbox).await.unwrap(), Held::Destroyed { .. }));
    centre.stop().await;
}

#[tokio::test]
async fn a_database_does_not_start_with_another_ones_keys() {
    let (folder, centre) = Centre::running().await;
    fill(&centre).await;
    centre.stop().await;
    std::fs::remove_dir_all(folder.path().join("keys")).unwrap();
    let (_, arrivals) = crossbeam::channel::bounded(1);
    let (work, _) = crossbeam::channel::bounded(1);
    let deps = control_plane::PlaneDeps {
        arrivals,
        acks: std::sync::Arc::default(),
        work,
        files: crossbeam::channel::bounded(1).0,
        sounds: std::sync::Arc::new(crate::support::Bank::default()),
    };
    let error = ControlPlane::open(PlaneConfig::default(), folder.path(), deps).await.unwrap_err();
    assert!(error.to_string().contains("put the right one back"), "{error}");
}

#[tokio::test]
async fn a_new_master_key_leaves_everything_readable_while_the_service_runs() {
    let (folder, centre) = Centre::running().await;
    let (mailbox, message) = fill(&centre).await;
    let command = Vault::new(folder.path(), &VaultConfig::default());
    let rotation = command.rotate_master().await.unwrap();
    assert_eq!((rotation.rewrapped, rotation.retired.len()), (1, 1));
    command.close().await;
    let other = centre.mailbox("+815012345679", &["b@example.jp"]).await;
    assert_eq!(centre.get(&format!("/v1/mailboxes/{other}")).await.0, 200);
    centre.stop().await;
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let (_, row) = centre.get(&format!("/v1/messages/{message}")).await;
    assert_eq!(row["text"], "明日の会議は十時からです。");
    let (_, row) = centre.get(&format!("/v1/mailboxes/{mailbox}")).await;
    assert_eq!(row["addresses"], json!([ADDRESS]));
    let sound = centre.request("GET", &format!("/v1/messages/{message}/audio.mp3"));
    let part = sound.header("range", "bytes=100-199").send().await.unwrap();
    assert_eq!(
        (part.status(), &part.bytes().await.unwrap()[..]),
        (reqwest::StatusCode::PARTIAL_CONTENT, &mp3()[100..200])
    );
    centre.stop().await;
}

#[tokio::test]
async fn a_mailbox_that_never_held_anything_has_a_receipt_too() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let signed = delete(&centre, mailbox).await;
    assert_eq!(signed["receipt"]["deleted"]["messages"], 0);
    assert_eq!(signed["receipt"].get("data_key"), None);
    let path = format!("/v1/deletions/{}", MailboxId::from_u128(404));
    assert_eq!(centre.get(&path).await.0, 404);
    centre.stop().await;
}

#[tokio::test]
async fn a_deletion_that_a_crash_cut_off_is_finished_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &[ADDRESS]).await;
    let path = format!("/v1/mailboxes/{mailbox}");
    // No worker runs: the rows are deleted, the jobs wait.
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(centre.get(&format!("/v1/deletions/{mailbox}")).await.0, 409);
    centre.stop().await;
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    centre.plane.run_background().await.unwrap();
    receipt(&centre, mailbox).await;
    centre.stop().await;
}
