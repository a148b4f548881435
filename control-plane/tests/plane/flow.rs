//! From arrival to text: once each, through repetitions and crashes.

use control_plane::PlaneConfig;
use engine_core::caller::Caller;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::text::{NoWords, Verdict};
use engine_core::work::WorkError;
use sha2::{Digest, Sha256};

use crate::support::{Centre, arrival, number, payloads, rendered};

#[tokio::test]
async fn s01_a_recording_becomes_a_message_with_text_and_sound() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    let row = centre.reach(id, "transcribed").await;
    let whole: Vec<u8> = payloads().concat();
    let sum = hex::encode(Sha256::digest(&whole));
    assert_eq!(row["text"], "明日の会議は十時からです。");
    assert_eq!((&row["verdict"], &row["no_words"]), (&"speech".into(), &serde_json::Value::Null));
    assert_eq!(row["caller"], serde_json::json!({"kind": "number", "number": "+819012345678"}));
    assert_eq!(row["payload_sha256"], sum);
    assert_eq!((&row["duration_ms"], &row["call_ms"]), (&5_000.into(), &31_000.into()));
    assert_eq!((&row["frames"], &row["lost"]), (&250.into(), &2.into()));
    assert_eq!(row["audio_bytes"], 20_000, "S04");
    assert_eq!(row["forwarding_cost_yen"], 44, "S05: 31 s are two units");
    assert_eq!(row["notice"], "認識結果は必ずしも正確ではありません。", "S52");
    assert_eq!(row["end_reason"], "hung_up");
    assert_eq!(row["received_at"], "2026-11-22T15:04:05.007Z");
    centre.stop().await;
}

#[tokio::test]
async fn an_arrival_that_comes_twice_is_one_message() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let arrival = arrival(1, mailbox, number("+819012345678"));
    for _ in 0..3 {
        centre.arrive(&arrival).await;
    }
    centre.reach(arrival.opened.recording, "transcribed").await;
    centre.arrive(&arrival).await;
    let (_, list) = centre.get(&format!("/v1/mailboxes/{mailbox}/messages")).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["state"], "transcribed");
    centre.stop().await;
}

#[tokio::test]
async fn many_arrivals_at_once_are_all_kept() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    for id in 1..=150 {
        centre.arrivals.send(arrival(id, mailbox, Caller::Withheld)).unwrap();
    }
    for id in 1..=150 {
        centre.reach(RecordingId::from_u128(id), "transcribed").await;
    }
    assert_eq!(centre.acks.len(), 150);
    centre.stop().await;
}

#[tokio::test]
async fn a_crash_between_object_and_row_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let arrival_of = |mailbox| arrival(1, mailbox, number("+819012345678"));
    // The object as a process that died before its row left it: here, a torn one.
    let recordings = folder.path().join("objects/recordings");
    std::fs::create_dir_all(&recordings).unwrap();
    let id = RecordingId::from_u128(1);
    std::fs::write(recordings.join(format!("{id}.rec")), b"torn").unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    centre.arrive(&arrival_of(mailbox)).await;
    centre.reach(id, "transcribed").await;
    let path = format!("/v1/messages/{id}/recording?format=chunks");
    let kept = centre.request("GET", &path).send().await.unwrap();
    assert_eq!(kept.bytes().await.unwrap(), arrival_of(mailbox).sound);
    centre.stop().await;
}

/// S09: told once, though the process died.
#[test]
fn work_that_a_dead_process_had_begun_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let begun = first.block_on(async {
        let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
        let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
        centre.plane.run_background().await.unwrap();
        centre.arrive(&arrival(1, mailbox, number("+819012345678"))).await;
        centre.next_work().await
    });
    // The process dies with the lease held: no task of it runs on.
    first.shutdown_background();
    runtime().block_on(async {
        let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
        centre.plane.run_background().await.unwrap();
        let again = centre.next_work().await;
        assert_eq!((again.recording, &again.sound), (begun.recording, &begun.sound));
        (again.done)(Ok(rendered()));
        centre.reach(begun.recording, "transcribed").await;
        centre.wait_for(begun.recording, |row| !row["notified_at"].is_null()).await;
        // A result for the dead changes nothing.
        (begun.done)(Ok(rendered()));
        centre.stop().await;
    });
    assert_eq!(std::fs::read_dir(folder.path().join("mail")).unwrap().count(), 1);
}

#[tokio::test]
async fn an_engine_that_fails_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    centre.plane.run_background().await.unwrap();
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    // Stopping is no attempt: the work comes again at once.
    (centre.next_work().await.done)(Err(WorkError::Stopping));
    let again = centre.next_work().await;
    (again.done)(Err(WorkError::Engine { why: "out of memory".to_owned() }));
    let third = centre.next_work().await;
    // Work that is dropped without a word counts as a failure, too.
    drop(third);
    (centre.next_work().await.done)(Ok(rendered()));
    centre.reach(arrival.opened.recording, "transcribed").await;
    centre.stop().await;
}

