//! The set-up of a subscriber's app from 「利用開始」 to the first forwarded call, with the
//! codes as they are to be sent and a real pool of numbers.

use std::ops::Deref;
use std::path::Path;

use control_plane::PlaneConfig;
use control_plane::notice::NoticeBody;
use control_plane::outbox::Channel;
use control_plane::quiet::QuietHours;
use control_plane::store::OutboxStore;
use control_plane::store::sqlite::SqliteStore;
use engine_core::time::WallTime;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::support::{Centre, arrival, now, number, read};

pub(crate) const LINE: &str = "090-1234-5678";

pub(crate) async fn publish_terms(centre: &Centre) {
    let terms = json!({"ja": {"text": "利用規約"}, "en": {"text": "Terms"}});
    let (status, made) = centre.json("POST", "/v1/terms", terms).await;
    assert_eq!(status, 201, "{made}");
}

/// Publishes terms and numbers, as an operator does once.
pub(crate) async fn prepare(centre: &Centre) {
    publish_terms(centre).await;
    let range = json!({"first": "+815012345670", "last": "+815012345679"});
    let (status, added) = centre.json("POST", "/v1/numbers", range).await;
    assert!((200..300).contains(&status), "{added}");
}

/// Applies for a line and gives the serial of the mail.
pub(crate) async fn apply(centre: &Centre, line: &str) -> String {
    let body = json!({"line": line, "kind": "individual", "email": "a@example.jp",
        "language": "ja"});
    let (status, applied) = centre.json("POST", "/v1/contracts", body).await;
    assert_eq!(status, 201, "{applied}");
    applied["serial"].as_str().unwrap().to_owned()
}

/// A centre whose workers rest, so that what is to be sent stays in its rows.
pub(crate) async fn resting() -> (TempDir, Centre) {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    (folder, centre)
}

/// Codes that are to be sent to a number, oldest first.
async fn codes_to(folder: &Path, number: &str) -> Vec<String> {
    let store = SqliteStore::open(folder).await.unwrap();
    let now = now();
    // A lease that ends at once takes nothing from the service.
    let mut waiting = store.lease_deliveries(Channel::Sms, now, now, 100).await.unwrap();
    waiting.retain(|delivery| delivery.target == number);
    waiting.sort_by_key(|delivery| delivery.created_at);
    let code = |body: NoticeBody| match body {
        NoticeBody::OneTimeCode { code, .. } => code,
        other => panic!("no code: {other:?}"),
    };
    waiting.into_iter().map(|delivery| code(delivery.notice.body)).collect()
}

/// The only code that is to be sent to a number.
pub(crate) async fn the_code(folder: &Path, number: &str) -> String {
    let mut codes = codes_to(folder, number).await;
    assert_eq!(codes.len(), 1, "codes to {number}");
    codes.remove(0)
}

/// An app that is being set up.
pub(crate) struct App {
    client: Client,
    pub(crate) token: String,
}

impl Deref for App {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl App {
    pub(crate) async fn begin(centre: &Centre) -> Self {
        let (status, begun) = centre.anyone().json("POST", "/v1/setup", Value::Null).await;
        assert_eq!((status, &begun["step"]), (201, &"entry".into()), "{begun}");
        let token = begun["token"].as_str().unwrap().to_owned();
        Self { client: centre.with(&token), token }
    }

    pub(crate) async fn post(&self, step: &str, body: Value) -> (u16, Value) {
        self.json("POST", &format!("/v1/setup/{step}"), body).await
    }

    /// Serial and terms.
    pub(crate) async fn redeem(&self, serial: &str) -> Value {
        let (status, found) = self.post("serial", json!({"serial": serial})).await;
        assert_eq!((status, &found["step"]), (200, &"terms".into()), "{found}");
        let (status, shown) = self.post("terms", json!({"version": 1})).await;
        assert_eq!((status, &shown["step"]), (200, &"device".into()), "{shown}");
        shown
    }

    pub(crate) async fn name(&self, number: &str, name: &str) -> (u16, Value) {
        self.post("device", json!({"number": number, "name": name})).await
    }

