//! A blocked caller meets the real service: refused at once, no message, nothing to pay.

use std::time::Duration;

use rusuden_tests::fleet::{Fleet, Outcome, Plan};
use rusuden_tests::service::Service;
use serde_json::json;

/// One call of a second by this caller.
fn call(service: &Service, from: &str, tag: &str) -> Outcome {
    let plan = Plan {
        from: from.to_owned(),
        to: "05077778888".to_owned(),
        at: Duration::ZERO,
        frames: (0..50).map(|n: usize| vec![n as u8; 160]).collect(),
        hangs_up: true,
    };
    Fleet::new(service.sip_udp, tag, vec![plan]).run(|_, _| false).remove(0)
}

#[test]
fn a_blocked_caller_is_declined_and_leaves_nothing_until_unblocked() {
    let _alone = crate::alone();
    let data = tempfile::tempdir().unwrap();
    let service = Service::start(data.path(), "");
    let mailbox =
        service.make_mailbox("05077778888", &json!({ "greeting": "none", "beep": false }));
    let path = format!("/v1/mailboxes/{mailbox}/blocked-callers");
    let body = json!({ "number": "090-1111-0000" });
    let blocked = service.request("POST", &path, Some(&body));
    assert_eq!(blocked.status, 201, "{}", String::from_utf8_lossy(&blocked.body));

    let declined = call(&service, "09011110000", "blocked");
    assert_eq!((declined.status, declined.sent), (Some(603), 0));
    let taken = call(&service, "09011110001", "other");
    assert_eq!(taken.status, Some(200));
    let messages = service.wait_for_messages(&mailbox, 1, |_| true);
    assert_eq!(messages[0]["caller"]["number"], "+819011110001", "only the other left a message");

    let id = blocked.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(service.request("DELETE", &format!("{path}/{id}"), None).status, 204);
    assert_eq!(call(&service, "09011110000", "unblocked").status, Some(200));
    let messages = service.wait_for_messages(&mailbox, 2, |_| true);
    assert_eq!(messages.len(), 2);
    service.stop();
}
