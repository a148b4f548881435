//! Blocked callers: over REST, and as calls see them.

use engine_core::caller::Caller;
use engine_core::id::MailboxId;
use serde_json::{Value, json};

use crate::subscriber::App;
use crate::support::{Centre, arrival, number};

fn path(mailbox: MailboxId) -> String {
    format!("/v1/mailboxes/{mailbox}/blocked-callers")
}

async fn refuses(centre: &Centre, mailbox: MailboxId, caller: &Caller) -> bool {
    centre.plane.directory().refuses(mailbox, caller).await.unwrap()
}

#[tokio::test]
async fn a_blocked_number_is_refused_from_the_next_call_until_it_is_unblocked() {
    let (folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let other = centre.mailbox("+815012345679", &[]).await;
    let caller = number("+819012345678");
    assert!(!refuses(&centre, mailbox, &caller).await);
    let body = json!({"number": "090-1234-5678"});
    let (status, blocked) = centre.json("POST", &path(mailbox), body.clone()).await;
    assert_eq!((status, &blocked["kind"]), (201, &"number".into()), "{blocked}");
    assert_eq!(blocked["ends_with"], "5678");
    assert!(refuses(&centre, mailbox, &caller).await);
    assert!(!refuses(&centre, mailbox, &number("+819012345679")).await);
    assert!(!refuses(&centre, mailbox, &Caller::Withheld).await);
    assert!(!refuses(&centre, other, &caller).await, "another's mailbox takes the call");

    let (status, again) = centre.json("POST", &path(mailbox), body).await;
    assert_eq!((status, &again), (200, &blocked));
    let (_, list) = centre.get(&path(mailbox)).await;
    assert_eq!(list, json!({"items": [blocked]}));
    let elsewhere = format!("{}/{}", path(other), blocked["id"].as_str().unwrap());
    assert_eq!(centre.json("DELETE", &elsewhere, Value::Null).await.0, 404);
    let entry = format!("{}/{}", path(mailbox), blocked["id"].as_str().unwrap());
    assert_eq!(centre.json("DELETE", &entry, Value::Null).await.0, 204);
    assert_eq!(centre.json("DELETE", &entry, Value::Null).await.0, 404);
    assert!(!refuses(&centre, mailbox, &caller).await);
    centre.stop().await;
    let rows = std::fs::read(folder.path().join("rusuden.db")).unwrap();
    for plain in [&b"+819012345678"[..], b"09012345678", b"090-1234-5678"] {
        assert!(!rows.windows(plain.len()).any(|window| window == plain), "only a hash is kept");
    }
}

#[tokio::test]
async fn callers_without_number_and_whoever_left_a_message_can_be_blocked() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let other = centre.mailbox("+815012345679", &[]).await;
    let (status, blocked) = centre.json("POST", &path(mailbox), json!({"kind": "withheld"})).await;
    assert_eq!((status, &blocked["ends_with"]), (201, &Value::Null));
    assert!(refuses(&centre, mailbox, &Caller::Withheld).await);
    assert!(!refuses(&centre, mailbox, &Caller::Payphone).await);

    let arrival = arrival(1, mailbox, number("+81312345678"));
    centre.arrive(&arrival).await;
    let message = arrival.opened.recording.to_string();
    let body = json!({"message": message});
    assert_eq!(centre.json("POST", &path(other), body.clone()).await.0, 404, "another's message");
    let (status, blocked) = centre.json("POST", &path(mailbox), body).await;
    assert_eq!((status, &blocked["ends_with"]), (201, &"5678".into()));
    assert!(refuses(&centre, mailbox, &number("+81312345678")).await);
    centre.stop().await;
}

#[tokio::test]
async fn as_many_callers_are_blocked_as_the_limit_says_and_not_one_more() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    // All at once: as many as fit are taken, the others are told why.
    let path_of = path(mailbox);
    let block = |n: u32| centre.json("POST", &path_of, json!({"number": format!("+8190{n:08}")}));
    let answers = futures::future::join_all((0..220).map(block)).await;
    let count = |wanted| answers.iter().filter(|(status, _)| *status == wanted).count();
    assert_eq!((count(201), count(409)), (200, 20));
    let (_, list) = centre.get(&path(mailbox)).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 200);
    let taken = answers.iter().position(|(status, _)| *status == 201).unwrap();
    let (status, problem) = centre.json("POST", &path(mailbox), json!({"kind": "withheld"})).await;
    assert_eq!((status, &problem["code"]), (409, &"blocked_callers_full".into()), "{problem}");
    assert_eq!(block(taken as u32).await.0, 200, "what is there already is no more");
    centre.stop().await;
}

#[tokio::test]
async fn blocked_callers_go_with_their_mailbox() {
    let (folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let caller = number("+819012345678");
    centre.json("POST", &path(mailbox), json!({"number": "09012345678"})).await;
    let deleted = centre.json("DELETE", &format!("/v1/mailboxes/{mailbox}"), Value::Null).await;
    assert_eq!(deleted.0, 204);
    assert!(!refuses(&centre, mailbox, &caller).await);
    assert_eq!(centre.get(&path(mailbox)).await.0, 410);
    let body = json!({"number": "09012345678"});
    assert_eq!(centre.json("POST", &path(mailbox), body).await.0, 410);
    centre.stop().await;
    drop(folder);
}

#[tokio::test]
async fn what_cannot_be_blocked_is_refused_with_its_field() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let unknown = "01980c2e-7b7a-7cc3-98c4-dc0c0c07398f";
    let table = [
        (json!({}), 422, "invalid_field"),
        (json!({"number": "110"}), 422, "invalid_field"),
        (json!({"number": "09012345678", "kind": "withheld"}), 422, "invalid_field"),
        (json!({"kind": "number"}), 422, "invalid_field"),
        (json!({"message": unknown}), 404, "not_found"),
        (json!({"message": "x"}), 404, "not_found"),
    ];
    for (body, status, code) in table {
        let (got, problem) = centre.json("POST", &path(mailbox), body.clone()).await;
        assert_eq!((got, &problem["code"]), (status, &code.into()), "{body}: {problem}");
    }
    let entry = format!("{}/x", path(mailbox));
    assert_eq!(centre.json("DELETE", &entry, Value::Null).await.0, 400);
    centre.stop().await;
}

#[tokio::test]
async fn a_subscriber_blocks_for_its_own_mailbox_only() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let other = centre.mailbox("+815012345679", &[]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let theirs = App::sign_in(&centre, other, "電話").await;
    let arrival = arrival(1, other, number("+81312345678"));
    centre.arrive(&arrival).await;
    let message = json!({"message": arrival.opened.recording.to_string()});
    let all = "/v1/me/blocked-callers";
    assert_eq!(app.json("POST", all, message.clone()).await.0, 404, "another's message");
    let (status, blocked) = theirs.json("POST", all, message).await;
    assert_eq!(status, 201, "{blocked}");
    assert!(refuses(&centre, other, &number("+81312345678")).await);
    assert!(!refuses(&centre, mailbox, &number("+81312345678")).await);
    let entry = format!("{all}/{}", blocked["id"].as_str().unwrap());
    assert_eq!(app.json("DELETE", &entry, Value::Null).await.0, 404, "another's entry");
    assert_eq!(app.get(all).await.1, json!({"items": []}));
    assert_eq!(theirs.get(all).await.1, json!({"items": [blocked]}));
    assert_eq!(theirs.json("DELETE", &entry, Value::Null).await.0, 204);
    assert!(!refuses(&centre, other, &number("+81312345678")).await);
    centre.stop().await;
}
