//! Web push as a browser of another maker (npm `http_ece`) decrypts it.

use control_plane::PlaneConfig;
use control_plane::push::PushEndpoint;
use control_plane::store::PushStore;
use control_plane::store::sqlite::SqliteStore;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::time::WallTime;
use serde_json::Value;

use crate::peers::Peer;
use crate::support::{Centre, arrival, number};

/// Registers the peer's browser at a path of its push service.
async fn subscribe(
    store: &SqliteStore,
    mailbox: MailboxId,
    browser: &Value,
    path: &str,
) -> PushEndpoint {
    let text = |key: &str| browser[key].as_str().unwrap().to_owned();
    let endpoint = PushEndpoint {
        id: uuid::Uuid::now_v7(),
        mailbox,
        device: None,
        url: format!("http://127.0.0.1:{}/{path}", browser["port"]),
        p256dh: text("p256dh"),
        auth: text("auth"),
        created_at: WallTime::from_unix_millis(0),
    };
    assert!(store.put_push_endpoint(&endpoint, 20).await.unwrap());
    endpoint
}

async fn open(folder: &std::path::Path) -> (Centre, SqliteStore) {
    let config = PlaneConfig { private_targets: true, ..PlaneConfig::default() };
    let centre = Centre::open(folder, config).await;
    (centre, SqliteStore::open(folder).await.unwrap())
}

#[tokio::test]
async fn s09_a_browser_is_told_of_a_message_and_only_it_can_read_the_push() {
    let (mut service, browser) = Peer::start("browser.js").await;
    let folder = tempfile::tempdir().unwrap();
    let (centre, store) = open(folder.path()).await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    subscribe(&store, mailbox, &browser, "phone").await;
    centre.answer_all();
    centre.plane.run_background().await.unwrap();
    centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
    let push = service.next().await;
    let payload = &push["payload"];
    assert_eq!(
        (&payload["kind"], &payload["title"]),
        (&"new_message".into(), &"090-1234-5678".into())
    );
    assert_eq!(payload["id"], RecordingId::from_u128(1).to_string());
    assert_eq!(payload["body"], "明日の会議は十時からです。");
    assert!(push["bytes"].as_u64().unwrap() <= 4_096, "S04: {}", push["bytes"]);
    let headers = &push["headers"];
    assert_eq!(
        (&headers["content-encoding"], &headers["ttl"]),
        (&"aes128gcm".into(), &"86400".into())
    );
    assert_eq!(headers["urgency"], "normal");
    let topic = headers["topic"].as_str().unwrap();
    assert!(topic.len() == 32 && !topic.contains(['+', '/', '=']), "{topic}");
    let vapid = &push["vapid"];
    assert_eq!((&vapid["valid"], &vapid["head"]["alg"]), (&true.into(), &"ES256".into()));
    assert_eq!(vapid["claims"]["aud"], format!("http://127.0.0.1:{}", browser["port"]));
    assert_eq!(vapid["claims"]["sub"], "mailto:rusuden@localhost");
    let (_, offers) = centre.get("/v1/capabilities").await;
    assert_eq!(offers["push_public_key"], vapid["key"], "browsers subscribe with this key");
    centre.wait_for(RecordingId::from_u128(1), |row| !row["notified_at"].is_null()).await;
    centre.stop().await;
}

#[tokio::test]
async fn a_subscription_that_ended_is_dropped_and_a_busy_service_is_asked_again() {
    let (mut service, browser) = Peer::start("browser.js").await;
    let folder = tempfile::tempdir().unwrap();
    let (centre, store) = open(folder.path()).await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let gone = subscribe(&store, mailbox, &browser, "gone").await;
    let busy = subscribe(&store, mailbox, &browser, "busy").await;
    centre.answer_all();
    centre.plane.run_background().await.unwrap();
    centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(service.next().await);
    }
    centre.wait_for(RecordingId::from_u128(1), |row| !row["notified_at"].is_null()).await;
    let of = |path: &str| seen.iter().filter(|push| push["path"] == path).collect::<Vec<_>>();
    assert_eq!(of("/gone").len(), 1);
    let [first, second] = of("/busy")[..] else { panic!("asked again") };
    assert_eq!((&first["status"], &second["status"]), (&429.into(), &201.into()));
    // What comes twice replaces itself: one topic at the service, one id in the browser.
    assert_eq!(first["headers"]["topic"], second["headers"]["topic"]);
    assert_eq!(first["payload"], second["payload"]);
    while store.push_endpoint(gone.id).await.unwrap().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(store.push_endpoint(busy.id).await.unwrap().is_some());
    centre.stop().await;
}

#[tokio::test]
async fn the_key_that_browsers_know_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (centre, _store) = open(folder.path()).await;
        let (_, offers) = centre.get("/v1/capabilities").await;
        keys.push(offers["push_public_key"].as_str().unwrap().to_owned());
        centre.stop().await;
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0].len(), 87, "65 bytes in base64url");
}
