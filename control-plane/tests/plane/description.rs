//! The API does what its description says: schemathesis of `PyPI` makes requests from it, good ones
//! and bad ones, as an operator, a subscriber and an app that is being set up. What it cannot know
//! stands in `tests/schemathesis.toml`.

use std::path::Path;

use engine_core::id::MailboxId;

use crate::setup::{App, LINE, Registered, apply, prepare, registered};
use crate::support::{Centre, arrival, number, uncounted};

/// A centre that counts no requests. Its workers rest, so that it calls none of the addresses that
/// are made up for it.
async fn centre(folder: &Path) -> Centre {
    Centre::open(folder, uncounted()).await
}

/// Lets one call leave its message and text, and opens the folder anew.
async fn with_a_message(folder: &Path, centre: Centre, mailbox: MailboxId) -> Centre {
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
    let message = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&message).await;
    centre.reach(message.opened.recording, "transcribed").await;
    centre.stop().await;
    self::centre(folder).await
}

/// Runs schemathesis with this token; the same requests each time.
async fn holds(folder: &Path, centre: &Centre, token: &str, arguments: &[&str]) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let program = tests.join("peers/.venv/bin/st");
    assert!(program.exists(), "this test needs schemathesis: run `scripts/setup test`");
    let output = tokio::process::Command::new(program)
        .arg("--config-file")
        .arg(tests.join("schemathesis.toml"))
        .args(["run", &format!("{}/v1/openapi.json", centre.url), "--url", &centre.url])
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .args(["--seed", "1", "--generation-deterministic"])
        .args(["--request-timeout", "60", "--suppress-health-check", "all"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_its_description_says_to_operators() {
    let folder = tempfile::tempdir().unwrap();
    let first = centre(folder.path()).await;
    let mailbox = first.mailbox("+815012345678", &[]).await;
    let centre = with_a_message(folder.path(), first, mailbox).await;
    crate::audio::answer_all(&centre, "ja", None);
    // Events are a stream without end, nothing is ready while the workers rest, and paths of others
    // are asked by them.
    let not = "^(/readyz|/v1/(events|me|setup)(/.*)?)$";
    let asked = ["-n", "10", "--exclude-path-regex", not];
    holds(folder.path(), &centre, &centre.key, &asked).await;
    centre.stop().await;
}

/// Signing out would end the session of everything that follows; other tests do that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_its_description_says_to_subscribers() {
    let folder = tempfile::tempdir().unwrap();
    let first = centre(folder.path()).await;
    let Registered { session, number: own, .. } = registered(folder.path(), &first).await;
    let mailbox = first.plane.directory().mailbox(&own).await.unwrap().unwrap().id;
    let centre = with_a_message(folder.path(), first, mailbox).await;
    let session = centre.with(session.token());
    let own = "^/v1/me(?!ssages|/events|/sign-out|/devices)";
    let asked = ["-n", "10", "--include-path-regex", own];
    holds(folder.path(), &centre, session.token(), &asked).await;
    assert_eq!(session.get("/v1/me").await.0, 200, "the session held all the time");
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_its_description_says_to_apps_that_are_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let centre = centre(folder.path()).await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    app.redeem(&serial).await;
    let steps = ["-n", "10", "--include-path-regex", "^/v1/setup"];
    holds(folder.path(), &centre, &app.token, &steps).await;
    assert_eq!(app.get("/v1/setup").await.0, 200, "the set-up held all the time");
    centre.stop().await;
}
