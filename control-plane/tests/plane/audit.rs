//! The audit log holds every change that an operator makes, in the order in which it was made.

use control_plane::{AuditLog, Keys, PlaneConfig, Scope};
use serde_json::{Value, json};

use crate::subscriber::App;
use crate::support::{Centre, arrival, number};

/// Action and actor of every entry.
async fn log(centre: &Centre) -> Vec<(String, String)> {
    let (status, page) = centre.get("/v1/audit?limit=200").await;
    assert_eq!(status, 200, "{page}");
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    let entries = page["items"].as_array().unwrap().iter();
    entries.map(|entry| (text(entry, "action"), text(entry, "actor"))).collect()
}

#[tokio::test]
async fn mailboxes_messages_greetings_and_webhooks_are_audited() {
    let folder = tempfile::tempdir().unwrap();
    let config = PlaneConfig { private_targets: true, ..PlaneConfig::default() };
    let centre = Centre::open(folder.path(), config).await;
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    let path = format!("/v1/mailboxes/{mailbox}");
    assert_eq!(centre.json("PATCH", &path, json!({"beep": false})).await.0, 200);
    let greeting = centre.request("PUT", &format!("{path}/greeting"));
    let greeting = greeting.header("content-type", "audio/wav").body("RIFF").send().await.unwrap();
    assert_eq!(greeting.status(), 200);
    let removed = centre.json("DELETE", &format!("{path}/greeting"), Value::Null).await;
    assert_eq!(removed.0, 204);
    let blocked = json!({"number": "090-1111-2222"});
    let (_, blocked) = centre.json("POST", &format!("{path}/blocked-callers"), blocked).await;
    let unblock = format!("{path}/blocked-callers/{}", blocked["id"].as_str().unwrap());
    assert_eq!(centre.json("DELETE", &unblock, Value::Null).await.0, 204);
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    centre.reach(id, "transcribed").await;
    let message = format!("/v1/messages/{id}");
    assert_eq!(centre.json("PATCH", &message, json!({"read": true})).await.0, 200);
    assert_eq!(centre.json("DELETE", &message, Value::Null).await.0, 204);
    assert_eq!(centre.json("DELETE", &message, Value::Null).await.0, 204, "it changes nothing");
    let webhook = json!({"url": "http://127.0.0.1:1/", "events": ["webhook.test"]});
    let (_, webhook) = centre.json("POST", "/v1/webhooks", webhook).await;
    let webhook = format!("/v1/webhooks/{}", webhook["webhook"]["id"].as_str().unwrap());
    assert_eq!(centre.json("POST", &format!("{webhook}/test"), Value::Null).await.0, 202);
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    let mut entries = log(&centre).await;
    assert_eq!(entries.remove(0), ("key.created".to_owned(), "command".to_owned()));
    assert!(entries.iter().all(|(_, actor)| actor.starts_with("key:")), "{entries:?}");
    let actions: Vec<_> = entries.iter().map(|(action, _)| action.as_str()).collect();
    let wanted = [
        "mailbox.created",
        "mailbox.changed",
        "greeting.put",
        "greeting.removed",
        "blocked_caller.added",
        "blocked_caller.removed",
        "message.marked",
        "message.deleted",
        "webhook.created",
        "webhook.tested",
        "mailbox.deleted",
    ];
    assert_eq!(actions, wanted);
    let (_, whole) = centre.get("/v1/audit").await;
    for private in ["5012345678", "example.jp", "9011112222", "9012345678"] {
        assert!(!whole.to_string().contains(private), "the log names no {private}");
    }
    centre.stop().await;
    let log = AuditLog::open(folder.path()).await.unwrap();
    assert_eq!(log.verify(None).await.unwrap().seq, 12);
    log.close().await;
}

#[tokio::test]
async fn what_is_refused_or_changes_nothing_is_not_audited() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let before = log(&centre).await;
    let path = format!("/v1/mailboxes/{mailbox}");
    assert_eq!(centre.json("PATCH", &path, json!({"recording_limit_s": 61})).await.0, 422);
    let taken = json!({"number": "+815012345678"});
    assert_eq!(centre.json("POST", "/v1/mailboxes", taken).await.0, 409);
    let unknown = "01980c2e-7b7a-7cc3-98c4-dc0c0c07398f";
    for path in [format!("/v1/messages/{unknown}"), format!("{path}/blocked-callers/{unknown}")] {
        assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 404);
    }
    assert_eq!(log(&centre).await, before);
    centre.stop().await;
}

#[tokio::test]
async fn a_subscribers_changes_bear_the_contracts_name_and_what_is_read_is_nobodys_affair() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    centre.reach(id, "transcribed").await;
    let message = format!("/v1/me/messages/{id}");
    assert_eq!(app.json("PATCH", &message, json!({"read": true})).await.0, 200);
    assert_eq!(app.json("PATCH", "/v1/me/settings", json!({"beep": false})).await.0, 200);
    assert_eq!(app.json("DELETE", &message, Value::Null).await.0, 204);
    let entries = log(&centre).await;
    let by = "subscriber:00000000-0000-0000-0000-000000000001";
    let own: Vec<_> = entries.iter().filter(|(_, actor)| actor == by).collect();
    let own: Vec<_> = own.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(own, ["mailbox.changed", "message.deleted"]);
    centre.stop().await;
}

#[tokio::test]
async fn keys_made_and_revoked_at_the_command_line_are_audited() {
    let (folder, centre) = Centre::running().await;
    let keys = Keys::open(folder.path()).await.unwrap();
    let (key, secret) = keys.create_key("台所", &[Scope::MessagesRead]).await.unwrap();
    assert!(keys.revoke(key.id).await.unwrap());
    assert!(!keys.revoke(key.id).await.unwrap());
    keys.close().await;
    let (_, page) = centre.get("/v1/audit").await;
    let of_key = format!("key:{}", key.id);
    let entries: Vec<_> =
        page["items"].as_array().unwrap().iter().filter(|one| one["subject"] == of_key).collect();
    let actions: Vec<_> = entries.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["key.created", "key.revoked"]);
    assert_eq!(entries[0]["detail"], json!({"scopes": ["messages:read"]}));
    assert!(!page.to_string().contains("台所") && !page.to_string().contains(&secret));
    centre.stop().await;
}
