//! Webhooks as a program of another maker (npm standardwebhooks) receives and verifies them.

use std::path::Path;

use control_plane::PlaneConfig;
use engine_core::id::RecordingId;
use serde_json::{Value, json};

use crate::peers::Peer;
use crate::support::{Centre, arrival, number};

async fn open(folder: &Path) -> Centre {
    let config = PlaneConfig { private_targets: true, ..PlaneConfig::default() };
    let centre = Centre::open(folder, config).await;
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    centre
}

/// Makes a webhook at a path of the peer; its id and secret.
async fn create(centre: &Centre, port: &Value, path: &str, events: &[&str]) -> (String, String) {
    let url = format!("http://127.0.0.1:{port}/{path}");
    let body = json!({"url": url, "events": events});
    let (status, made) = centre.json("POST", "/v1/webhooks", body).await;
    assert_eq!(status, 201, "{made}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["webhook"]["id"]), text(&made["secret"]))
}

async fn knows(program: &mut Peer, secret: &str) {
    program.tell(&format!("secret {secret}")).await;
    assert!(program.next().await["known"].is_u64());
}

/// Waits until the newest line of a webhook's log is in this state.
async fn logged(centre: &Centre, id: &str, state: &str) -> Value {
    loop {
        let (_, log) = centre.get(&format!("/v1/webhooks/{id}/deliveries")).await;
        if log["items"][0]["state"] == state {
            return log["items"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn s09_a_program_is_told_of_a_message_and_its_deletion_under_a_signature() {
    let (mut program, port) = Peer::start("webhook.js").await;
    let folder = tempfile::tempdir().unwrap();
    let centre = open(folder.path()).await;
    let (id, secret) = create(&centre, &port, "all", &[]).await;
    knows(&mut program, &secret).await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
    let message = RecordingId::from_u128(1).to_string();
    let told = program.next().await;
    assert_eq!((&told["verified"], &told["type"]), (&json!([true]), &"application/json".into()));
    let body = &told["body"];
    assert_eq!(body["type"], "message.received");
    let wanted =
        json!({"message": message, "mailbox": mailbox.to_string(), "state": "transcribed"});
    assert_eq!(body["data"], wanted, "ids and states only");
    assert!(body["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(centre.json("DELETE", &format!("/v1/messages/{message}"), Value::Null).await.0, 204);
    let deleted = program.next().await;
    assert_eq!(deleted["body"]["type"], "message.deleted");
    assert_ne!(deleted["id"], told["id"]);
    let log = logged(&centre, &id, "sent").await;
    assert_eq!(log[0]["message_id"], deleted["id"]);
    assert_eq!(
        (&log[1]["event"], &log[1]["failed_attempts"]),
        (&"message.received".into(), &0.into())
    );
    centre.stop().await;
}

#[tokio::test]
async fn a_program_is_told_of_each_step_of_a_contract() {
    let (mut program, port) = Peer::start("webhook.js").await;
    let folder = tempfile::tempdir().unwrap();
    let centre = open(folder.path()).await;
    let events = ["contract.applied", "contract.cancelled", "contract.reinstated"];
    let (_, secret) = create(&centre, &port, "contracts", &events).await;
    knows(&mut program, &secret).await;
    let new = json!({"line": "+819012345678", "kind": "individual", "email": "user@example.jp"});
    let (status, made) = centre.json("POST", "/v1/contracts", new).await;
    assert_eq!(status, 201, "{made}");
    let told = program.next().await;
    assert_eq!(
        (&told["body"]["type"], &told["verified"]),
        (&"contract.applied".into(), &json!([true]))
    );
    let data = &told["body"]["data"];
    assert!(data["contract"].is_string(), "{data}");
    let said = told["body"].to_string();
    assert!(!said.contains("8190") && !said.contains("example"), "ids and states only: {said}");
    let path = format!("/v1/contracts/{}/cancellation", data["contract"].as_str().unwrap());
    for (method, event) in [("POST", "contract.cancelled"), ("DELETE", "contract.reinstated")] {
        let (status, answer) = centre.json(method, &path, Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(program.next().await["body"]["type"], event);
    }
    centre.stop().await;
}

#[tokio::test]
async fn after_a_rotation_both_secrets_verify_and_a_retry_keeps_its_id() {
    let (mut program, port) = Peer::start("webhook.js").await;
    let folder = tempfile::tempdir().unwrap();
    let centre = open(folder.path()).await;
    let (id, old) = create(&centre, &port, "broken_once", &["message.received"]).await;
    let (status, rotated) =
        centre.json("POST", &format!("/v1/webhooks/{id}/rotate"), Value::Null).await;
    assert_eq!(status, 200, "{rotated}");
    assert!(rotated["webhook"]["old_secret_until"].is_string());
    let new = rotated["secret"].as_str().unwrap();
    assert_ne!(new, old);
    knows(&mut program, &old).await;
    knows(&mut program, new).await;
    knows(&mut program, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await;
    let (status, _) = centre.json("POST", &format!("/v1/webhooks/{id}/test"), Value::Null).await;
    assert_eq!(status, 202, "a test goes there whatever it chose");
    let (first, second) = (program.next().await, program.next().await);
    assert_eq!((&first["status"], &second["status"]), (&500.into(), &204.into()));
    assert_eq!(first["id"], second["id"]);
    assert_eq!(
        (&second["signatures"], &second["verified"]),
        (&2.into(), &json!([true, true, false]))
    );
    let log = logged(&centre, &id, "sent").await;
    assert_eq!(
        (&log[0]["failed_attempts"], &log[0]["last_error"]),
        (&1.into(), &"it answered 500".into())
    );
    centre.stop().await;
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_switched_off_and_a_replay_tells_again() {
    let (mut program, port) = Peer::start("webhook.js").await;
    let folder = tempfile::tempdir().unwrap();
    let centre = open(folder.path()).await;
    let (id, _) = create(&centre, &port, "gone", &[]).await;
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(centre.json("POST", &format!("{path}/test"), Value::Null).await.0, 202);
    let first = program.next().await;
    let log = logged(&centre, &id, "given_up").await;
    assert_eq!(centre.get(&path).await.1["enabled"], false);
    let url = format!("http://127.0.0.1:{port}/here");
    let (status, _) = centre.json("PATCH", &path, json!({"url": url, "enabled": true})).await;
    assert_eq!(status, 200);
    let replay = async |body| centre.json("POST", &format!("{path}/replay"), body).await;
    let (status, replayed) = replay(json!({"failed_since": "2026-01-01T00:00:00Z"})).await;
    assert_eq!((status, &replayed["deliveries"]), (202, &1.into()));
    let again = program.next().await;
    assert_eq!((&again["path"], &again["id"]), (&"/here".into(), &first["id"]));
    logged(&centre, &id, "sent").await;
    let (status, _) = replay(json!({"delivery": log[0]["id"]})).await;
    assert_eq!(status, 202, "what was sent can be asked for, too");
    assert_eq!(program.next().await["id"], first["id"]);
    let unknown = json!({"delivery": uuid::Uuid::nil().to_string()});
    assert_eq!(replay(unknown).await.0, 404);
    assert_eq!(replay(json!({"failed_since": "yesterday"})).await.1["field"], "failed_since");
    assert_eq!(replay(json!({"delivery": "1"})).await.1["field"], "delivery");
    centre.stop().await;
}

#[tokio::test]
async fn webhooks_are_made_listed_changed_and_deleted() {
    let (_folder, centre) = Centre::running().await;
    let url = "https://hooks.example.jp/rusuden";
    let new = json!({"url": url, "events": ["message.received"], "description": "経理"});
    let (status, made) = centre.json("POST", "/v1/webhooks", new).await;
    assert_eq!(status, 201, "{made}");
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let id = made["webhook"]["id"].as_str().unwrap();
    let path = format!("/v1/webhooks/{id}");
    let (_, shown) = centre.get(&path).await;
    assert_eq!((&shown["url"], &shown["description"]), (&url.into(), &"経理".into()));
    assert_eq!(shown["secret"], Value::Null, "a secret is shown once");
    let (_, list) = centre.get("/v1/webhooks").await;
    assert_eq!((&list["items"][0], &list["next"]), (&shown, &Value::Null));
    let (_, changed) = centre.json("PATCH", &path, json!({"events": []})).await;
    assert_eq!((&changed["events"], &changed["url"]), (&json!([]), &url.into()));
    let (status, log) = centre.get(&format!("{path}/deliveries")).await;
    assert_eq!((status, &log["items"]), (200, &json!([])));
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("GET", format!("{path}/deliveries")),
        ("POST", format!("{path}/rotate")),
    ] {
        assert_eq!(centre.json(method, &path, Value::Null).await.0, 404, "{method} {path}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn webhooks_that_lead_inside_or_nowhere_are_refused() {
    let (_folder, centre) = Centre::running().await;
    let url = |url: &str| json!({"url": url});
    let table = [
        (url("https://127.0.0.1/"), "url"),
        (url("https://[::1]:8443/"), "url"),
        (url("https://localhost/"), "url"),
        (url("https://169.254.169.254/latest/meta-data"), "url"),
        (url("https://10.0.0.1/"), "url"),
        (url("https://0x7f000001/"), "url"),
        (url("http://hooks.example.jp/"), "url"),
        (url("file:///etc/passwd"), "url"),
        (url("hooks"), "url"),
        (json!({"url": "https://hooks.example.jp/", "events": ["message.sung"]}), "events"),
        (
            json!({"url": "https://hooks.example.jp/", "description": "長".repeat(201)}),
            "description",
        ),
    ];
    for (body, field) in table {
        let (status, problem) = centre.json("POST", "/v1/webhooks", body.clone()).await;
        assert_eq!((status, &problem["field"]), (422, &field.into()), "{body} {problem}");
        assert_eq!(problem["code"], "invalid_field");
    }
    for _ in 0..50 {
        let (status, _) =
            centre.json("POST", "/v1/webhooks", url("https://hooks.example.jp/")).await;
        assert_eq!(status, 201);
    }
    let (status, problem) =
        centre.json("POST", "/v1/webhooks", url("https://hooks.example.jp/")).await;
    assert_eq!((status, &problem["code"]), (409, &"too_many".into()));
    centre.stop().await;
}
