//! Messages over REST.

use engine_core::caller::Caller;
use engine_core::id::{MailboxId, RecordingId};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Centre, arrival, mp3, number, payloads};

async fn one_message(centre: &Centre) -> (MailboxId, RecordingId) {
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    centre.reach(arrival.opened.recording, "transcribed").await;
    (mailbox, arrival.opened.recording)
}

#[tokio::test]
async fn a_message_is_marked_read_and_unread() {
    let (_folder, centre) = Centre::running().await;
    let (mailbox, id) = one_message(&centre).await;
    let count = async |read: &str| {
        let (_, page) = centre.get(&format!("/v1/mailboxes/{mailbox}/messages?read={read}")).await;
        page["items"].as_array().unwrap().len()
    };
    let path = format!("/v1/messages/{id}");
    assert_eq!((count("true").await, count("false").await), (0, 1));
    let (status, row) = centre.json("PATCH", &path, json!({"read": true})).await;
    assert_eq!((status, &row["read"]), (200, &true.into()));
    assert_eq!((count("true").await, count("false").await), (1, 0));
    let (_, row) = centre.json("PATCH", &path, json!({"read": false})).await;
    assert_eq!(row["read"], false);
    centre.stop().await;
}

#[tokio::test]
async fn messages_are_listed_newest_first_in_pages() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    for id in 1..=5 {
        centre.arrive(&arrival(id, mailbox, Caller::Withheld)).await;
    }
    let path = format!("/v1/mailboxes/{mailbox}/messages?limit=3");
    let (_, first) = centre.get(&path).await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = centre.get(&format!("{path}&cursor={next}")).await;
    let ids: Vec<_> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().unwrap())
        .map(|row| row["id"].as_str().unwrap().parse::<RecordingId>().unwrap().as_u128())
        .collect();
    assert_eq!((ids, &second["next"]), (vec![5, 4, 3, 2, 1], &Value::Null));
    centre.stop().await;
}

#[tokio::test]
async fn text_and_segments_are_given_alone() {
    let (_folder, centre) = Centre::running().await;
    let (_, id) = one_message(&centre).await;
    let text = centre.request("GET", &format!("/v1/messages/{id}/text")).send().await.unwrap();
    assert_eq!(text.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(text.text().await.unwrap(), "明日の会議は十時からです。");
    let (_, segments) = centre.get(&format!("/v1/messages/{id}/segments")).await;
    assert_eq!((&segments["language"], &segments["model"]), (&"ja".into(), &"test".into()));
    let first = &segments["segments"][0];
    assert_eq!((&first["start_ms"], &first["end_ms"]), (&100.into(), &2_400.into()));
    assert_eq!(first["text"], "明日の会議は");
    let marked = |segment: &Value| -> Vec<(String, String, u64, u64)> {
        let marks = segment["marks"].as_array().unwrap().iter();
        let text = |mark: &Value, name: &str| mark[name].as_str().unwrap().to_owned();
        let place = |mark: &Value, name: &str| mark[name].as_u64().unwrap();
        marks
            .map(|m| (text(m, "kind"), text(m, "text"), place(m, "start"), place(m, "end")))
            .collect()
    };
    assert_eq!(marked(first), [("date".to_owned(), "明日".to_owned(), 0, 2)]);
    let second = &segments["segments"][1];
    assert_eq!(marked(second), [("time".to_owned(), "十時".to_owned(), 0, 2)]);
    let time = &second["marks"][0];
    // Of the morning or of the evening?
    assert_eq!((&time["value"], &time["confidence"]), (&Value::Null, &second["confidence"]));
    centre.stop().await;
}

#[tokio::test]
async fn what_is_not_made_yet_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), control_plane::PlaneConfig::default()).await;
    centre.plane.run_background().await.unwrap();
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let arrival = arrival(1, mailbox, Caller::Withheld);
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    for part in ["text", "segments", "audio.mp3"] {
        let (status, problem) = centre.get(&format!("/v1/messages/{id}/{part}")).await;
        assert_eq!((status, &problem["code"]), (409, &"not_ready".into()), "{part}");
    }
    let (_, row) = centre.get(&format!("/v1/messages/{id}")).await;
    assert_eq!((&row["state"], &row["text"]), (&"sealed".into(), &Value::Null));
    centre.answer_all();
    centre.stop().await;
}

async fn audio(
    centre: &Centre,
    id: RecordingId,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = centre.request("GET", &format!("/v1/messages/{id}/audio.mp3"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn s13_sound_is_given_in_parts_and_not_twice() {
    let (_folder, centre) = Centre::running().await;
    let (_, id) = one_message(&centre).await;
    let (status, headers, whole) = audio(&centre, id, &[]).await;
    assert_eq!((status, &headers["content-type"]), (200, &"audio/mpeg".parse().unwrap()));
    assert_eq!(whole, mp3());
    assert_eq!(headers["accept-ranges"], "bytes");
    let tag = headers["etag"].to_str().unwrap().to_owned();

    let (status, headers, part) = audio(&centre, id, &[("range", "bytes=100-199")]).await;
    assert_eq!((status, &*part), (206, &mp3()[100..200]));
    assert_eq!(headers["content-range"], "bytes 100-199/20000");
    assert_eq!(audio(&centre, id, &[("range", "bytes=-50")]).await.2, mp3()[19_950..]);

    let (status, headers, body) = audio(&centre, id, &[("range", "bytes=20000-")]).await;
    assert_eq!((status, &headers["content-range"]), (416, &"bytes */20000".parse().unwrap()));
    assert_eq!(headers["content-type"], "application/problem+json");
    assert!(String::from_utf8(body).unwrap().contains("range_not_satisfiable"));

    let (status, headers, body) = audio(&centre, id, &[("if-none-match", &tag)]).await;
    assert_eq!((status, body.len(), headers["etag"].to_str().unwrap()), (304, 0, &*tag));
    let same = [("range", "bytes=0-9"), ("if-range", &*tag)];
    assert_eq!(audio(&centre, id, &same).await.0, 206);
    let other = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
    let (status, _, body) = audio(&centre, id, &other).await;
    assert_eq!((status, body.len()), (200, 20_000));

    let head = centre.request("HEAD", &format!("/v1/messages/{id}/audio.mp3"));
    let head = head.send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "20000");
    centre.stop().await;
}

#[tokio::test]
async fn the_recording_is_given_as_it_came_in() {
    let (_folder, centre) = Centre::running().await;
    let (_, id) = one_message(&centre).await;
    let response = centre.request("GET", &format!("/v1/messages/{id}/recording"));
    let response = response.send().await.unwrap();
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("x-recording-codec"), header("x-recording-clock-hz")),
        ("PCMU".into(), "8000".into())
    );
    assert_eq!(header("x-recording-frames"), "250");
    let (_, row) = centre.get(&format!("/v1/messages/{id}")).await;
    assert_eq!(header("x-payload-sha256"), row["payload_sha256"].as_str().unwrap());
    assert_eq!(response.bytes().await.unwrap(), payloads().concat());
    centre.stop().await;
}
