//! Mailboxes over REST, and what calls see of them.

use std::time::Duration;

use control_plane::PlaneConfig;
use engine_core::private::Private;
use engine_core::sound::SoundId;
use engine_core::text::{Language, LanguageChoice};
use serde_json::{Value, json};

use crate::support::{Centre, arrival, number, read};

#[tokio::test]
async fn a_mailbox_is_made_with_defaults_and_found_by_its_number() {
    let (_folder, centre) = Centre::running().await;
    let body = json!({"number": "050-1234-5678"});
    let (status, made) = centre.json("POST", "/v1/mailboxes", body).await;
    assert_eq!(status, 201, "{made}");
    let wanted = json!({"number": "+815012345678", "language": "ja", "greeting": "default",
        "own_greeting": false, "beep": true, "quiet_limit_s": null, "recording_limit_s": 60,
        "addresses": [], "hotwords": []});
    for (field, value) in wanted.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
    let id = made["id"].as_str().unwrap();
    assert_eq!(centre.get(&format!("/v1/mailboxes/{id}")).await, (200, made.clone()));
    let directory = centre.plane.directory();
    let found = directory.mailbox("+815012345678").await.unwrap().unwrap();
    assert_eq!(found.id.to_string(), id);
    assert_eq!(found.greeting, SoundId::DefaultGreeting(Language::Japanese));
    assert_eq!(directory.mailbox("+815000000000").await.unwrap(), None);
    centre.stop().await;
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_call() {
    let (_folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    let path = format!("/v1/mailboxes/{id}");
    let patch = json!({"language": "detect", "quiet_limit_s": 5, "recording_limit_s": 20,
        "greeting": "none", "beep": false, "hotwords": ["齋藤", "緑川"]});
    let (status, changed) = centre.json("PATCH", &path, patch).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["hotwords"], json!(["齋藤", "緑川"]));
    assert_eq!(changed["addresses"], json!(["a@example.jp"]), "what is left out stays");
    let call = centre.plane.directory().mailbox("+815012345678").await.unwrap().unwrap();
    assert_eq!((call.language, call.greeting), (LanguageChoice::Detect, SoundId::Silence));
    assert_eq!(call.quiet_limit, Some(Duration::from_secs(5)));
    assert_eq!((call.recording_limit, call.beep), (Duration::from_secs(20), false));
    let words = centre.plane.hotwords().of(call.id).map(Private::into_inner);
    assert_eq!(words.as_deref(), Some("齋藤、緑川"));
    let (_, changed) = centre.json("PATCH", &path, json!({"quiet_limit_s": null})).await;
    assert_eq!(
        (&changed["quiet_limit_s"], &changed["recording_limit_s"]),
        (&Value::Null, &20.into())
    );
    centre.stop().await;
}

#[tokio::test]
async fn changes_at_once_are_all_kept() {
    let (_folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let path = format!("/v1/mailboxes/{id}");
    let changes = [
        json!({"beep": false}),
        json!({"language": "en"}),
        json!({"quiet_limit_s": 9}),
        json!({"addresses": ["a@example.jp"]}),
    ];
    let sent = changes.map(|change| centre.json("PATCH", &path, change));
    for (status, body) in futures::future::join_all(sent).await {
        assert_eq!(status, 200, "{body}");
    }
    let (_, mailbox) = centre.get(&path).await;
    assert_eq!((&mailbox["beep"], &mailbox["language"]), (&false.into(), &"en".into()));
    assert_eq!(mailbox["quiet_limit_s"], 9);
    assert_eq!(mailbox["addresses"], json!(["a@example.jp"]));
    centre.stop().await;
}

#[tokio::test]
async fn mailboxes_are_listed_in_pages() {
    let (_folder, centre) = Centre::running().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(centre.mailbox(&format!("+81501234567{n}"), &[]).await.to_string());
    }
    let mut seen = Vec::new();
    let mut path = "/v1/mailboxes?limit=2".to_owned();
    loop {
        let (status, page) = centre.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/mailboxes?limit=2&cursor={next}");
    }
    assert_eq!(seen, made);
    centre.stop().await;
}

#[tokio::test]
async fn a_greeting_is_kept_played_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let path = format!("/v1/mailboxes/{id}/greeting");
    let send = async |centre: &Centre, kind: &str, body: &'static [u8]| {
        let request = centre.request("PUT", &path).header("content-type", kind);
        read(request.body(body).send().await.unwrap()).await
    };
    assert_eq!(centre.get(&path).await.0, 404);
    assert_eq!(send(&centre, "text/plain", b"RIFF").await.0, 415);
    let (status, problem) = send(&centre, "audio/wav", b"nonsense").await;
    assert_eq!((status, &problem["code"]), (422, &"invalid_sound".into()));
    let (status, mailbox) = send(&centre, "audio/wav", b"RIFF hello").await;
    assert_eq!((status, &mailbox["greeting"]), (200, &"own".into()), "{mailbox}");
    let own = SoundId::OwnGreeting(id);
    assert_eq!(centre.bank.sounds.lock().unwrap()[&own], b"RIFF hello");
    let call = centre.plane.directory().mailbox("+815012345678").await.unwrap().unwrap();
    assert_eq!(call.greeting, own);
    centre.stop().await;

    // The next process puts it into its bank at start.
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    assert_eq!(centre.bank.sounds.lock().unwrap()[&own], b"RIFF hello");
    let sound = centre.request("GET", &path).send().await.unwrap();
    assert_eq!(sound.headers()["content-type"], "audio/wav");
    assert_eq!(sound.bytes().await.unwrap(), "RIFF hello");
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    assert!(centre.bank.sounds.lock().unwrap().is_empty());
    assert_eq!(centre.get(&path).await.0, 404);
    let call = centre.plane.directory().mailbox("+815012345678").await.unwrap().unwrap();
    assert_eq!(call.greeting, SoundId::DefaultGreeting(Language::Japanese));
    assert_eq!(std::fs::read_dir(folder.path().join("objects/greetings")).unwrap().count(), 0);
    centre.stop().await;
}

