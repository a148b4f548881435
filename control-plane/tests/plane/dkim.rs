//! Signatures of mails as dkimpy verifies them, after a real SMTP server took the mail.

use std::path::{Path, PathBuf};

use control_plane::{DkimConfig, SmtpSecurity};
use serde_json::Value;

use crate::mail::{Server, python, running, script};
use crate::support::{arrival, number};

/// Makes a private key as operators do.
fn key(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let made = std::process::Command::new("openssl")
        .args(arguments)
        .arg("-out")
        .arg(&path)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(made.success(), "{arguments:?}");
    path
}

#[tokio::test]
async fn a_mail_is_signed_with_rsa_and_ed25519_and_a_change_breaks_both() {
    let keys = tempfile::tempdir().unwrap();
    let rsa = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let selectors = [
        ("rsa2026", key(keys.path(), "rsa.pem", &rsa)),
        ("ed2026", key(keys.path(), "ed.pem", &["genpkey", "-algorithm", "ED25519"])),
    ];
    let mut server = Server::start("plain").await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = server.config(SmtpSecurity::Plain, "");
    config.dkim = selectors
        .iter()
        .map(|(selector, key_file)| DkimConfig {
            domain: "example.jp".to_owned(),
            selector: (*selector).to_owned(),
            key_file: key_file.clone(),
        })
        .collect();
    let centre = running(folder.path(), config).await;
    let mailbox = centre.mailbox("+815012345678", &["owner@example.jp"]).await;
    centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
    let stored = server.next().await;
    centre.stop().await;
    let mut verify = std::process::Command::new(python());
    verify.arg(script("verify_dkim.py")).arg(stored["file"].as_str().unwrap()).arg("example.jp");
    for (selector, key_file) in &selectors {
        verify.arg(selector).arg(key_file);
    }
    let output = verify.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let signatures = verdict["signatures"].as_array().unwrap();
    let algorithms: Vec<_> =
        signatures.iter().map(|one| (one["algorithm"].as_str().unwrap(), &one["holds"])).collect();
    assert_eq!(algorithms, [("rsa-sha256", &true.into()), ("ed25519-sha256", &true.into())]);
    for signature in signatures {
        let signed = signature["signed"].as_array().unwrap();
        for header in ["from", "to", "subject", "date", "message-id", "content-type"] {
            assert!(signed.contains(&header.into()), "{header} is not signed");
        }
    }
    let none = serde_json::json!([false, false]);
    assert_eq!((&verdict["changed_body"], &verdict["changed_subject"]), (&none, &none));
}
