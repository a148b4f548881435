//! What is kept, for how long, and what it costs: S05, S12, S15, S22–S23.

use std::time::Duration;

use control_plane::PlaneConfig;
use engine_core::id::RecordingId;
use engine_core::time::WallTime;

use crate::support::{Centre, arrival, mp3, number};

/// Ten years, in milliseconds.
const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 3_600 * 1_000;

async fn sound(centre: &Centre, id: RecordingId) -> Vec<u8> {
    let request = centre.request("GET", &format!("/v1/messages/{id}/audio.mp3"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap().to_vec()
}

/// S12: no expiry. A message of ten years ago is read and heard by a service that has started
/// since and whose workers have run. S15: what a phone has erased is fetched again, byte for byte.
#[tokio::test]
async fn s12_s15_sound_and_text_are_kept_and_can_be_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let mut old = arrival(1, mailbox, number("+819012345678"));
    let past = |time: WallTime| WallTime::from_unix_millis(time.as_unix_millis() - TEN_YEARS_MS);
    old.opened.answered_at = past(old.opened.answered_at);
    old.sealed.ended_at = past(old.sealed.ended_at);
    let id = old.opened.recording;
    centre.arrive(&old).await;
    centre.reach(id, "transcribed").await;
    let first = sound(&centre, id).await;
    centre.stop().await;

    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    centre.plane.run_background().await.unwrap();
    let (status, row) = centre.get(&format!("/v1/messages/{id}")).await;
    assert_eq!((status, &row["text"]), (200, &"明日の会議は十時からです。".into()));
    assert!(row["received_at"].as_str().unwrap().starts_with("2016-11-2"), "{row}");
    let (_, list) = centre.get(&format!("/v1/mailboxes/{mailbox}/messages")).await;
    assert_eq!(list["items"][0]["id"], id.to_string());
    let again = sound(&centre, id).await;
    assert_eq!((&first, &again), (&mp3(), &mp3()));
    assert_eq!(sound(&centre, id).await, again);
    centre.stop().await;
}

/// S05, S22–S23: the whole call is charged, greeting included, per started 30 s.
#[tokio::test]
async fn s05_s22_each_message_says_what_its_forwarded_call_cost() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    // Seconds of greeting, seconds of message, yen: S05's boundaries, then S22–S23's example.
    let table = [
        (0, 0, 0),
        (0, 1, 22),
        (0, 29, 22),
        (0, 30, 22),
        (0, 31, 44),
        (0, 59, 44),
        (0, 60, 44),
        (1, 60, 66),
        (10, 60, 66),
    ];
    for (at, (greeting_s, message_s, yen)) in table.into_iter().enumerate() {
        let mut call = arrival(at as u128 + 1, mailbox, number("+819012345678"));
        let whole = Duration::from_secs(greeting_s + message_s);
        call.sealed.call_ms = whole.as_millis() as u64;
        centre.arrive(&call).await;
        let (_, row) = centre.get(&format!("/v1/messages/{}", call.opened.recording)).await;
        assert_eq!(row["forwarding_cost_yen"], yen, "{greeting_s} s + {message_s} s: {row}");
        assert_eq!(row["call_ms"], whole.as_millis() as u64);
    }
    centre.stop().await;
}
