//! The API does what its description says: schemathesis (PyPI) makes requests from it, good ones
//! and bad ones, as an operator, a subscriber and an app that is being set up. What it cannot know
//! stands in `tests/schemathesis.toml`.

use std::path::Path;

use control_plane::{EdgeConfig, PlaneConfig, Rate};
use tempfile::TempDir;

use crate::setup::{App, LINE, Registered, apply, prepare, registered};
use crate::support::{Centre, arrival, number};

/// A centre that counts no requests; `answers` says whether its workers run.
async fn centre(answers: bool) -> (TempDir, Centre) {
    let folder = tempfile::tempdir().unwrap();
    let none = Rate { per_minute: 0, burst: 0 };
    let edge = EdgeConfig { key: none, token: none, address: none, ..EdgeConfig::default() };
    let config = PlaneConfig { edge, ..PlaneConfig::default() };
    let centre = Centre::open(folder.path(), config).await;
    if answers {
        run(&centre).await;
    }
    (folder, centre)
}

async fn run(centre: &Centre) {
    centre.plane.run_background().await.unwrap();
    centre.answer_all();
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
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_its_description_says_to_operators() {
    let (folder, centre) = centre(true).await;
    let id = centre.mailbox("+815012345678", &[]).await;
    let message = arrival(1, id, number("+819012345678"));
    centre.arrive(&message).await;
    centre.reach(message.opened.recording, "transcribed").await;
    // Events are a stream without end; paths of others are asked by them.
    let asked = ["-n", "10", "--exclude-path-regex", "^/v1/(events|me|setup)(/|$)"];
    holds(folder.path(), &centre, &centre.key, &asked).await;
    centre.stop().await;
}

/// Signing out would end the session of everything that follows; other tests do that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_its_description_says_to_subscribers() {
    let (folder, centre) = centre(false).await;
    let Registered { session, number: own, .. } = registered(folder.path(), &centre).await;
    run(&centre).await;
    let mailbox = centre.plane.directory().mailbox(&own).await.unwrap().unwrap().id;
    let message = arrival(1, mailbox, number("+819012345678"));
    centre.arrive(&message).await;
    centre.reach(message.opened.recording, "transcribed").await;
    let own = "^/v1/me(?!ssages|/events|/sign-out|/devices)";
    let asked = ["-n", "10", "--include-path-regex", own];
    holds(folder.path(), &centre, session.token(), &asked).await;
    assert_eq!(session.get("/v1/me").await.0, 200, "the session held all the time");
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_does_what_its_description_says_to_apps_that_are_set_up() {
    let (folder, centre) = centre(true).await;
    prepare(&centre).await;
    let serial = apply(&centre, LINE).await;
    let app = App::begin(&centre).await;
    app.redeem(&serial).await;
    let steps = ["-n", "10", "--include-path-regex", "^/v1/setup"];
    holds(folder.path(), &centre, &app.token, &steps).await;
    assert_eq!(app.get("/v1/setup").await.0, 200, "the set-up held all the time");
    centre.stop().await;
}
