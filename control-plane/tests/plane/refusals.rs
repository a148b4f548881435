//! What is refused, and how: always problem details, whatever comes.

use control_plane::{PlaneConfig, Scope};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Centre, read};

const UNKNOWN: &str = "01980c2e-7b7a-7cc3-98c4-dc0c0c07398f";

/// Checks that an answer is problem details with this status and code.
pub(crate) async fn refused(response: reqwest::Response, status: u16, code: &str) -> Value {
    let url = response.url().clone();
    let kind = response.headers().get("content-type").cloned();
    let is_named = response.headers().contains_key("x-request-id");
    let (got, problem) = read(response).await;
    assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{url}: {problem}");
    assert_eq!(kind.unwrap(), "application/problem+json", "{url}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], format!("urn:rusuden:problem:{code}"));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    assert!(is_named, "{url} has no request id");
    problem
}

#[tokio::test]
async fn every_refusal_is_problem_json() {
    let (_folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let mailbox = format!("/v1/mailboxes/{id}");
    let unknown = |part: &str| format!("/v1/messages/{UNKNOWN}{part}");
    let table: [(&str, String, u16, &str); 16] = [
        ("GET", "/nothing".into(), 404, "not_found"),
        ("GET", "/v1/mailboxes/".into(), 404, "not_found"),
        ("PUT", "/v1/mailboxes".into(), 405, "method_not_allowed"),
        ("POST", mailbox.clone(), 405, "method_not_allowed"),
        ("GET", format!("/v1/mailboxes/{UNKNOWN}"), 404, "not_found"),
        ("DELETE", format!("/v1/mailboxes/{UNKNOWN}"), 404, "not_found"),
        ("GET", "/v1/mailboxes/1".into(), 400, "malformed_path"),
        ("GET", "/v1/mailboxes/%ff".into(), 400, "malformed_path"),
        ("GET", unknown(""), 404, "not_found"),
        ("GET", unknown("/audio.mp3"), 404, "not_found"),
        ("GET", unknown("/recording?format=wav"), 400, "malformed_query"),
        ("GET", "/v1/mailboxes?limit=0".into(), 400, "malformed_query"),
        ("GET", "/v1/mailboxes?limit=201".into(), 400, "malformed_query"),
        ("GET", "/v1/mailboxes?limit=-1".into(), 400, "malformed_query"),
        ("GET", "/v1/mailboxes?cursor=x".into(), 400, "malformed_query"),
        ("GET", "/v1/mailboxes?page=2".into(), 400, "malformed_query"),
    ];
    for (method, path, status, code) in table {
        let response = centre.request(method, &path).send().await.unwrap();
        if status == 405 {
            assert!(response.headers().contains_key("allow"), "RFC 9110 §15.5.6: {path}");
        }
        refused(response, status, code).await;
    }
    centre.stop().await;
}

#[tokio::test]
async fn bad_bodies_are_refused_by_their_fault() {
    let (_folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let json_type = Some("application/json");
    let table: [(Option<&str>, &str, u16, &str); 14] = [
        (json_type, "{", 400, "malformed_body"),
        (json_type, "", 400, "malformed_body"),
        (json_type, "\u{0}", 400, "malformed_body"),
        (None, "{}", 415, "unsupported_media_type"),
        (Some("text/plain"), "{}", 415, "unsupported_media_type"),
        (json_type, "[]", 422, "invalid_field"),
        (json_type, "null", 422, "invalid_field"),
        (json_type, r#"{"number": 5}"#, 422, "invalid_field"),
        (json_type, r#"{"number": "+819012345678"}"#, 422, "invalid_field"),
        (json_type, r#"{"number": "+815012345679", "more": 1}"#, 422, "invalid_field"),
        (json_type, r#"{"number": "+815012345679", "greeting": "own"}"#, 422, "invalid_field"),
        (json_type, r#"{"number": "+815012345679", "addresses": ["a"]}"#, 422, "invalid_field"),
        (json_type, r#"{"number": "+815012345678"}"#, 409, "number_taken"),
        (json_type, r#"{"number": "+815012345679", "quiet_limit_s": 5.5}"#, 422, "invalid_field"),
    ];
    for (kind, body, status, code) in table {
        let mut request = centre.request("POST", "/v1/mailboxes").body(body);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        refused(request.send().await.unwrap(), status, code).await;
    }
    let path = format!("/v1/mailboxes/{id}");
    let (status, problem) = centre.json("PATCH", &path, json!({"recording_limit_s": 61})).await;
    assert_eq!((status, &problem["field"]), (422, &"recording_limit_s".into()), "{problem}");
    centre.stop().await;
}

#[tokio::test]
async fn huge_bodies_are_refused_and_the_service_answers_afterwards() {
    let (_folder, centre) = Centre::running().await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let fits = format!("{{\"number\": \"{}\"}}", "0".repeat(64 * 1_024 - 14));
    let past = format!("{fits} ");
    for (body, status, code) in [(fits, 422, "invalid_field"), (past, 413, "body_too_large")] {
        let request = centre.request("POST", "/v1/mailboxes").body(body);
        let request = request.header("content-type", "application/json");
        refused(request.send().await.unwrap(), status, code).await;
    }
    let request = centre.request("PUT", &format!("/v1/mailboxes/{id}/greeting"));
    let request = request.header("content-type", "audio/wav");
    let sent = request.body(vec![0; 16 * 1_024 * 1_024 + 1]).send().await.unwrap();
    refused(sent, 413, "body_too_large").await;
    assert_eq!(centre.get("/healthz").await.0, 200);
    centre.stop().await;
}

#[tokio::test]
async fn deeply_nested_json_is_refused() {
    let (_folder, centre) = Centre::running().await;
    let request = centre.request("POST", "/v1/mailboxes").body("[".repeat(60_000));
    let sent = request.header("content-type", "application/json").send().await.unwrap();
    assert!(sent.status().is_client_error());
    assert_eq!(centre.get("/healthz").await.0, 200);
    centre.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_http_do_not_hurt() {
    let (_folder, centre) = Centre::running().await;
    let address = centre.url.strip_prefix("http://").unwrap();
    for noise in
        [&b"\0\xff\xfe\r\n\r\n"[..], b"INVITE sip:x SIP/2.0\r\n\r\n", b"GET / HTTP/9\r\n\r\n"]
    {
        let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
        line.write_all(noise).await.unwrap();
        let mut answer = Vec::new();
        // Whether it is answered or cut off is the server's choice.
        let _ = line.read_to_end(&mut answer).await;
    }
    assert_eq!(centre.get("/healthz").await.0, 200);
    centre.stop().await;
}

#[tokio::test]
async fn a_key_opens_only_what_its_scopes_name() {
    let (_folder, centre) = Centre::running().await;
    let keys = centre.plane.keys();
    let (reader, secret) = keys.create_key("reader", &[Scope::MailboxesRead]).await.unwrap();
    let ask = async |method: &str, path: &str, authorization: Option<&str>| {
        let mut request = centre.anyone().request(method, path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        request.send().await.unwrap()
    };
    let bearer = format!("Bearer {secret}");
    assert_eq!(ask("GET", "/v1/mailboxes", Some(&bearer)).await.status(), 200);
    let lower = format!("bearer {secret}");
    assert_eq!(ask("GET", "/v1/mailboxes", Some(&lower)).await.status(), 200);

    let missing = ask("GET", "/v1/mailboxes", None).await;
    assert_eq!(missing.headers()["www-authenticate"], "Bearer realm=\"rusuden\"");
    refused(missing, 401, "no_key").await;
    refused(ask("GET", "/v1/mailboxes", Some("Basic YTpi")).await, 401, "no_key").await;
    let wrong = [format!("Bearer rsk_{}", "0".repeat(64)), "Bearer x".into(), "Bearer".into()];
    for value in wrong {
        refused(ask("GET", "/v1/mailboxes", Some(&value)).await, 401, "wrong_key").await;
    }
    // The key is looked at before anything else of the request.
    refused(ask("POST", "/v1/mailboxes", None).await, 401, "no_key").await;
    let may_not = [
        ("POST", "/v1/mailboxes".to_owned(), "mailboxes:write"),
        ("GET", format!("/v1/messages/{UNKNOWN}"), "messages:read"),
        ("DELETE", format!("/v1/messages/{UNKNOWN}"), "messages:write"),
        ("GET", format!("/v1/messages/{UNKNOWN}/recording"), "recordings:read"),
        ("GET", "/v1/events".to_owned(), "events:read"),
    ];
    for (method, path, scope) in may_not {
        let response = ask(method, &path, Some(&bearer)).await;
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains(&format!("scope=\"{scope}\"")), "{challenge}");
        refused(response, 403, "missing_scope").await;
    }
    assert!(keys.revoke(reader.id).await.unwrap());
    refused(ask("GET", "/v1/mailboxes", Some(&bearer)).await, 401, "wrong_key").await;
    centre.stop().await;
}

#[tokio::test]
async fn readiness_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), PlaneConfig::default()).await;
    let (status, state) = centre.get("/readyz").await;
    assert_eq!((status, &state["workers"], &state["store"]), (503, &false.into(), &true.into()));
    centre.plane.run_background().await.unwrap();
    let (status, state) = centre.get("/readyz").await;
    assert_eq!((status, &state["ready"]), (200, &true.into()));
    centre.stop().await;
}

/// Every route with its methods.
const ROUTES: &[(&str, &str)] = &[
    ("/v1/mailboxes", "post get"),
    ("/v1/mailboxes/{id}", "get patch delete"),
    ("/v1/mailboxes/{id}/blocked-callers", "post get"),
    ("/v1/mailboxes/{id}/blocked-callers/{blocked}", "delete"),
    ("/v1/mailboxes/{id}/export", "get"),
    ("/v1/me/blocked-callers", "post get"),
    ("/v1/me/blocked-callers/{id}", "delete"),
    ("/v1/me/export", "get"),
    ("/v1/mailboxes/{id}/greeting", "put get delete"),
    ("/v1/mailboxes/{id}/messages", "get"),
    ("/v1/guides", "get"),
    ("/v1/guides/{carrier}", "get"),
    ("/v1/messages/{id}", "get patch delete"),
    ("/v1/messages/{id}/text", "get"),
    ("/v1/messages/{id}/segments", "get"),
    ("/v1/messages/{id}/audio.mp3", "get"),
    ("/v1/messages/{id}/recording", "get"),
    ("/v1/campaigns", "post get"),
    ("/v1/campaigns/{version}", "get"),
    ("/v1/billing/months", "get"),
    ("/v1/billing/months/{month}", "get"),
    ("/v1/billing/months/{month}/close", "post"),
    ("/v1/billing/months/{month}/adjustments", "post"),
    ("/v1/billing/months/{month}/usage", "get"),
    ("/v1/contracts", "post get"),
    ("/v1/contracts/{id}", "get"),
    ("/v1/contracts/{id}/cancellation", "get post delete"),
    ("/v1/lines/{line}", "get"),
    ("/v1/lines/{line}/carrier-voicemail", "put delete"),
    ("/v1/lines/{line}/flags/{flag}", "put delete"),
    ("/v1/lines/{line}/roaming", "post"),
    ("/v1/numbers", "post get"),
    ("/v1/terms", "post get"),
    ("/v1/audit", "get"),
    ("/v1/events", "get"),
    ("/v1/webhooks", "post get"),
    ("/v1/webhooks/{id}", "get patch delete"),
    ("/v1/webhooks/{id}/rotate", "post"),
    ("/v1/webhooks/{id}/test", "post"),
    ("/v1/webhooks/{id}/deliveries", "get"),
    ("/v1/webhooks/{id}/replay", "post"),
    ("/v1/me/devices", "get delete"),
    ("/v1/me/devices/{id}", "patch delete"),
    ("/v1/me/events", "get"),
    ("/v1/me/greeting", "put get delete"),
    ("/v1/me/messages", "get"),
    ("/v1/me/messages/{id}", "get patch delete"),
    ("/v1/me/messages/{id}/audio.mp3", "get"),
    ("/v1/me/messages/{id}/segments", "get"),
    ("/v1/me/messages/{id}/text", "get"),
    ("/v1/me/notifications", "get patch"),
    ("/v1/me/settings", "get patch"),
    ("/v1/me/push", "get put delete"),
    ("/v1/me/sign-out", "post"),
    ("/v1/me", "get"),
    ("/v1/me/cancellation", "get"),
    ("/v1/me/forwarding", "get"),
    ("/v1/me/forwarding/test", "post"),
    ("/v1/setup", "post get"),
    ("/v1/setup/serial", "post"),
    ("/v1/setup/restore", "post"),
    ("/v1/setup/purchase", "post"),
    ("/v1/setup/terms", "post"),
    ("/v1/setup/device", "post"),
    ("/v1/setup/code", "post"),
    ("/v1/audio/transcriptions", "post"),
    ("/v1/audio/translations", "post"),
    ("/v1/deletions/{mailbox}", "get"),
    ("/v1/receipt-key", "get"),
    ("/v1/capabilities", "get"),
    ("/healthz", "get"),
    ("/readyz", "get"),
];

#[tokio::test]
async fn the_description_names_every_route_and_the_page_loads_nothing_from_elsewhere() {
    let (_folder, centre) = Centre::running().await;
    let (status, api) = centre.get("/v1/openapi.json").await;
    assert_eq!((status, &api["openapi"]), (200, &"3.1.0".into()));
    assert_eq!(api["info"]["title"], "Rusuden");
    assert_eq!(api["paths"].as_object().unwrap().len(), ROUTES.len());
    for &(path, methods) in ROUTES {
        for method in methods.split(' ') {
            let operation = &api["paths"][path][method];
            assert!(operation["summary"].is_string(), "{method} {path} is not described");
            let is_open = path == "/v1/capabilities"
                || path.starts_with("/v1/guides")
                || (path, method) == ("/v1/setup", "post");
            let needs_key = path.starts_with("/v1/") && !is_open;
            assert_eq!(operation["security"].is_array(), needs_key, "{method} {path}");
            assert_eq!(operation["responses"]["401"].is_object(), needs_key, "{method} {path}");
        }
    }
    let page = centre.request("GET", "/docs/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    let initializer = centre.request("GET", "/docs/swagger-initializer.js").send().await.unwrap();
    let initializer = initializer.text().await.unwrap();
    for text in [&page, &initializer] {
        assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    }
    assert!(initializer.contains("/v1/openapi.json") && initializer.contains("\"none\""));
    centre.stop().await;
}

#[tokio::test]
async fn s02_capabilities_are_stated_without_a_key() {
    let (_folder, centre) = Centre::running().await;
    let (status, offers) = centre.anyone().get("/v1/capabilities").await;
    assert_eq!((status, &offers["recording_limit_s_max"]), (200, &60.into()));
    assert_eq!(offers["notifications"][0]["transport"], "folder");
    assert_eq!(offers["codecs"], json!(["opus", "G722", "PCMU", "PCMA"]));
    for feature in ["transcription", "search", "blocked_callers", "export", "forwarding_guides"] {
        assert!(offers["features"].as_array().unwrap().contains(&feature.into()), "{feature}");
    }
    centre.stop().await;
}
