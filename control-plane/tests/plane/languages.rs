//! Refusals in the reader's language (RFC 9457 §3.1.3, RFC 9110 §12.5.4).

use reqwest::header::{CONTENT_LANGUAGE, VARY};
use serde_json::{Value, json};

use crate::client::{Client, read};
use crate::setup::{App, LINE, Registered, registered, resting};
use crate::support::Centre;

/// Status, language and problem of a request in this language.
async fn asked(
    who: &Client,
    (method, path, body): &(&str, &str, Value),
    accepts: &str,
) -> (u16, String, Value) {
    let request = who.request(method, path).header("accept-language", accepts).json(body);
    let response = request.send().await.unwrap();
    let headers = response.headers();
    assert_eq!(headers[VARY], "accept-language", "{path}");
    let language = headers[CONTENT_LANGUAGE].to_str().unwrap().to_owned();
    let (status, problem) = read(response).await;
    (status, language, problem)
}

fn is_japanese(text: &str) -> bool {
    text.contains(|c| matches!(c, 'ぁ'..='ヿ' | '一'..='鿿'))
}

/// Three plain words in a row.
fn is_english(text: &str) -> bool {
    let words = text.split_whitespace().map(|word| word.bytes().all(|b| b.is_ascii_lowercase()));
    let words: Vec<bool> = words.collect();
    words.windows(3).any(|three| three == [true; 3])
}

/// Everything that a person may do wrong with the app.
fn mistakes() -> Vec<(&'static str, &'static str, Value)> {
    let setup = |path, body| ("POST", path, body);
    vec![
        ("GET", "/v1/me/messages/01980c2e-7b7a-7cc3-98c4-dc0c0c07398f", Value::Null),
        ("GET", "/v1/me/messages?q=%20", Value::Null),
        ("GET", "/v1/me/messages?q=", Value::Null),
        ("GET", "/v1/me/greeting", Value::Null),
        ("PATCH", "/v1/me/settings", json!({"recording_limit_s": 61})),
        ("PATCH", "/v1/me/settings", json!({"quiet_limit_s": 1})),
        ("PATCH", "/v1/me/settings", json!({"greeting": "own"})),
        ("PATCH", "/v1/me/settings", json!({"addresses": ["a"]})),
        ("PATCH", "/v1/me/settings", json!({"hotwords": [""]})),
        (
            "PATCH",
            "/v1/me/settings",
            json!({"hotwords": (0..51).collect::<Vec<_>>().iter().map(i32::to_string).collect::<Vec<_>>()}),
        ),
        ("PATCH", "/v1/me/settings", json!({"addresses": ["a@example.jp", "a@example.jp"]})),
        ("PATCH", "/v1/me/notifications", json!({"quiet_hours": {"from": "1", "to": "2"}})),
        setup("/v1/me/blocked-callers", json!({"number": "x"})),
        setup("/v1/me/blocked-callers", json!({})),
        ("PUT", "/v1/me/push", json!({"endpoint": "x", "keys": {"auth": "", "p256dh": ""}})),
        ("PATCH", "/v1/me/devices/01980c2e-7b7a-7cc3-98c4-dc0c0c07398f", json!({"name": ""})),
    ]
}

/// Everything that a person may do wrong while the app is set up, before and behind the terms.
fn missteps() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("POST", "/v1/setup/serial", json!({"serial": "x"})),
        ("POST", "/v1/setup/restore", json!({"serial": "00000000000000000000"})),
        ("POST", "/v1/setup/purchase", Value::Null),
        ("POST", "/v1/setup/terms", json!({"version": 0})),
        ("POST", "/v1/setup/terms", json!({"version": 1})),
        ("POST", "/v1/setup/code", json!({"code": "1"})),
        ("POST", "/v1/setup/code", json!({"code": "0000"})),
        ("POST", "/v1/setup/device", json!({"number": "1", "name": "x"})),
        ("POST", "/v1/setup/device", json!({"number": LINE, "name": ""})),
    ]
}

async fn both(who: &Client, mistake: &(&'static str, &'static str, Value)) {
    let (status, language, english) = asked(who, mistake, "en").await;
    assert!((400..500).contains(&status), "{mistake:?} answers {status} {english}");
    assert_eq!(language, "en");
    assert!(!is_japanese(&english.to_string()), "{english}");
    let (again, language, japanese) = asked(who, mistake, "ja-JP, en;q=0.5").await;
    assert_eq!((again, language.as_str()), (status, "ja"));
    for field in ["title", "detail"] {
        let words = japanese[field].as_str().unwrap();
        assert!(is_japanese(words) && !is_english(words), "{mistake:?}: {words}");
    }
    for field in ["type", "status", "code", "field"] {
        assert_eq!(japanese[field], english[field], "only the words differ");
    }
}

#[tokio::test]
async fn subscribers_read_every_refusal_in_japanese_or_english() {
    let (folder, centre) = resting().await;
    let Registered { session, app, serial, .. } = registered(folder.path(), &centre).await;
    for mistake in mistakes() {
        both(&session, &mistake).await;
    }
    both(&centre.anyone(), &("GET", "/v1/me", Value::Null)).await;
    both(&centre.with("x"), &("GET", "/v1/me", Value::Null)).await;
    both(&centre.anyone(), &("GET", "/v1/setup", Value::Null)).await;
    both(&centre.with("x"), &("GET", "/v1/setup", Value::Null)).await;
    both(&app, &("POST", "/v1/setup/device", json!({"number": LINE, "name": "x"}))).await;
    let other = App::begin(&centre).await;
    let used = json!({"serial": serial});
    both(&other, &("POST", "/v1/setup/serial", used.clone())).await;
    for misstep in missteps() {
        both(&other, &misstep).await;
    }
    assert_eq!(other.post("restore", used).await.0, 200);
    both(&other, &("POST", "/v1/setup/purchase", Value::Null)).await;
    // The number had its one code of this minute.
    both(&other, &("POST", "/v1/setup/device", json!({"number": LINE, "name": "x"}))).await;
    centre.stop().await;
}

#[tokio::test]
async fn operators_are_told_in_japanese_without_losing_what_is_exact() {
    let (_folder, centre) = Centre::running().await;
    let wrong = ("POST", "/v1/numbers", json!({"first": "x", "last": "x"}));
    let (_, _, english) = asked(&centre, &wrong, "en").await;
    let (status, language, japanese) = asked(&centre, &wrong, "ja").await;
    assert_eq!((status, language.as_str()), (422, "ja"));
    let detail = japanese["detail"].as_str().unwrap();
    assert!(is_japanese(detail) && detail.contains(english["detail"].as_str().unwrap()));
    let (_, language, _) = asked(&centre, &("GET", "/nothing", Value::Null), "ja").await;
    assert_eq!(language, "ja", "where no route is, too");
    centre.stop().await;
}
