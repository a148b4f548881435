//! Searching messages by their text, over REST.

use control_plane::PlaneConfig;
use engine_core::id::MailboxId;
use engine_core::private::Private;
use engine_core::work::Rendered;
use serde_json::Value;

use crate::subscriber::App;
use crate::support::{Centre, arrival, number, rendered};

/// Lets a message come in that says this.
async fn say(centre: &Centre, mailbox: MailboxId, id: u128, text: &str) {
    let arrival = arrival(id, mailbox, number("+819012345678"));
    centre.arrive(&arrival).await;
    let mut said: Rendered = rendered();
    said.transcript.segments.truncate(1);
    said.transcript.segments[0].text = Private::new(text.to_owned());
    (centre.next_work().await.done)(Ok(said));
    centre.reach(arrival.opened.recording, "transcribed").await;
}

async fn find(centre: &Centre, mailbox: MailboxId, query: &[(&str, &str)]) -> (u16, Value) {
    let mut url = reqwest::Url::parse(&centre.url).unwrap();
    url.set_path(&format!("/v1/mailboxes/{mailbox}/messages"));
    url.query_pairs_mut().extend_pairs(query);
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    centre.get(&path).await
}

fn texts(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|row| row["text"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn messages_are_found_by_their_text_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    centre.plane.run_background().await.unwrap();
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let other = centre.mailbox("+815012345679", &[]).await;
    let said =
        ["サクラ商事の田中です。", "ＡＢＣ123の件、折り返しください。", "会議は、十時からです。"];
    for (at, text) in said.into_iter().enumerate() {
        say(&centre, mailbox, at as u128 + 1, text).await;
    }
    say(&centre, other, 9, "サクラ商事の鈴木です。").await;
    let table: [(&str, &[&str]); 7] = [
        ("さくら", &said[..1]),
        ("ｻｸﾗ商事", &said[..1]),
        ("abc", &said[1..2]),
        ("会議は十時", &said[2..]),
        ("十時 会議", &said[2..]),
        ("です", &[said[2], said[0]]),
        ("鈴木", &[]),
    ];
    for (query, wanted) in table {
        let (status, page) = find(&centre, mailbox, &[("q", query)]).await;
        assert_eq!((status, texts(&page)), (200, wanted.to_vec()), "{query}");
        assert_eq!(page["next"], Value::Null, "{query}");
    }
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let (_, own) = app.get("/v1/me/messages?q=%E3%81%95%E3%81%8F%E3%82%89").await;
    assert_eq!(texts(&own), said[..1], "the subscriber searches its own");
    let (_, first) = find(&centre, mailbox, &[("q", "です"), ("limit", "1")]).await;
    assert_eq!(texts(&first), [said[2]]);
    let next = first["next"].as_str().unwrap();
    let (_, second) =
        find(&centre, mailbox, &[("q", "です"), ("limit", "1"), ("cursor", next)]).await;
    assert_eq!((texts(&second), &second["next"]), (vec![said[0]], &Value::Null));
    let (_, read) = find(&centre, mailbox, &[("q", "です"), ("read", "true")]).await;
    assert!(texts(&read).is_empty());
    centre.stop().await;
}

#[tokio::test]
async fn a_query_that_says_nothing_or_too_much_is_refused() {
    let (_folder, centre) = Centre::running().await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    assert_eq!(find(&centre, mailbox, &[("q", &"あ".repeat(100))]).await.0, 200);
    for query in ["", " ", "。。", &"あ".repeat(101)] {
        let (status, problem) = find(&centre, mailbox, &[("q", query)]).await;
        assert_eq!((status, &problem["code"]), (400, &"malformed_query".into()), "{problem}");
        assert_eq!(problem["field"], "q");
    }
    centre.stop().await;
}
