//! What a signed-in device sees and changes, and what it never reaches.

use std::ops::Deref;

use control_plane::NewDevice;
use control_plane::contract::ContractId;
use engine_core::id::MailboxId;
use serde_json::{Value, json};

use crate::client::Client;
use crate::support::{Centre, arrival, mp3, number, read};

/// A signed-in device.
pub(crate) struct App {
    client: Client,
    pub(crate) device: String,
}

impl App {
    pub(crate) async fn sign_in(centre: &Centre, mailbox: MailboxId, name: &str) -> Self {
        let new = NewDevice { contract: ContractId::from_u128(1), mailbox, name };
        let (device, token) = centre.plane.sessions().sign_in(new).await.unwrap();
        Self { client: centre.with(&token), device: device.id.to_string() }
    }
}

impl Deref for App {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

#[tokio::test]
async fn s37_several_devices_are_listed_renamed_and_signed_out() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let phone = App::sign_in(&centre, mailbox, "わたしのiPhone").await;
    let tablet = App::sign_in(&centre, mailbox, "居間のタブレット").await;
    let third = App::sign_in(&centre, mailbox, "会社の電話").await;
    let (status, list) = phone.get("/v1/me/devices").await;
    assert_eq!(status, 200, "{list}");
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|d| &d["name"]).collect();
    assert_eq!(names, ["わたしのiPhone", "居間のタブレット", "会社の電話"]);
    let this: Vec<_> = list["items"].as_array().unwrap().iter().map(|d| &d["this"]).collect();
    assert_eq!(this, [&json!(true), &json!(false), &json!(false)]);

    let path = format!("/v1/me/devices/{}", tablet.device);
    let (status, renamed) = phone.json("PATCH", &path, json!({"name": " 台所 "})).await;
    assert_eq!((status, &renamed["name"]), (200, &"台所".into()), "{renamed}");
    let (status, problem) = phone.json("PATCH", &path, json!({"name": " "})).await;
    assert_eq!((status, &problem["field"]), (422, &"name".into()), "{problem}");

    assert_eq!(phone.json("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(tablet.get("/v1/me/settings").await.0, 401, "its session ended at once");
    assert_eq!(phone.json("DELETE", &path, Value::Null).await.0, 404);
    assert_eq!(third.json("POST", "/v1/me/sign-out", Value::Null).await.0, 204);
    assert_eq!(third.get("/v1/me/settings").await.0, 401);
    let (_, list) = phone.get("/v1/me/devices").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(phone.json("DELETE", "/v1/me/devices", Value::Null).await.0, 204);
    let (status, problem) = phone.get("/v1/me/devices").await;
    assert_eq!((status, &problem["code"]), (401, &"wrong_session".into()));
    centre.stop().await;
}

#[tokio::test]
async fn s13_own_messages_are_listed_read_heard_marked_and_deleted() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    let row = centre.reach(id, "transcribed").await;
    let path = format!("/v1/me/messages/{id}");
    let (status, mut shown) = app.get(&path).await;
    assert_eq!(status, 200);
    // When the first notice left may be known by now.
    shown["notified_at"] = row["notified_at"].clone();
    assert_eq!(shown, row, "the subscriber reads what the operator reads");
    let (_, list) = app.get("/v1/me/messages?read=false").await;
    assert_eq!(list["items"][0]["id"], id.to_string());
    let (_, marked) = app.json("PATCH", &path, json!({"read": true})).await;
    assert_eq!(marked["read"], true);
    assert_eq!(app.get("/v1/me/messages?read=false").await.1["items"], json!([]));
    let text = app.request("GET", &format!("{path}/text")).send().await.unwrap();
    assert_eq!(text.text().await.unwrap(), "明日の会議は十時からです。");
    let (_, segments) = app.get(&format!("{path}/segments")).await;
    assert_eq!(segments["segments"].as_array().unwrap().len(), 2);

    let audio = format!("{path}/audio.mp3");
    let whole = app.request("GET", &audio).send().await.unwrap();
    let tag = whole.headers()["etag"].clone();
    assert_eq!(whole.bytes().await.unwrap(), mp3());
    let part = app.request("GET", &audio).header("range", "bytes=100-199").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), mp3()[100..200]);
    let kept = app.request("GET", &audio).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(kept.status(), 304);

    assert_eq!(app.json("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(app.json("DELETE", &path, Value::Null).await.0, 204, "again is no error");
    assert_eq!(app.get(&path).await.0, 410);
    centre.stop().await;
}

#[tokio::test]
async fn another_subscribers_things_are_not_there_whatever_id_is_tried() {
    let (_folder, centre) = Centre::running().await;
    let mine = centre.mailbox("+815012345678", &[]).await;
    let theirs = centre.mailbox("+815012345679", &[]).await;
    let me = App::sign_in(&centre, mine, "わたし").await;
    let them = App::sign_in(&centre, theirs, "あなた").await;
    let arrival = arrival(1, theirs, number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    centre.reach(id, "transcribed").await;
    let unknown = "01980c2e-7b7a-7cc3-98c4-dc0c0c07398f";
    for (method, path, body) in [
        ("GET", "/v1/me/messages/{}", Value::Null),
        ("PATCH", "/v1/me/messages/{}", json!({"read": true})),
        ("DELETE", "/v1/me/messages/{}", Value::Null),
        ("GET", "/v1/me/messages/{}/text", Value::Null),
        ("GET", "/v1/me/messages/{}/segments", Value::Null),
        ("GET", "/v1/me/messages/{}/audio.mp3", Value::Null),
    ] {
        let theirs = me.json(method, &path.replace("{}", &id.to_string()), body.clone()).await;
        let nobodys = me.json(method, &path.replace("{}", unknown), body).await;
        assert_eq!(theirs.0, 404, "{method} {path}");
        assert_eq!(theirs, nobodys, "{method} {path} tells that it is another's");
    }
    let device = format!("/v1/me/devices/{}", them.device);
    assert_eq!(me.json("PATCH", &device, json!({"name": "x"})).await.0, 404);
    assert_eq!(me.json("DELETE", &device, Value::Null).await.0, 404);
    assert_eq!(me.json("DELETE", "/v1/me/devices", Value::Null).await.0, 204);
    assert_eq!(them.get("/v1/me/messages").await.1["items"][0]["read"], false);
    // Deleted by its owner: gone for the owner, still nothing for others.
    let path = format!("/v1/me/messages/{id}");
    assert_eq!(them.json("DELETE", &path, Value::Null).await.0, 204);
    let me = App::sign_in(&centre, mine, "また").await;
    assert_eq!((them.get(&path).await.0, me.get(&path).await.0), (410, 404));
    centre.stop().await;
}

#[tokio::test]
async fn sessions_and_keys_open_only_their_own_side() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    for path in ["/v1/mailboxes".to_owned(), format!("/v1/mailboxes/{mailbox}/messages")] {
        let (status, problem) = app.get(&path).await;
        assert_eq!((status, &problem["code"]), (401, &"wrong_key".into()), "{path}");
    }
    let (status, problem) = centre.get("/v1/me/messages").await;
    assert_eq!((status, &problem["code"]), (401, &"wrong_session".into()));
    let bare = centre.anyone().request("GET", "/v1/me/messages").send().await.unwrap();
    assert_eq!(bare.headers()["www-authenticate"], "Bearer realm=\"rusuden\"");
    assert_eq!(read(bare).await.1["code"], "no_session");
    centre.stop().await;
}

#[tokio::test]
async fn settings_and_greeting_are_the_subscribers_to_choose() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let patch = json!({"language": "en", "quiet_limit_s": 5});
    let (status, settings) = app.json("PATCH", "/v1/me/settings", patch).await;
    assert_eq!((status, &settings["language"]), (200, &"en".into()), "{settings}");
    assert_eq!(app.get("/v1/me/settings").await, (200, settings));
    let wav = app.request("PUT", "/v1/me/greeting").header("content-type", "audio/wav");
    let (status, chosen) = read(wav.body("RIFF hello").send().await.unwrap()).await;
    assert_eq!((status, &chosen["greeting"]), (200, &"own".into()), "{chosen}");
    let sound = app.request("GET", "/v1/me/greeting").send().await.unwrap();
    assert_eq!(sound.bytes().await.unwrap(), "RIFF hello");
    assert_eq!(app.json("DELETE", "/v1/me/greeting", Value::Null).await.0, 204);
    assert_eq!(app.get("/v1/me/greeting").await.0, 404);
    assert_eq!(app.get("/v1/me/settings").await.1["greeting"], "default");
    let (status, _) = app.json("PATCH", "/v1/me/settings", json!({"greeting": "own"})).await;
    assert_eq!(status, 422);
    centre.stop().await;
}

