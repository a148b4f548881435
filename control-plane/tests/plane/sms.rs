//! SMS as a message centre of another maker (npm smpp), an HTTP gateway and the folder take them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use control_plane::notice::{Notice, NoticeBody, NoticeId};
use control_plane::outbox::Channel;
use control_plane::quiet::QuietHours;
use control_plane::store::sqlite::SqliteStore;
use control_plane::store::{NoticeStore, OutboxStore};
use control_plane::{PlaneConfig, SmppConfig, SmsConfig, SmsHttpConfig};
use serde_json::Value;

use crate::peers::Peer;
use crate::support::{Centre, now, until};

fn code(id: u128) -> Notice {
    let body = NoticeBody::OneTimeCode { code: "4711".to_owned(), minutes: 10 };
    Notice::new(NoticeId::from_u128(id), body, "setup", now())
}

fn roaming(id: u128, guide: &str) -> Notice {
    let body = NoticeBody::Roaming { guide_url: Some(guide.to_owned()) };
    Notice::new(NoticeId::from_u128(id), body, "contract", now())
}

fn smpp(port: &Value, message_payload: bool) -> PlaneConfig {
    let smpp = SmppConfig {
        host: "127.0.0.1".to_owned(),
        port: Some(port.as_u64().unwrap() as u16),
        tls: false,
        system_id: "rusuden".to_owned(),
        password: "secret".to_owned(),
        system_type: String::new(),
        from: "+819000000000".to_owned(),
        per_second_max: 100,
        message_payload,
    };
    PlaneConfig { sms: Some(SmsConfig::Smpp(smpp)), ..PlaneConfig::default() }
}

/// Puts notices as the rest of the service does, and runs it.
async fn told(
    folder: &Path,
    config: PlaneConfig,
    notices: &[(&Notice, &str)],
) -> (Centre, SqliteStore) {
    let centre = Centre::open(folder, config).await;
    let store = SqliteStore::open(folder).await.unwrap();
    for (notice, to) in notices {
        store.put_notice(notice, &[(Channel::Sms, to)]).await.unwrap();
    }
    centre.plane.run_background().await.unwrap();
    (centre, store)
}