#[tokio::test]
async fn a_greeting_that_comes_while_its_mailbox_is_deleted_leaves_nothing() {
    let (folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let path = format!("/v1/mailboxes/{id}");
    let file = folder.path().join(format!("objects/greetings/{id}.wav"));
    let greeting = || {
        let request = centre.request("PUT", &format!("{path}/greeting"));
        request.header("content-type", "audio/wav").body("RIFF hello").send()
    };
    assert_eq!(greeting().await.unwrap().status(), 200);
    assert!(file.exists());
    let (here_in, here) = crossbeam::channel::bounded(1);
    let (go, go_out) = crossbeam::channel::bounded(1);
    *centre.bank.gate.lock().unwrap() = Some((here_in, go_out));
    let late = tokio::spawn(greeting());
    crate::support::until("the next one is being read", || here.try_recv().ok()).await;
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    crate::support::until("the erasure", || (!file.exists()).then_some(())).await;
    go.send(()).unwrap();
    assert_eq!(late.await.unwrap().unwrap().status(), 410);
    assert!(centre.bank.sounds.lock().unwrap().is_empty());
    assert!(!file.exists());
    centre.stop().await;
}

#[tokio::test]
async fn a_call_that_was_under_way_when_its_mailbox_was_deleted_leaves_nothing() {
    let (folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    assert_eq!(centre.json("DELETE", &format!("/v1/mailboxes/{id}"), Value::Null).await.0, 204);
    let arrival = arrival(1, id, number("+819012345678"));
    centre.arrive(&arrival).await;
    let message = arrival.opened.recording;
    assert_eq!(centre.get(&format!("/v1/messages/{message}")).await.0, 410);
    // A stop drains the jobs: the erasure.
    centre.stop().await;
    assert!(!folder.path().join(format!("objects/recordings/{message}.rec")).exists());
    assert_eq!(std::fs::read_dir(folder.path().join("mail")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_deleted_mailbox_gives_its_number_back_and_takes_its_messages_along() {
    let (folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let arrival = arrival(1, id, number("+819012345678"));
    centre.arrive(&arrival).await;
    let message = arrival.opened.recording;
    centre.reach(message, "transcribed").await;
    let path = format!("/v1/mailboxes/{id}");
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(centre.get(&path).await.0, 410);
    assert_eq!(centre.get(&format!("{path}/messages")).await.0, 410);
    assert_eq!(centre.get(&format!("/v1/messages/{message}")).await.0, 410);
    assert_eq!(centre.plane.directory().mailbox("+815012345678").await.unwrap(), None);
    let file = folder.path().join(format!("objects/recordings/{message}.rec"));
    crate::support::until("the erasure", || (!file.exists()).then_some(())).await;
    assert_ne!(centre.mailbox("+815012345678", &[]).await, id);
    centre.stop().await;
}