#[tokio::test]
async fn s09_the_subscriber_chooses_how_and_when_to_be_told() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let path = "/v1/me/notifications";
    let first = json!({"mail": true, "addresses": ["a@example.jp"], "sms": false, "push": true,
        "quiet_hours": null});
    assert_eq!(app.get(path).await, (200, first));
    let patch = json!({"sms": true, "quiet_hours": {"from": "22:00", "to": "07:00"},
        "addresses": ["b@example.jp"]});
    let (status, changed) = app.json("PATCH", path, patch).await;
    let wanted = json!({"mail": true, "addresses": ["b@example.jp"], "sms": true, "push": true,
        "quiet_hours": {"from": "22:00", "to": "07:00"}});
    assert_eq!((status, &changed), (200, &wanted));
    let (_, changed) = app.json("PATCH", path, json!({"quiet_hours": null, "mail": false})).await;
    assert_eq!((&changed["quiet_hours"], &changed["mail"]), (&Value::Null, &false.into()));
    for (bad, field) in [
        (json!({"quiet_hours": {"from": "24:00", "to": "07:00"}}), "quiet_hours"),
        (json!({"quiet_hours": {"from": "07:00", "to": "07:00"}}), "quiet_hours"),
        (json!({"sms": false, "addresses": ["a"]}), "addresses"),
    ] {
        let (status, problem) = app.json("PATCH", path, bad).await;
        assert_eq!((status, &problem["field"]), (422, &field.into()), "{problem}");
    }
    assert_eq!(app.get(path).await.1["sms"], true, "what is refused changes nothing");
    centre.stop().await;
}

