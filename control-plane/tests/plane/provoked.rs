//! Every refusal that the API documents can be met: each code is provoked over HTTP. That nothing
//! undocumented is met, `client` checks with every answer of every test.

use std::path::Path;

use control_plane::{PlaneConfig, Scope};
use serde_json::{Value, json};

use crate::client::{Client, Description};
use crate::setup::{App, LINE, apply, prepare, publish_terms, the_code};
use crate::subscriber::App as Device;
use crate::support::{Centre, arrival, number};

const UNKNOWN: &str = "01980c2e-7b7a-7cc3-98c4-dc0c0c07398f";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_refusal_can_be_met() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    unreadable(&centre).await;
    strangers(&centre).await;
    contracts(&centre).await;
    set_ups(folder.path(), &centre).await;
    full(&centre).await;
    months(folder.path(), &centre).await;
    // Until here codes must stay where they can be read.
    centre.plane.run_background().await.unwrap();
    messages(&centre).await;
    broken(folder.path(), &centre).await;
    let mut documented = Description::get().await.codes();
    // No operation has it: it says that there is none.
    documented.insert("method_not_allowed".to_owned());
    assert_eq!(centre.codes(), documented);
    centre.stop().await;
}

/// Asks and is refused with this code.
async fn meets(who: &Client, method: &str, path: &str, body: Value, code: &str) {
    let (status, problem) = who.json(method, path, body).await;
    assert_eq!(problem["code"], code, "{method} {path} answers {status} {problem}");
}

async fn unreadable(centre: &Centre) {
    let nothing = || Value::Null;
    meets(centre, "GET", "/v1/mailboxes/1", nothing(), "malformed_path").await;
    meets(centre, "GET", "/v1/mailboxes?limit=0", nothing(), "malformed_query").await;
    meets(centre, "PUT", "/v1/mailboxes", nothing(), "method_not_allowed").await;
    meets(centre, "GET", &format!("/v1/mailboxes/{UNKNOWN}"), nothing(), "not_found").await;
    meets(centre, "POST", "/v1/mailboxes", json!({"number": 1}), "invalid_field").await;
    let post = |path: &str| centre.request("POST", path);
    let json_type = ("content-type", "application/json");
    let long = vec![b' '; 64 * 1_024 + 1];
    for request in [
        post("/v1/mailboxes").header(json_type.0, json_type.1).body("{"),
        post("/v1/mailboxes").header(json_type.0, json_type.1).body(long),
        post("/v1/mailboxes").body("{}"),
        post("/v1/contracts").header("idempotency-key", "").json(&json!({})),
        centre.request("GET", "/v1/billing/months/2026-01").header("accept", "image/png"),
    ] {
        assert!(request.send().await.unwrap().status().is_client_error());
    }
}

async fn strangers(centre: &Centre) {
    let (_, reader) = centre.plane.keys().create_key("r", &[Scope::MailboxesRead]).await.unwrap();
    let table = [
        ("/v1/mailboxes", "no_key", "wrong_key"),
        ("/v1/me", "no_session", "wrong_session"),
        ("/v1/setup", "no_setup", "wrong_setup"),
    ];
    for (path, none, wrong) in table {
        meets(&centre.anyone(), "GET", path, Value::Null, none).await;
        meets(&centre.with("x"), "GET", path, Value::Null, wrong).await;
    }
    meets(&centre.with(&reader), "GET", "/v1/audit", Value::Null, "missing_scope").await;
}

async fn contracts(centre: &Centre) {
    let wish = |line: &str| json!({"line": line, "kind": "individual", "email": "a@example.jp"});
    let (first, second) = ("+818000000001", "+818000000002");
    assert_eq!(centre.json("POST", "/v1/contracts", wish(first)).await.0, 201);
    meets(centre, "POST", "/v1/contracts", wish(first), "contract_exists").await;
    let carrier = format!("/v1/lines/{second}/carrier-voicemail");
    assert_eq!(centre.json("PUT", &carrier, Value::Null).await.0, 200);
    meets(centre, "POST", "/v1/contracts", wish(second), "carrier_voicemail_active").await;
    for line in ["+818000000003", "+818000000004"] {
        let request = centre.request("POST", "/v1/contracts").header("idempotency-key", "k");
        request.json(&wish(line)).send().await.unwrap();
    }
    assert!(centre.codes().contains("idempotency_key_reused"));
}