    /// The code of the SMS: the session of the device that it registers.
    pub(crate) async fn register(&self, folder: &Path) -> Client {
        let digits = the_code(folder, "+819012345678").await;
        let (status, registered) = self.post("code", json!({"code": digits})).await;
        assert_eq!((status, &registered["step"]), (200, &"forwarding".into()), "{registered}");
        self.with(registered["token"].as_str().unwrap())
    }
}

/// A subscriber with a registered device: the contract's serial, its 050 number, the set-up and
/// the session.
pub(crate) struct Registered {
    pub(crate) serial: String,
    pub(crate) number: String,
    pub(crate) app: App,
    pub(crate) session: Client,
}

/// Applies for [`LINE`] and sets its app up.
pub(crate) async fn registered(folder: &Path, centre: &Centre) -> Registered {
    prepare(centre).await;
    let serial = apply(centre, LINE).await;
    let app = App::begin(centre).await;
    let shown = app.redeem(&serial).await;
    assert_eq!(app.name(LINE, "電話").await.0, 200);
    let session = app.register(folder).await;
    let number = shown["number"]["e164"].as_str().unwrap().to_owned();
    Registered { serial, number, app, session }
}

fn code(problem: &Value) -> &str {
    problem["code"].as_str().unwrap_or("no problem")
}

/// Also S32–S33, S35, S39; the price of S17, and the number where S11 wants it.
#[tokio::test]
async fn s32_s46_an_app_is_set_up_from_the_serial_to_the_first_forwarded_call() {
    let (folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, "+819012345678").await;
    let app = App::begin(&centre).await;
    let (_, start) = app.get("/v1/setup").await;
    assert_eq!(start["entries"], json!(["serial", "restore", "purchase"]));

    let (status, found) = app.post("serial", json!({"serial": serial.to_lowercase()})).await;
    assert_eq!((status, &found["step"]), (200, &"terms".into()), "{found}");
    assert_eq!((&found["terms"]["version"], &found["number"]), (&1.into(), &Value::Null));
    assert_eq!(found["terms"]["ja"]["text"], "利用規約");
    let (_, shown) = app.post("terms", json!({"version": 1})).await;
    let e164 = shown["number"]["e164"].as_str().unwrap().to_owned();
    let national = shown["number"]["national"].as_str().unwrap();
    assert!(e164.starts_with("+81501234567") && e164.len() == 13, "{shown}");
    assert_eq!(national.replace('-', ""), e164.replace("+81", "0"), "S36");
    assert_eq!(national.find('-'), Some(3));

    let (status, asked) = app.name("（０９０）１２３４－５６７８", "わたしのiPhone").await;
    assert_eq!((status, &asked["step"]), (200, &"code".into()), "{asked}");
    let digits = the_code(folder.path(), "+819012345678").await;
    let (status, registered) = app.post("code", json!({"code": digits})).await;
    assert_eq!((status, &registered["step"]), (200, &"forwarding".into()), "{registered}");
    assert_eq!(registered["guides"], "/v1/guides");
    assert_eq!(app.get("/v1/setup").await.1["step"], "forwarding");

    let session = app.with(registered["token"].as_str().unwrap());
    let (status, me) = session.get("/v1/me").await;
    assert_eq!((status, &me["number"]["e164"]), (200, &e164.clone().into()), "{me}");
    assert_eq!(me["plan"], json!({"monthly_yen": 290, "monthly_yen_with_tax": 319}));
    assert_eq!((&me["line"]["national"], &me["state"]), (&LINE.into(), &"active".into()));
    assert_eq!(session.get("/v1/me/devices").await.1["items"][0]["name"], "わたしのiPhone");
    assert_eq!(session.get("/v1/me/forwarding").await.1["state"], "waiting");

    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    // A call of the own phone straight to the 050 number is no forwarded call.
    let mailbox = centre.plane.directory().mailbox(&e164).await.unwrap().unwrap().id;
    let mut own = arrival(1, mailbox, number("+819012345678"));
    own.opened.answered_at = WallTime::from_unix_millis(i64::MAX / 2);
    centre.arrive(&own).await;
    assert_eq!(app.get("/v1/setup").await.1["step"], "forwarding");
    let mut call = arrival(2, mailbox, number("+81312345678"));
    call.opened.answered_at = WallTime::from_unix_millis(i64::MAX / 2);
    centre.arrive(&call).await;
    assert_eq!(app.get("/v1/setup").await.1["step"], "done");
    assert_eq!(session.get("/v1/me/forwarding").await.1["state"], "proven");
    let (_, messages) = session.get("/v1/me/messages").await;
    assert_eq!(messages["items"].as_array().unwrap().len(), 2);
    assert!(!messages.to_string().contains(&e164), "S11: nothing else shows the number");
    centre.stop().await;
}

/// S34–S35: serial and restore are entries of one flow.
#[tokio::test]
async fn s34_s36_a_serial_redeems_once_and_restore_gives_the_same_contract() {
    let (folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let (first, second) = (App::begin(&centre).await, App::begin(&centre).await);
    for app in [&first, &second] {
        let (status, found) = app.post("serial", json!({"serial": serial})).await;
        assert_eq!((status, &found["step"]), (200, &"terms".into()), "{found}");
    }
    let accept = || json!({"version": 1});
    let (a, b) = tokio::join!(first.post("terms", accept()), second.post("terms", accept()));
    let (winner, shown, loser) = if a.0 == 200 { (&first, &a.1, &b) } else { (&second, &b.1, &a) };
    assert_eq!((loser.0, code(&loser.1)), (409, "serial_redeemed"), "{loser:?}");
    let (status, again) = winner.post("terms", accept()).await;
    assert_eq!((status, &again), (200, shown), "asked again, the answer is the same");
    let (status, again) = winner.post("serial", json!({"serial": serial})).await;
    assert_eq!((status, &again["number"]), (200, &shown["number"]), "{again}");

    let third = App::begin(&centre).await;
    let (status, refused) = third.post("serial", json!({"serial": serial})).await;
    assert_eq!((status, code(&refused)), (409, "serial_redeemed"));
    let (status, restored) = third.post("restore", json!({"serial": serial})).await;
    assert_eq!((status, &restored["step"]), (200, &"device".into()), "{restored}");
    assert_eq!(restored["number"], shown["number"]);
    let (status, asked) = third.name(LINE, "居間のタブレット").await;
    assert_eq!(status, 200, "{asked}");
    let digits = the_code(folder.path(), "+819012345678").await;
    assert_eq!(third.post("code", json!({"code": digits})).await.0, 200);
    let (_, pool) = centre.get("/v1/numbers").await;
    assert_eq!(pool["assigned"], 1, "one contract, one number");
    centre.stop().await;
}

/// S18–S20.
#[tokio::test]
async fn s18_s20_a_purchase_is_refused_and_not_offered_to_who_has_a_contract() {
    let (_folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    let (status, refused) = app.post("purchase", Value::Null).await;
    assert_eq!((status, code(&refused)), (409, "purchase_not_offered"));
    let (_, found) = app.post("serial", json!({"serial": serial})).await;
    assert_eq!(found["entries"], json!(["serial", "restore"]));
    let (status, refused) = app.post("purchase", Value::Null).await;
    assert_eq!((status, code(&refused)), (409, "carrier_contract_exists"));
    centre.stop().await;
}

#[tokio::test]
async fn s29_nothing_is_redeemed_without_the_terms_that_hold_now() {
    let (_folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    for step in ["terms", "device", "code"] {
        let body = match step {
            "terms" => json!({"version": 1}),
            "device" => json!({"number": LINE, "name": "電話"}),
            _ => json!({"code": "0000"}),
        };
        let (status, refused) = app.post(step, body).await;
        assert_eq!((status, code(&refused)), (409, "wrong_step"), "{refused}");
    }
    app.post("serial", json!({"serial": serial})).await;
    let (status, refused) = app.post("terms", json!({"version": 2})).await;
    assert_eq!((status, code(&refused)), (409, "terms_not_accepted"), "{refused}");
    let (status, refused) = app.name(LINE, "電話").await;
    assert_eq!((status, code(&refused)), (409, "wrong_step"));
    assert_eq!(centre.get("/v1/numbers").await.1["assigned"], 0);
    let (status, _) = app.post("terms", json!({"version": 1})).await;
    assert_eq!(status, 200, "the right version is still taken");
    centre.stop().await;
}

#[tokio::test]
async fn s30_a_mistyped_or_unknown_serial_is_refused() {
    let (_folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    let last = if serial.ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{last}", &serial[..serial.len() - 1]);
    for serial in [mistyped.as_str(), "", "1234"] {
        let (status, refused) = app.post("serial", json!({"serial": serial})).await;
        assert_eq!((status, &refused["field"]), (422, &"serial".into()), "{refused}");
    }
    let (status, refused) = app.post("restore", json!({"serial": "0".repeat(20)})).await;
    assert_eq!((status, code(&refused)), (404, "serial_unknown"), "{refused}");
    assert_eq!(app.get("/v1/setup").await.1["step"], "entry");
    centre.stop().await;
}

#[tokio::test]
async fn s38_parallel_guesses_are_never_more_than_five_counted_tries() {
    let (folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    app.redeem(&serial).await;
    assert_eq!(app.name(LINE, "電話").await.0, 200);
    let right = the_code(folder.path(), "+819012345678").await;
    let wrong = (0..40).map(|n| (right.parse::<u32>().unwrap() + 1 + n) % 10_000);
    let guesses = wrong.map(|guess| app.post("code", json!({"code": format!("{guess:04}")})));
    let answers = futures::future::join_all(guesses.collect::<Vec<_>>()).await;
    let count = |wanted| answers.iter().filter(|(_, answer)| code(answer) == wanted).count();
    assert_eq!((count("wrong_code"), count("code_over")), (5, 35), "{answers:?}");
    let (status, late) = app.post("code", json!({"code": right})).await;
    assert_eq!((status, code(&late)), (409, "code_over"), "the right one comes too late");
    centre.stop().await;
}

#[tokio::test]
async fn s38_a_number_gets_one_code_a_minute() {
    let (folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    app.redeem(&serial).await;
    assert_eq!(app.name(LINE, "電話").await.0, 200);
    let body = json!({"number": LINE, "name": "電話"});
    let answer = app.request("POST", "/v1/setup/device").json(&body).send().await.unwrap();
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let (status, refused) = read(answer).await;
    assert_eq!((status, code(&refused)), (429, "too_many_requests"), "{refused}");
    // From another set-up of the same line, too: the limit is the number's.
    let other = App::begin(&centre).await;
    assert_eq!(other.post("restore", json!({"serial": serial})).await.0, 200);
    assert_eq!(other.name("+81 90 1234 5678", "二台目").await.0, 429);
    let digits = the_code(folder.path(), "+819012345678").await;
    assert_eq!(app.post("code", json!({"code": digits})).await.0, 200, "the first one holds");
    centre.stop().await;
}

#[tokio::test]
async fn s38_answers_do_not_tell_whether_a_number_is_the_contracts() {
    let (folder, centre) = resting().await;
    prepare(&centre).await;
    let (mine, theirs) = (apply(&centre, LINE).await, apply(&centre, "080-1111-2222").await);
    let known = App::begin(&centre).await;
    known.redeem(&mine).await;
    let stranger = App::begin(&centre).await;
    stranger.redeem(&theirs).await;
    // Each gives a number: the contract's own, another subscriber's, nobody's.
    let (status, own) = known.name(LINE, "電話").await;
    assert_eq!(status, 200);
    for other in ["070-3333-4444", "060-5555-6666"] {
        let (status, answer) = stranger.name(other, "電話").await;
        assert_eq!(status, 200, "{answer}");
        for field in ["step", "next", "entries", "terms", "device", "guides"] {
            assert_eq!(answer[field], own[field], "{field}");
        }
        assert_eq!(stranger.name(other, "電話").await.0, 429, "and is limited alike");
        let (status, wrong) = stranger.post("code", json!({"code": "0000"})).await;
        assert_eq!((status, code(&wrong)), (422, "wrong_code"));
    }
    let digits = the_code(folder.path(), "+819012345678").await;
    let guess = if digits == "0000" { "0001" } else { "0000" };
    let (status, wrong) = known.post("code", json!({"code": guess})).await;
    assert_eq!((status, code(&wrong)), (422, "wrong_code"));
    assert_eq!(wrong["detail"], "the code is wrong; 4 more may be tried before a new SMS");
    for other in ["+817033334444", "+816055556666", "+818011112222"] {
        assert!(codes_to(folder.path(), other).await.is_empty(), "{other} rings for nobody");
    }
    centre.stop().await;
}

#[tokio::test]
async fn s39_the_same_code_again_gives_the_same_session_and_registers_nothing() {
    let (folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    app.redeem(&serial).await;
    assert_eq!(app.name(LINE, "電話").await.0, 200);
    let digits = the_code(folder.path(), "+819012345678").await;
    let body = || json!({"code": digits});
    let (a, b) = tokio::join!(app.post("code", body()), app.post("code", body()));
    assert_eq!((a.0, &a), (200, &b), "at once or later, the answer is one");
    assert_eq!(app.post("code", body()).await, a);
    let session = app.with(a.1["token"].as_str().unwrap());
    assert_eq!(session.get("/v1/me/devices").await.1["items"].as_array().unwrap().len(), 1);
    let (status, refused) = app.name(LINE, "電話").await;
    assert_eq!((status, code(&refused)), (409, "wrong_step"), "it is done");
    // Signed out, the old code opens nothing any more.
    assert_eq!(session.json("POST", "/v1/me/sign-out", Value::Null).await.0, 204);
    assert_eq!(app.post("code", body()).await.0, 401);
    assert_eq!(session.get("/v1/me").await.0, 401);
    centre.stop().await;
}

#[tokio::test]
async fn s37_own_number_and_device_name_are_checked() {
    let (_folder, centre) = resting().await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    app.redeem(&serial).await;
    for (number, name, field) in [
        ("050-9876-5432", "電話", "number"),
        ("03-9876-5432", "電話", "number"),
        ("", "電話", "number"),
        (LINE, "", "name"),
        (LINE, &"電".repeat(51), "name"),
    ] {
        let (status, refused) = app.name(number, name).await;
        assert_eq!((status, &refused["field"]), (422, &field.into()), "{number} {refused}");
        assert!(!refused.to_string().contains("9876"), "no error repeats a number");
    }
    assert_eq!(app.name(LINE, &"電".repeat(50)).await.0, 200);
    for wrong in ["", "123", "12345", "abcd"] {
        let (status, refused) = app.post("code", json!({"code": wrong})).await;
        assert_eq!((status, &refused["field"]), (422, &"code".into()), "{refused}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn a_set_up_needs_its_token() {
    let (_folder, centre) = resting().await;
    assert_eq!(code(&centre.anyone().get("/v1/setup").await.1), "no_setup");
    let app = App::begin(&centre).await;
    for wrong in [format!("rsu_{}", "0".repeat(64)), centre.key.clone()] {
        let (status, refused) = app.with(&wrong).get("/v1/setup").await;
        assert_eq!((status, code(&refused)), (401, "wrong_setup"));
    }
    let (status, refused) = app.get("/v1/me").await;
    assert_eq!((status, code(&refused)), (401, "wrong_session"), "a set-up is no session");
    centre.stop().await;
}

#[tokio::test]
async fn s53_the_subscriber_sees_what_cancelling_would_mean() {
    let (folder, centre) = resting().await;
    let Registered { session, .. } = registered(folder.path(), &centre).await;
    let (status, preview) = session.get("/v1/me/cancellation").await;
    assert_eq!(status, 200, "{preview}");
    let (_, me) = session.get("/v1/me").await;
    // It is the carrier that cancels, on its member page (S27) or at the counter.
    let cancel = session.json("POST", "/v1/me/cancellation", Value::Null).await;
    assert_eq!((cancel.0, code(&cancel.1)), (405, "method_not_allowed"));
    let path = format!("/v1/contracts/{}/cancellation", me["contract"].as_str().unwrap());
    let (_, operators) = centre.get(&path).await;
    for field in ["ends_on", "ends_at", "charges", "total_yen_with_tax"] {
        assert_eq!(preview[field], operators[field], "{field}");
    }
    assert_eq!(centre.json("POST", &path, json!({})).await.0 / 100, 2);
    let (_, me) = session.get("/v1/me").await;
    assert_eq!((&me["state"], &me["ends_on"]), (&"ending".into(), &preview["ends_on"]), "{me}");
    centre.stop().await;
}

#[tokio::test]
async fn s09_a_message_is_told_as_the_subscriber_chose() {
    let (folder, centre) = resting().await;
    let Registered { session, number: e164, .. } = registered(folder.path(), &centre).await;
    // Quiet an hour around this minute in Japan, so that what is to be told waits.
    let minute = (now().as_unix_millis() / 60_000 + 9 * 60).rem_euclid(1_440) as u16;
    let (from, to) = ((minute + 1_380) % 1_440, (minute + 60) % 1_440);
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let choice = json!({"mail": false, "addresses": ["a@example.jp"], "sms": true,
        "quiet_hours": {"from": clock(from), "to": clock(to)}});
    let (status, chosen) = session.json("PATCH", "/v1/me/notifications", choice).await;
    assert_eq!(status, 200, "{chosen}");
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    let mailbox = centre.plane.directory().mailbox(&e164).await.unwrap().unwrap().id;
    let call = arrival(1, mailbox, number("+81312345678"));
    centre.arrive(&call).await;
    centre.reach(call.opened.recording, "transcribed").await;
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let far = WallTime::from_unix_millis(now().as_unix_millis() + 864_000_000);
    let mut told = Vec::new();
    for channel in [Channel::Mail, Channel::Sms, Channel::Push] {
        let waiting = store.lease_deliveries(channel, far, far, 100).await.unwrap();
        let of_message =
            waiting.into_iter().filter(|one| one.notice.body == NoticeBody::NewMessage);
        told.extend(of_message.map(|one| (channel, one.target, one.notice.quiet_hours)));
    }
    let hours = QuietHours::new(from, to).unwrap();
    let sms = (Channel::Sms, "+819012345678".to_owned(), Some(hours));
    assert_eq!(told, [sms], "by SMS to the line, outside of the quiet hours, and by nothing else");
    centre.stop().await;
}