#[tokio::test]
async fn a_damaged_recording_stays_as_a_message_without_text() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    centre.plane.run_background().await.unwrap();
    let arrival = arrival(1, mailbox, Caller::Payphone);
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    (centre.next_work().await.done)(Err(WorkError::Damaged { why: "no frames".to_owned() }));
    let row = centre.reach(id, "failed").await;
    assert_eq!(row["failure"], "no frames");
    let (status, problem) = centre.get(&format!("/v1/messages/{id}/text")).await;
    assert_eq!((status, &problem["code"]), (404, &"not_found".into()));
    let recording = centre.request("GET", &format!("/v1/messages/{id}/recording"));
    let recording = recording.send().await.unwrap();
    assert_eq!(recording.bytes().await.unwrap(), payloads().concat());
    centre.wait_for(id, |row| !row["notified_at"].is_null()).await;
    centre.stop().await;
}

#[tokio::test]
async fn a_silent_caller_leaves_no_words() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    centre.plane.run_background().await.unwrap();
    let arrival = arrival(1, mailbox, Caller::Unavailable);
    centre.arrive(&arrival).await;
    let mut silence = rendered();
    silence.transcript.verdict = Verdict::NoWords(NoWords::NoSpeech);
    silence.transcript.segments.clear();
    (centre.next_work().await.done)(Ok(silence));
    let row = centre.reach(arrival.opened.recording, "transcribed").await;
    assert_eq!((&row["verdict"], &row["no_words"]), (&"no_words".into(), &"no_speech".into()));
    assert_eq!((&row["text"], &row["confidence"]), (&"".into(), &0.0.into()));
    assert_eq!(row["caller"], serde_json::json!({"kind": "unavailable", "number": null}));
    centre.stop().await;
}

#[tokio::test]
async fn a_message_for_an_unknown_mailbox_is_not_lost() {
    let (_folder, centre) = Centre::running().await;
    let arrival = arrival(1, MailboxId::from_u128(404), number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    centre.reach(id, "orphaned").await;
    let path = format!("/v1/messages/{id}/recording?format=chunks");
    let file = centre.request("GET", &path).send().await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), arrival.sound);
    centre.stop().await;
}

#[tokio::test]
async fn what_is_deleted_is_erased_and_no_replay_brings_it_back() {
    let (folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    centre.reach(id, "transcribed").await;
    let objects = folder.path().join("objects");
    let sound = [format!("recordings/{id}.rec"), format!("audio/{id}.mp3")];
    assert!(sound.iter().all(|file| objects.join(file).exists()));
    let path = format!("/v1/messages/{id}");
    assert_eq!(centre.json("DELETE", &path, serde_json::Value::Null).await.0, 204);
    assert_eq!(centre.json("DELETE", &path, serde_json::Value::Null).await.0, 204);
    let gone = || sound.iter().all(|file| !objects.join(file).exists()).then_some(());
    crate::support::until("the erasure", gone).await;
    centre.arrive(&arrival).await;
    assert_eq!(gone(), Some(()), "a replay puts nothing back");
    let (status, problem) = centre.get(&path).await;
    assert_eq!((status, &problem["code"]), (410, &"gone".into()));
    centre.stop().await;
}

#[tokio::test]
async fn a_message_deleted_while_the_engine_has_it_leaves_no_sound() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    centre.plane.run_background().await.unwrap();
    let arrival = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    let id = arrival.opened.recording;
    let work = centre.next_work().await;
    let path = format!("/v1/messages/{id}");
    assert_eq!(centre.json("DELETE", &path, serde_json::Value::Null).await.0, 204);
    let recording = folder.path().join(format!("objects/recordings/{id}.rec"));
    let gone = || (!recording.exists()).then_some(());
    crate::support::until("the erasure", gone).await;
    (work.done)(Ok(rendered()));
    // A stop drains the jobs: the late MP3 and its erasure.
    centre.stop().await;
    assert!(!folder.path().join(format!("objects/audio/{id}.mp3")).exists());
    assert_eq!(std::fs::read_dir(folder.path().join("mail")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_stop_takes_what_has_arrived_first() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let mailbox = centre.mailbox("+815012345678", &["a@example.jp"]).await;
    for id in 1..=70 {
        centre.arrivals.send(arrival(id, mailbox, Caller::Withheld)).unwrap();
    }
    centre.answer_all();
    centre.plane.run_background().await.unwrap();
    let acks = centre.acks.clone();
    centre.stop().await;
    assert_eq!(acks.len(), 70);
    assert_eq!(std::fs::read_dir(folder.path().join("mail")).unwrap().count(), 70);
}
