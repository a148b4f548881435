//! The edge: who asks too much is told to wait, and no answer lets a browser do harm.

use std::collections::HashSet;

use control_plane::{EdgeConfig, PlaneConfig, Rate};
use serde_json::Value;

use crate::subscriber::App;
use crate::support::{Centre, read};

/// So slow that no test is long enough to get one more.
fn only(burst: u32) -> Rate {
    Rate { per_minute: 1, burst }
}

async fn centre(edge: EdgeConfig) -> (tempfile::TempDir, Centre) {
    let folder = tempfile::tempdir().unwrap();
    let config = PlaneConfig { edge, ..PlaneConfig::default() };
    let centre = Centre::open(folder.path(), config).await;
    (folder, centre)
}

async fn refused(response: reqwest::Response) {
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let (status, problem) = read(response).await;
    assert_eq!((status, &problem["code"]), (429, &"too_many_requests".into()), "{problem}");
}

#[tokio::test]
async fn a_key_may_ask_as_much_as_its_limit_and_not_once_more() {
    let (_folder, centre) = centre(EdgeConfig { key: only(3), ..EdgeConfig::default() }).await;
    for _ in 0..3 {
        assert_eq!(centre.get("/v1/mailboxes").await.0, 200);
    }
    refused(centre.request("GET", "/v1/mailboxes").send().await.unwrap()).await;
    let (_, other) =
        centre.plane.keys().create_key("other", &[control_plane::Scope::Admin]).await.unwrap();
    assert_eq!(centre.with(&other).get("/v1/mailboxes").await.0, 200, "another key has its own");
    assert_eq!(centre.get("/healthz").await.0, 200, "who watches is always answered");
    assert_eq!(centre.get("/readyz").await.0, 503);
    centre.stop().await;
}

#[tokio::test]
async fn a_device_and_an_address_have_limits_of_their_own() {
    let edge = EdgeConfig { token: only(2), address: only(2), ..EdgeConfig::default() };
    let (_folder, centre) = centre(edge).await;
    let mailbox = centre.mailbox("+815012345678", &[]).await;
    let app = App::sign_in(&centre, mailbox, "電話").await;
    let ask = || app.request("GET", "/v1/me/settings").send();
    for _ in 0..2 {
        assert_eq!(ask().await.unwrap().status(), 200);
    }
    refused(ask().await.unwrap()).await;
    let from = |address: &'static str| {
        let request = centre.anyone().request("GET", "/v1/capabilities");
        request.header("x-forwarded-for", address).send()
    };
    for _ in 0..2 {
        assert_eq!(from("198.51.100.1").await.unwrap().status(), 200);
    }
    refused(from("198.51.100.1").await.unwrap()).await;
    refused(from("203.0.113.1, 198.51.100.1").await.unwrap()).await;
    assert_eq!(from("198.51.100.2").await.unwrap().status(), 200, "another address");
    centre.stop().await;
}

#[tokio::test]
async fn guessing_keys_is_limited_by_address_whatever_is_guessed() {
    let edge = EdgeConfig { address: only(3), ..EdgeConfig::default() };
    let (_folder, centre) = centre(edge).await;
    let guess =
        |n: u32| centre.with(&format!("rsk_{n:064x}")).request("GET", "/v1/mailboxes").send();
    for n in 0..3 {
        assert_eq!(guess(n).await.unwrap().status(), 401);
    }
    for n in 3..6 {
        refused(guess(n).await.unwrap()).await;
    }
    centre.stop().await;
}

#[tokio::test]
async fn every_answer_keeps_browsers_from_doing_harm() {
    let (_folder, centre) = centre(EdgeConfig::default()).await;
    for path in ["/v1/mailboxes", "/nothing", "/healthz", "/v1/openapi.json", "/docs/"] {
        let answer = centre.request("GET", path).send().await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
        let policy = header("content-security-policy");
        let own = if path == "/docs/" { "default-src 'self'" } else { "default-src 'none'" };
        assert!(policy.starts_with(own) && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("script-src") && !policy.contains("http"), "{path}: {policy}");
        assert!(answer.headers().get("strict-transport-security").is_none(), "no TLS here");
    }
    centre.stop().await;
}

#[tokio::test]
async fn tls_is_asked_for_where_the_service_is_reached_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = Some("https://rusuden.example".to_owned());
    let centre =
        Centre::open(folder.path(), PlaneConfig { public_url: url, ..PlaneConfig::default() })
            .await;
    let answer = centre.request("GET", "/healthz").send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    centre.stop().await;
}

#[tokio::test]
async fn every_route_documents_that_it_may_ask_to_slow_down() {
    let (_folder, centre) = centre(EdgeConfig::default()).await;
    let (_, api) = centre.get("/v1/openapi.json").await;
    let mut without = HashSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if path.starts_with("/v1/") && operation["responses"]["429"] == Value::Null {
                without.insert(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(without, HashSet::new());
    centre.stop().await;
}
