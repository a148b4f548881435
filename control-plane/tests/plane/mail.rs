//! Mails as a real SMTP server (aiosmtpd) takes them and Python's email package reads them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use control_plane::{PlaneConfig, SmtpConfig, SmtpSecurity};
use engine_core::caller::Caller;
use engine_core::id::RecordingId;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::{Centre, arrival, mp3, number};

/// A Python that has aiosmtpd and dkimpy.
pub(crate) fn python() -> &'static str {
    let has_it = |python: &&str| {
        let tried = std::process::Command::new(python)
            .args(["-c", "import aiosmtpd, dkim, nacl"])
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has_it)
        .expect("these tests need aiosmtpd and dkimpy: run `scripts/setup test`")
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// What Python reads in these files.
pub(crate) fn parse(files: &[PathBuf]) -> Vec<Value> {
    let output = std::process::Command::new(python())
        .arg(script("read_mail.py"))
        .args(files)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A mail server in its own process; ended when dropped.
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Server {
    pub(crate) async fn start(security: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(python())
            .arg(script("smtp_server.py"))
            .arg(folder.path())
            .arg(security)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().expect("the mail server did not start");
        Self { folder, port: port.parse().unwrap(), lines, _process: process }
    }

    /// What the server did next.
    pub(crate) async fn next(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("the mail server ended");
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn config(&self, security: SmtpSecurity, password: &str) -> PlaneConfig {
        let secure = security != SmtpSecurity::Plain;
        let smtp = SmtpConfig {
            host: "localhost".to_owned(),
            port: Some(self.port),
            security,
            user: secure.then(|| "user".to_owned()),
            password: secure.then(|| password.to_owned()),
            ca_file: secure.then(|| self.folder.path().join("cert.pem")),
        };
        PlaneConfig {
            smtp: Some(smtp),
            mail_from: "留守番電話 <rusuden@example.jp>".to_owned(),
            public_url: Some("https://rusuden.example".to_owned()),
            ..PlaneConfig::default()
        }
    }
}

/// A running service with an engine that answers everything.
pub(crate) async fn running(folder: &Path, config: PlaneConfig) -> Centre {
    let centre = Centre::open(folder, config).await;
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    centre
}

/// Checks what S03 asks of a mail.
fn check_mail(mail: &Value) {
    assert_eq!(mail["subject"], "【留守番電話】090-1234-5678からメッセージがあります");
    assert_eq!(mail["from"], "留守番電話 <rusuden@example.jp>");
    let body = mail["body"].as_str().unwrap();
    let wanted =
        ["明日の会議は十時からです。", "認識結果は必ずしも正確ではありません", "44円", "5秒"];
    for want in
        wanted.into_iter().chain(["2026年11月23日(月) 00時03分", "https://rusuden.example/"])
    {
        assert!(body.contains(want), "{want} is missing in {body}");
    }
    let sound = &mail["attachments"][0];
    assert_eq!(sound["file"], "留守番電話_20261123_000334.mp3");
    assert_eq!(sound["type"], "audio/mpeg");
    assert_eq!(sound["sha256"], hex::encode(Sha256::digest(mp3())));
    assert_eq!(mail["auto_submitted"], "auto-generated");
    assert!(mail["message_id"].as_str().unwrap().ends_with("@example.jp>"));
    assert_eq!(mail["defects"], serde_json::json!([]));
}

#[tokio::test]
async fn s03_a_mail_carries_text_and_sound_and_an_independent_parser_reads_it() {
    let mut server = Server::start("plain").await;
    let folder = tempfile::tempdir().unwrap();
    let centre = running(folder.path(), server.config(SmtpSecurity::Plain, "")).await;
    let mailbox = centre.mailbox("+815012345678", &["owner@example.jp"]).await;
    centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
    let stored = server.next().await;
    assert_eq!(stored["to"], serde_json::json!(["owner@example.jp"]));
    let mail = &parse(&[stored["file"].as_str().unwrap().into()])[0];
    check_mail(mail);
    assert_eq!(mail["to"], "owner@example.jp");
    let row = centre.wait_for(RecordingId::from_u128(1), |row| !row["notified_at"].is_null());
    row.await;
    centre.stop().await;
}

#[tokio::test]
async fn mails_leave_over_starttls_and_tls_with_a_login() {
    for (name, security) in [("starttls", SmtpSecurity::Starttls), ("tls", SmtpSecurity::Tls)] {
        let mut server = Server::start(name).await;
        let folder = tempfile::tempdir().unwrap();
        let centre = running(folder.path(), server.config(security, "secret")).await;
        let mailbox = centre.mailbox("+815012345678", &["owner@example.jp"]).await;
        centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
        let stored = server.next().await;
        assert_eq!((&stored["tls"], &stored["login"]), (&true.into(), &true.into()), "{name}");
        check_mail(&parse(&[stored["file"].as_str().unwrap().into()])[0]);
        centre.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_keeps_the_mail_for_later() {
    let mut server = Server::start("starttls").await;
    let folder = tempfile::tempdir().unwrap();
    let centre = running(folder.path(), server.config(SmtpSecurity::Starttls, "wrong")).await;
    let mailbox = centre.mailbox("+815012345678", &["owner@example.jp"]).await;
    centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
    for _ in 0..2 {
        assert_eq!(server.next().await["code"], 535, "it is tried again");
    }
    centre.stop().await;
    // The operator mends the password: the mail leaves.
    let centre = running(folder.path(), server.config(SmtpSecurity::Starttls, "secret")).await;
    while server.next().await["event"] != "stored" {}
    centre.stop().await;
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_refusal_is_final() {
    let mut server = Server::start("plain").await;
    let folder = tempfile::tempdir().unwrap();
    let centre = running(folder.path(), server.config(SmtpSecurity::Plain, "")).await;
    let targets = ["busy@example.jp", "gone@example.jp"];
    let mailbox = centre.mailbox("+815012345678", &targets).await;
    centre.arrive(&arrival(1, mailbox, Caller::Payphone)).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let line = server.next().await;
        seen.push((line["event"].clone(), line["code"].clone()));
    }
    let count = |event: &str, code: Value| {
        seen.iter().filter(|s| **s == (event.into(), code.clone())).count()
    };
    assert_eq!(count("refused", 451.into()), 1);
    assert_eq!(count("refused", 550.into()), 1, "it is never tried again");
    assert_eq!(count("stored", Value::Null), 1);
    centre.stop().await;
}

/// S09.
#[tokio::test]
async fn without_a_server_mails_land_as_files_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let centre = running(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp", "b@example.jp"]).await;
    let english = serde_json::json!({"language": "en"});
    let path = format!("/v1/mailboxes/{mailbox}");
    assert_eq!(centre.json("PATCH", &path, english).await.0, 200);
    let arrival = arrival(1, mailbox, Caller::Withheld);
    for _ in 0..2 {
        centre.arrive(&arrival).await;
    }
    centre.stop().await;
    let files: Vec<PathBuf> = std::fs::read_dir(folder.path().join("mail"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let mut to: Vec<_> = parse(&files).iter().map(|mail| mail["to"].clone()).collect();
    to.sort_by_key(ToString::to_string);
    assert_eq!(to, ["a@example.jp", "b@example.jp"]);
    let first = &parse(&files)[0];
    assert_eq!(first["subject"], "[Voicemail] Message from Withheld number");
    assert!(first["attachments"][0]["file"].as_str().unwrap().starts_with("voicemail_2026"));
}