/// Waits until nothing is left to tell over SMS.
async fn settled(store: &SqliteStore) {
    while store.next_delivery(Channel::Sms).await.unwrap().is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn s38_a_code_leaves_over_smpp_as_one_japanese_sms_and_its_receipt_is_kept() {
    let (mut centre, port) = Peer::start("message_centre.js").await;
    let folder = tempfile::tempdir().unwrap();
    let notice = code(1);
    let (plane, store) =
        told(folder.path(), smpp(&port, false), &[(&notice, "+819012345678")]).await;
    assert_eq!(centre.next_event("bound").await["version"], 0x34, "SMPP 3.4");
    let seen = centre.next_event("submit").await;
    let text = seen["text"].as_str().unwrap();
    assert!(text.contains("認証コード: 4711") && text.encode_utf16().count() <= 70, "{text}");
    assert_eq!((&seen["to"], &seen["from"]), (&"819012345678".into(), &"819000000000".into()));
    assert_eq!(seen["ton"], serde_json::json!([1, 1]), "both international");
    assert_eq!((&seen["coding"], &seen["esm_class"]), (&8.into(), &0.into()), "UCS-2, whole");
    assert_eq!((&seen["udh"], &seen["receipt"]), (&"".into(), &1.into()));
    assert_eq!(centre.next_event("receipt_taken").await["status"], 0);
    loop {
        if store.sms_states(notice.id).await.unwrap() == [Some("delivered".to_owned())] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    settled(&store).await;
    plane.stop().await;
    centre.next_event("unbound").await;
}

#[tokio::test]
async fn a_long_sms_is_cut_into_parts_or_left_whole_for_the_centre_to_cut() {
    let guide = format!("https://rusuden.example/{}", "a".repeat(60));
    for payload in [false, true] {
        let (mut centre, port) = Peer::start("message_centre.js").await;
        let folder = tempfile::tempdir().unwrap();
        let notice = roaming(2, &guide);
        let (plane, store) =
            told(folder.path(), smpp(&port, payload), &[(&notice, "+819012345678")]).await;
        let first = centre.next_event("submit").await;
        let mut text = first["text"].as_str().unwrap().to_owned();
        assert_eq!(first["payload"], payload);
        if !payload {
            let second = centre.next_event("submit").await;
            text.push_str(second["text"].as_str().unwrap());
            let header = |seen: &Value| seen["udh"].as_str().unwrap().to_owned();
            let (one, two) = (header(&first), header(&second));
            assert_eq!(first["esm_class"], 0x40);
            assert!(one.ends_with("0201") && two.ends_with("0202"), "{one} {two}");
            assert_eq!(one[..one.len() - 2], two[..two.len() - 2], "one reference");
        }
        assert!(text.starts_with("【留守番電話】") && text.ends_with(&guide), "{text}");
        settled(&store).await;
        plane.stop().await;
    }
}

#[tokio::test]
async fn a_throttled_sms_comes_again_and_a_refused_one_does_not() {
    let (mut centre, port) = Peer::start("message_centre.js").await;
    let folder = tempfile::tempdir().unwrap();
    let (refused, throttled) = (code(3), code(4));
    let notices = [(&refused, "+819000000011"), (&throttled, "+819000000058")];
    let (plane, store) = told(folder.path(), smpp(&port, false), &notices).await;
    settled(&store).await;
    plane.stop().await;
    let mut seen = Vec::new();
    loop {
        let line = centre.next().await;
        match line["event"].as_str().unwrap() {
            "submit" => seen.push(line["to"].as_str().unwrap().to_owned()),
            "unbound" => break,
            _ => {}
        }
    }
    seen.sort();
    assert_eq!(seen, ["819000000011", "819000000058", "819000000058"]);
}

#[tokio::test]
async fn an_sms_whose_answer_is_lost_is_sent_at_most_once_more_and_the_centre_is_bound_again() {
    let (mut centre, port) = Peer::start("message_centre.js").await;
    let folder = tempfile::tempdir().unwrap();
    let lost = code(5);
    let (plane, store) = told(folder.path(), smpp(&port, false), &[(&lost, "+819000000099")]).await;
    for _ in 0..2 {
        centre.next_event("bound").await;
        centre.next_event("submit").await;
        centre.tell("drop").await;
    }
    settled(&store).await;
    centre.next_event("bound").await;
    plane.stop().await;
    assert_eq!(centre.next().await["event"], "unbound", "there is no third");
}

/// S09: once each, through crashes.
#[tokio::test]
async fn a_crash_between_send_and_record_sends_an_sms_at_most_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let notice = code(6);
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let store = SqliteStore::open(folder.path()).await.unwrap();
    store.put_notice(&notice, &[(Channel::Sms, "+819012345678")]).await.unwrap();
    // Two processes die, each after sending and before recording it.
    for _ in 0..2 {
        let leased = store.lease_deliveries(Channel::Sms, now(), now(), 1).await.unwrap();
        assert!(store.begin_delivery(&leased[0]).await.unwrap());
    }
    centre.plane.run_background().await.unwrap();
    settled(&store).await;
    assert_eq!(std::fs::read_dir(folder.path().join("sms")).unwrap().count(), 0, "no third");
    centre.stop().await;
}

#[tokio::test]
async fn without_a_centre_sms_land_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let notice = code(7);
    let to = [(&notice, "+819012345678")];
    let (plane, store) = told(folder.path(), PlaneConfig::default(), &to).await;
    settled(&store).await;
    plane.stop().await;
    let files: Vec<_> = std::fs::read_dir(folder.path().join("sms"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1);
    assert!(files[0].extension().is_some_and(|ending| ending == "sms"));
    let content = std::fs::read_to_string(&files[0]).unwrap();
    assert!(
        content.starts_with("To: +819012345678\n\n【留守番電話】認証コード: 4711"),
        "{content}"
    );
}

#[tokio::test]
async fn quiet_hours_hold_an_sms_back_but_not_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let minute = (now().as_unix_millis() / 60_000 + 9 * 60).rem_euclid(1_440) as u16;
    let hours = QuietHours::new((minute + 1_380) % 1_440, (minute + 60) % 1_440).unwrap();
    let (mut quiet, mut awaited) = (roaming(8, "https://rusuden.example"), code(9));
    (quiet.quiet_hours, awaited.quiet_hours) = (Some(hours), Some(hours));
    let notices = [(&quiet, "+819012345678"), (&awaited, "+819012345678")];
    let (plane, store) = told(folder.path(), PlaneConfig::default(), &notices).await;
    let sms = folder.path().join("sms");
    let files = || std::fs::read_dir(&sms).unwrap().count();
    until("the code", || (files() == 1).then_some(())).await;
    // While it is looked at, its lease stands in place of the hours' end.
    while store.next_delivery(Channel::Sms).await.unwrap() != hours.end(now()) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    plane.stop().await;
    assert_eq!(files(), 1);
}

/// What a gateway saw: authorization, idempotency key, body.
type Seen = Arc<Mutex<Vec<(String, String, Value)>>>;

async fn gateway(State(seen): State<Seen>, headers: HeaderMap, body: String) -> StatusCode {
    let text = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mut seen = seen.lock().unwrap();
    seen.push((
        text("authorization"),
        text("idempotency-key"),
        serde_json::from_str(&body).unwrap(),
    ));
    if seen.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED }
}

#[tokio::test]
async fn an_http_gateway_takes_json_with_the_same_id_when_it_comes_again() {
    let seen = Seen::default();
    let router =
        axum::Router::new().route("/send", axum::routing::post(gateway)).with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/send", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let http =
        SmsHttpConfig { url, token: Some("hunter2".to_owned()), from: Some("RUSUDEN".to_owned()) };
    let config = PlaneConfig { sms: Some(SmsConfig::Http(http)), ..PlaneConfig::default() };
    let folder = tempfile::tempdir().unwrap();
    let notice = code(10);
    let (plane, store) = told(folder.path(), config, &[(&notice, "+819012345678")]).await;
    settled(&store).await;
    plane.stop().await;
    serving.abort();
    let seen = seen.lock().unwrap();
    let [first, second] = seen.as_slice() else { panic!("{}", seen.len()) };
    assert_eq!((&*first.0, &first.1), ("Bearer hunter2", &second.1));
    assert_eq!(first.2["id"], *first.1);
    assert_eq!((&first.2["to"], &first.2["from"]), (&"+819012345678".into(), &"RUSUDEN".into()));
    assert!(first.2["text"].as_str().unwrap().contains("4711"));
    assert!(first.2["validity_s"].as_u64().unwrap() <= 600);
}