#[tokio::test]
async fn events_are_those_of_the_own_mailbox() {
    let (_folder, centre) = Centre::running().await;
    let mine = centre.mailbox("+815012345678", &[]).await;
    let theirs = centre.mailbox("+815012345679", &[]).await;
    let app = App::sign_in(&centre, mine, "電話").await;
    let mut stream = app.request("GET", "/v1/me/events").send().await.unwrap();
    for (id, mailbox) in [(1, theirs), (2, mine)] {
        centre.arrive(&arrival(id, mailbox, number("+819012345678"))).await;
    }
    let mut seen = String::new();
    while !seen.contains("transcribed") {
        let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
        seen.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(seen.contains(&mine.to_string()) && !seen.contains(&theirs.to_string()), "{seen}");
    drop(stream);
    centre.stop().await;
}

#[tokio::test]
async fn s56_after_the_end_every_session_answers_410() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let path = format!("/v1/mailboxes/{mailbox}");
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    for path in ["messages", "settings", "devices", "notifications", "greeting", "events"] {
        let (status, problem) = app.get(&format!("/v1/me/{path}")).await;
        assert_eq!((status, &problem["code"]), (410, &"gone".into()), "{path}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn s09_a_device_subscribes_to_push_and_signing_out_ends_it() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let phone = App::sign_in(&centre, mailbox, "電話").await;
    let tablet = App::sign_in(&centre, mailbox, "タブレット").await;
    let path = "/v1/me/push";
    let (status, first) = phone.get(path).await;
    assert_eq!((status, &first["subscribed"]), (200, &false.into()), "{first}");
    assert_eq!(first["public_key"].as_str().unwrap().len(), 87, "65 bytes in base64url");
    // Keys of RFC 8291 Appendix A.
    let subscription = |name: &str| {
        json!({"endpoint": format!("https://push.example.net/push/{name}"),
            "expirationTime": null, "keys": {"auth": "BTBZMqHH6r4Tts7J_aSIgg", "p256dh":
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"}})
    };
    for name in ["a", "a", "b"] {
        assert_eq!(phone.json("PUT", path, subscription(name)).await.0, 204);
    }
    assert_eq!(tablet.json("PUT", path, subscription("c")).await.0, 204);
    assert_eq!(phone.get(path).await.1["subscribed"], true);
    assert_eq!(phone.json("DELETE", path, Value::Null).await.0, 204);
    assert_eq!(phone.get(path).await.1["subscribed"], false);
    assert_eq!(tablet.get(path).await.1["subscribed"], true, "each device for itself");
    let mut bad = subscription("d");
    bad["keys"]["p256dh"] = "AAAA".into();
    let (status, problem) = phone.json("PUT", path, bad).await;
    assert_eq!((status, &problem["field"]), (422, &"keys".into()), "{problem}");
    let mut plain = subscription("e");
    plain["endpoint"] = "http://push.example.net/e".into();
    let (status, problem) = phone.json("PUT", path, plain).await;
    assert_eq!((status, &problem["field"]), (422, &"endpoint".into()), "{problem}");
    centre.stop().await;
}
