//! Export of everything that a mailbox holds, read by Python's zipfile.

use std::path::Path;

use serde_json::{Value, json};

use crate::subscriber::App;
use crate::support::{Centre, arrival, mp3, number};

/// Names, and contents by name, as an independent reader finds them.
async fn contents(archive: &Path) -> Value {
    let script = "import sys, zipfile, json\nz = zipfile.ZipFile(sys.argv[1])\n\
        assert z.testzip() is None\n\
        print(json.dumps({n: z.read(n).decode('latin-1') for n in z.namelist()}))\n";
    let mut python = tokio::process::Command::new("python3");
    let output = python.args(["-c", script]).arg(archive).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn bytes(contents: &Value, name: &str) -> Vec<u8> {
    contents[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}"))
        .chars()
        .map(|c| c as u8)
        .collect()
}

fn parsed(contents: &Value, name: &str) -> Value {
    serde_json::from_slice(&bytes(contents, name)).unwrap()
}

#[tokio::test]
async fn everything_of_a_mailbox_is_given_as_one_archive() {
    let (folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    let other = centre.mailbox("+815012345679", &[]).await;
    let base = format!("/v1/mailboxes/{mailbox}");
    let greeting = centre.request("PUT", &format!("{base}/greeting"));
    let greeting = greeting.header("content-type", "audio/wav").body("RIFF hello");
    assert_eq!(greeting.send().await.unwrap().status(), 200);
    let block = json!({"number": "09011112222"});
    centre.json("POST", &format!("{base}/blocked-callers"), block).await;
    // More than one page of messages.
    for id in 1..=53 {
        centre.arrive(&arrival(id, mailbox, number("+819012345678"))).await;
    }
    let foreign = arrival(99, other, number("+819012345678"));
    centre.arrive(&foreign).await;
    for id in 1..=53 {
        centre.reach(engine_core::id::RecordingId::from_u128(id), "transcribed").await;
    }

    let response = centre.request("GET", &format!("{base}/export")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/zip");
    let name = response.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(name.starts_with("attachment; filename=\"rusuden-20"), "{name}");
    assert!(!response.headers().contains_key("content-length"), "it is sent while it is made");
    let file = folder.path().join("export.zip");
    std::fs::write(&file, response.bytes().await.unwrap()).unwrap();

    let found = contents(&file).await;
    let names: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 6 + 53 * 3, "{names:?}");
    assert_eq!(bytes(&found, "greeting.wav"), b"RIFF hello");
    assert_eq!(parsed(&found, "devices.json"), json!([]));
    assert_eq!(parsed(&found, "notifications.json")["mail"], true);
    assert_eq!(parsed(&found, "mailbox.json")["addresses"], json!(["a@example.jp"]));
    assert_eq!(parsed(&found, "blocked-callers.json")["items"][0]["ends_with"], "2222");
    let readme = String::from_utf8(bytes(&found, "README.txt")).unwrap();
    assert!(readme.contains("留守番電話") && readme.contains("voicemail"), "both languages");
    // 2026-11-22T15:04:05 is five past midnight in Japan.
    let stem = "messages/20261123_000405_00000000-0000-0000-0000-000000000001";
    let text = String::from_utf8(bytes(&found, &format!("{stem}.txt"))).unwrap();
    assert_eq!(text, "明日の会議は十時からです。");
    assert_eq!(bytes(&found, &format!("{stem}.mp3")), mp3());
    let about = parsed(&found, &format!("{stem}.json"));
    assert_eq!(about["caller"]["number"], "+819012345678");
    assert_eq!(about["segments"]["segments"][0]["text"], "明日の会議は");
    let theirs = foreign.opened.recording.to_string();
    assert!(names.iter().all(|name| !name.contains(&theirs)), "nothing of another mailbox");
    centre.stop().await;
}

#[tokio::test]
async fn an_export_needs_both_scopes_and_a_mailbox() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let path = format!("/v1/mailboxes/{mailbox}/export");
    for scope in [control_plane::Scope::MailboxesRead, control_plane::Scope::MessagesRead] {
        let (_, secret) = centre.plane.keys().create_key("half", &[scope]).await.unwrap();
        assert_eq!(centre.with(&secret).get(&path).await.0, 403, "{scope:?}");
    }
    centre.json("DELETE", &format!("/v1/mailboxes/{mailbox}"), Value::Null).await;
    assert_eq!(centre.get(&path).await.0, 410);
    centre.stop().await;
}

#[tokio::test]
async fn as_many_exports_run_at_once_as_the_limit_says() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let path = format!("/v1/mailboxes/{mailbox}/export");
    // Enough that an archive does not fit into what the connection buffers.
    let greeting = centre.request("PUT", &format!("/v1/mailboxes/{mailbox}/greeting"));
    let greeting = greeting.header("content-type", "audio/wav");
    let mut sound = b"RIFF".to_vec();
    sound.resize(15 * 1_024 * 1_024, 0);
    assert_eq!(greeting.body(sound).send().await.unwrap().status(), 200);
    let mut open = Vec::new();
    for _ in 0..4 {
        let response = centre.request("GET", &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        open.push(response);
    }
    let refused = centre.request("GET", &path).send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers().contains_key("retry-after")),
        (503, true)
    );
    drop(open);
    let freed = || async { centre.request("GET", &path).send().await.unwrap().status() == 200 };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while !freed().await {
        assert!(tokio::time::Instant::now() < deadline, "places are given back");
    }
    centre.stop().await;
}

#[tokio::test]
async fn a_subscriber_takes_away_what_is_its_own_and_nothing_else() {
    let (folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let other = centre.mailbox("+815012345679", &[]).await;
    let app = App::sign_in(&centre, mailbox, "わたしのiPhone").await;
    let (own, foreign) =
        (arrival(1, mailbox, number("+819012345678")), arrival(2, other, number("+81311112222")));
    for arrival in [&own, &foreign] {
        centre.arrive(arrival).await;
        centre.reach(arrival.opened.recording, "transcribed").await;
    }
    let response = app.request("GET", "/v1/me/export").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let file = folder.path().join("export.zip");
    std::fs::write(&file, response.bytes().await.unwrap()).unwrap();
    let found = contents(&file).await;
    let messages = found.as_object().unwrap().keys().filter(|name| name.starts_with("messages/"));
    let messages: Vec<&String> = messages.collect();
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|name| name.contains(&own.opened.recording.to_string())));
    assert_eq!(parsed(&found, "devices.json")[0]["name"], "わたしのiPhone");
    centre.stop().await;
}
