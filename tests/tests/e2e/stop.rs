//! Stopping gently: calls under way are finished, nothing is lost.

use std::time::Duration;

use rusuden_tests::fleet::{Fleet, Plan};
use rusuden_tests::service::{Service, is_transcribed};
use serde_json::json;

#[test]
fn calls_under_way_at_a_gentle_stop_become_messages() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox =
        service.make_mailbox("05077778888", &json!({ "greeting": "none", "beep": false }));
    let plans = (0..10)
        .map(|n| Plan {
            from: format!("0901111{n:04}"),
            to: "05077778888".to_owned(),
            at: Duration::from_millis(20) * n,
            frames: vec![vec![n as u8; 160]; 150],
            hangs_up: true,
        })
        .collect();
    let fleet = Fleet::new(service.sip_udp, "stop", plans);
    let mut asked = false;
    let outcomes = fleet.run(|since, seen| {
        if !asked && seen.iter().all(|outcome| outcome.sent > 20) {
            asked = true;
            service.ask_to_stop();
        }
        since > Duration::from_secs(30)
    });
    assert!(outcomes.iter().all(|outcome| outcome.status == Some(200) && outcome.done));
    service.wait_until_stopped();
    // Drained means told: text and sound were there before the process ended.
    let sounds = std::fs::read_dir(data.path().join("objects").join("audio")).unwrap();
    assert_eq!(sounds.count(), 10);

    let service = Service::start(data.path(), "");
    let messages = service.wait_for_messages(&mailbox, 10, is_transcribed);
    assert_eq!(messages.len(), 10);
    for message in &messages {
        assert_eq!(message["duration_ms"], 3_000, "{message}");
    }
    service.stop();
}
