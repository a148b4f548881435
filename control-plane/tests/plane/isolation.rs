//! Tenant isolation: whatever id a subscriber tries on whatever route there is, nothing of another
//! subscriber comes back or changes. Routes are taken from the API's own description, so one that
//! is added later is tried, too.

use engine_core::id::{MailboxId, RecordingId};
use serde_json::{Value, json};

use crate::subscriber::App;
use crate::support::{Centre, arrival, number, uncounted};

/// A subscriber with one message.
struct Tenant {
    app: App,
    mailbox: MailboxId,
    message: RecordingId,
    /// What nobody else may see.
    secrets: Vec<String>,
}

impl Tenant {
    async fn new(centre: &Centre, n: u128) -> Self {
        let address = format!("owner-{n}@example.jp");
        let caller = format!("+81901111{n:04}");
        let mailbox = centre.mailbox(&format!("+815000000{n:03}"), &[&address]).await;
        let app = App::sign_in(centre, mailbox, &format!("device of {n}")).await;
        let arrival = arrival(n, mailbox, number(&caller));
        centre.arrive(&arrival).await;
        let message = arrival.opened.recording;
        centre.reach(message, "transcribed").await;
        let device = app.device.clone();
        let ids = [mailbox.to_string(), message.to_string(), device];
        let shown = [address, caller, format!("+815000000{n:03}"), format!("device of {n}")];
        Self { app, mailbox, message, secrets: ids.into_iter().chain(shown).collect() }
    }

    fn ids(&self) -> Vec<String> {
        vec![self.message.to_string(), self.mailbox.to_string(), self.app.device.clone()]
    }
}

/// A centre without request limits: a refusal must come from the route itself.
async fn centre() -> (tempfile::TempDir, Centre) {
    let folder = tempfile::tempdir().unwrap();
    let centre = Centre::open(folder.path(), uncounted()).await;
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    (folder, centre)
}

/// Every operation: method, path, whether a session opens it.
fn operations(api: &Value) -> Vec<(String, String, bool)> {
    let mut operations = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let by_session = operation["security"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one.get("session").is_some()));
            operations.push((method.to_uppercase(), path.clone(), by_session));
        }
    }
    operations
}

/// The path with every parameter filled in.
fn fill(path: &str, id: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Bodies that some route or other takes, so that a refusal is not the body's fault everywhere.
fn bodies() -> [Value; 4] {
    [Value::Null, json!({"read": true}), json!({"name": "mine now"}), json!({})]
}

#[tokio::test]
async fn no_id_on_any_route_reaches_another_subscribers_data() {
    let (_folder, centre) = centre().await;
    let (mine, theirs) = (Tenant::new(&centre, 1).await, Tenant::new(&centre, 2).await);
    let before = snapshot(&theirs).await;
    let (_, api) = centre.get("/v1/openapi.json").await;
    let operations = operations(&api);
    assert!(operations.iter().filter(|(.., by_session)| *by_session).count() >= 10);
    for (method, path, by_session) in operations {
        // A stream does not end, and signing out would end the test.
        let ends_all = path.ends_with("/events")
            || by_session && !path.contains('{') && ["DELETE", "POST"].contains(&&*method);
        if !path.starts_with("/v1/") || ends_all {
            continue;
        }
        let by_id = path.contains('{');
        for id in theirs.ids() {
            for body in bodies() {
                let path = fill(&path, &id);
                let (status, answer) = mine.app.json(&method, &path, body).await;
                let text = answer.to_string();
                let leaked = theirs.secrets.iter().find(|secret| {
                    // A refusal may repeat the id that was asked for.
                    text.contains(*secret) && **secret != id
                });
                assert_eq!(leaked, None, "{method} {path}: {text}");
                if by_id && by_session {
                    assert!((400..500).contains(&status), "{method} {path}: {status} {text}");
                }
                let is_open = path == "/v1/capabilities"
                    || ["/v1/guides", "/v1/setup"].iter().any(|start| path.starts_with(start));
                if !by_session && !is_open {
                    let refused = (400..500).contains(&status);
                    assert!(refused, "a session opens {method} {path}: {status} {text}");
                }
            }
        }
    }
    assert_eq!(snapshot(&theirs).await, before, "nothing of theirs changed");
    centre.stop().await;
}

/// All that a subscriber sees of their own.
async fn snapshot(tenant: &Tenant) -> Vec<Value> {
    let message = format!("/v1/me/messages/{}", tenant.message);
    let mut seen = Vec::new();
    for path in ["/v1/me/settings", "/v1/me/notifications", "/v1/me/devices", &message] {
        let (status, mut answer) = tenant.app.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        if let Some(row) = answer.as_object_mut() {
            // When the first notice left may come in between.
            row.remove("notified_at");
        }
        seen.push(answer);
    }
    seen
}

#[tokio::test]
async fn an_operators_key_is_no_session_and_a_session_no_key() {
    let (_folder, centre) = centre().await;
    let tenant = Tenant::new(&centre, 1).await;
    let (_, api) = centre.get("/v1/openapi.json").await;
    for (method, path, by_session) in operations(&api) {
        if method != "GET" || !path.starts_with("/v1/") {
            continue;
        }
        let filled = fill(&path, &tenant.message.to_string());
        if by_session {
            assert_eq!(centre.get(&filled).await.0, 401, "an API key opens {path}");
        }
    }
    centre.stop().await;
}