async fn set_ups(folder: &Path, centre: &Centre) {
    let serial = apply(centre, LINE).await;
    let app = App::begin(centre).await;
    let step = |step: &str| format!("/v1/setup/{step}");
    let wanted = json!({"serial": "0".repeat(20)});
    meets(&app, "POST", &step("restore"), wanted, "serial_unknown").await;
    meets(&app, "POST", &step("purchase"), Value::Null, "purchase_not_offered").await;
    meets(&app, "POST", &step("code"), json!({"code": "0000"}), "wrong_step").await;
    assert_eq!(app.post("serial", json!({"serial": serial})).await.0, 200);
    meets(&app, "POST", &step("purchase"), Value::Null, "carrier_contract_exists").await;
    let version = |version: u32| json!({"version": version});
    meets(&app, "POST", &step("terms"), version(9), "terms_not_accepted").await;
    publish_terms(centre).await;
    meets(&app, "POST", &step("terms"), version(1), "no_number_free").await;
    prepare(centre).await;
    assert_eq!(app.post("terms", version(2)).await.0, 200);
    let other = App::begin(centre).await;
    let again = json!({"serial": serial});
    meets(&other, "POST", &step("serial"), again, "serial_redeemed").await;
    assert_eq!(app.name(LINE, "電話").await.0, 200);
    let named = json!({"number": LINE, "name": "電話"});
    meets(&app, "POST", &step("device"), named, "too_many_requests").await;
    let right = the_code(folder, "+819012345678").await;
    let wrong = if right == "0000" { "0001" } else { "0000" };
    for _ in 0..5 {
        meets(&app, "POST", &step("code"), json!({"code": wrong}), "wrong_code").await;
    }
    meets(&app, "POST", &step("code"), json!({"code": right}), "code_over").await;
    // Of several requests of one set-up that come at once, most find it changed meanwhile.
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while !centre.codes().contains("changed_meanwhile") {
        let at_once = (0..8).map(|_| app.post("terms", version(2)));
        futures::future::join_all(at_once.collect::<Vec<_>>()).await;
        assert!(tokio::time::Instant::now() < deadline, "they never met");
    }
    let (_, contracts) = centre.get("/v1/contracts?state=active").await;
    let mailbox = contracts["items"][0]["mailbox"].as_str().unwrap();
    let path = format!("/v1/mailboxes/{mailbox}");
    meets(centre, "DELETE", &path, Value::Null, "mailbox_of_contract").await;
}

async fn full(centre: &Centre) {
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let same = json!({"number": "+815012345678"});
    meets(centre, "POST", "/v1/mailboxes", same, "number_taken").await;
    // Nobody is to be called: the event comes only when it is asked for.
    let webhook = json!({"url": "https://example.jp/", "events": ["webhook.test"]});
    for _ in 0..50 {
        assert_eq!(centre.json("POST", "/v1/webhooks", webhook.clone()).await.0, 201);
    }
    meets(centre, "POST", "/v1/webhooks", webhook, "too_many").await;
    let blocked = format!("/v1/mailboxes/{mailbox}/blocked-callers");
    let caller = |n: u32| json!({"number": format!("0901111{n:04}")});
    for n in 0..200 {
        assert_eq!(centre.json("POST", &blocked, caller(n)).await.0, 201);
    }
    meets(centre, "POST", &blocked, caller(200), "blocked_callers_full").await;
    let subscription = |n: u32| {
        json!({"endpoint": format!("https://push.example.net/{n}"), "expirationTime": null,
            "keys": {"auth": "BTBZMqHH6r4Tts7J_aSIgg", "p256dh":
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"}})
    };
    for n in 0..20 {
        let device = Device::sign_in(centre, mailbox, "電話").await;
        assert_eq!(device.json("PUT", "/v1/me/push", subscription(n)).await.0, 204);
    }
    let one_more = Device::sign_in(centre, mailbox, "電話").await;
    meets(&one_more, "PUT", "/v1/me/push", subscription(20), "push_endpoints_full").await;
}

/// Billing that began in January 2020.
async fn months(folder: &Path, centre: &Centre) {
    sql(folder, "UPDATE contracts SET applied_on = '2020-01-15'").await;
    let close = |month: &str| format!("/v1/billing/months/{month}/close");
    meets(centre, "POST", &close("2999-12"), Value::Null, "month_not_over").await;
    meets(centre, "POST", &close("2020-02"), Value::Null, "earlier_month_open").await;
    meets(centre, "POST", &close("2019-12"), Value::Null, "before_first_month").await;
    let correction = json!({"contract": UNKNOWN, "net_yen": 1, "reason": "x"});
    let adjust = "/v1/billing/months/2020-01/adjustments";
    meets(centre, "POST", adjust, correction, "month_open").await;
}

async fn messages(centre: &Centre) {
    let mailbox = centre.mailbox("+815012345679", &[]).await;
    let message = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&message).await;
    let path = format!("/v1/messages/{}", message.opened.recording);
    meets(centre, "GET", &format!("{path}/text"), Value::Null, "not_ready").await;
    centre.answer_all();
    centre.reach(message.opened.recording, "transcribed").await;
    let beyond = centre.request("GET", &format!("{path}/audio.mp3"));
    let beyond = beyond.header("range", "bytes=99999999-").send().await.unwrap();
    assert_eq!(beyond.status(), 416);
    let greeting = centre.request("PUT", &format!("/v1/mailboxes/{mailbox}/greeting"));
    let noise = greeting.header("content-type", "audio/wav").body("noise").send().await.unwrap();
    assert_eq!(noise.status(), 422);
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    meets(centre, "GET", &path, Value::Null, "gone").await;
}

/// What only a fault of the machine brings about.
async fn broken(folder: &Path, centre: &Centre) {
    let mailbox = centre.mailbox("+815099990000", &[]).await;
    let message = arrival(2, mailbox, number("+819012345678"));
    centre.arrive(&message).await;
    centre.reach(message.opened.recording, "transcribed").await;
    let objects = folder.join("objects");
    std::fs::rename(&objects, folder.join("elsewhere")).unwrap();
    std::fs::write(&objects, "no folder").unwrap();
    let sound = format!("/v1/messages/{}/audio.mp3", message.opened.recording);
    meets(centre, "GET", &sound, Value::Null, "unavailable").await;
    sql(folder, "UPDATE mailboxes SET language = 'xx'").await;
    meets(centre, "GET", &format!("/v1/mailboxes/{mailbox}"), Value::Null, "internal").await;
}

/// Changes rows beside the service.
async fn sql(folder: &Path, statement: &'static str) {
    let url = format!("sqlite://{}", folder.join("rusuden.db").display());
    let rows = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query(statement).execute(&rows).await.unwrap();
    rows.close().await;
}
