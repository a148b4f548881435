//! Races through the real HTTP server: what must happen once happens once, whoever asks at the same
//! moment. The stores' own races stand with their conformance suite.

use std::net::Ipv4Addr;
use std::path::Path;

use futures::stream::{self, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Client, read};
use crate::setup::{apply, publish_terms};
use crate::support::{Centre, uncounted};

/// Requests under way at once: more than the server has threads, few enough for file descriptors.
const AT_ONCE: usize = 128;

/// A centre that counts no requests but those of set-ups, by the address that we say.
async fn centre() -> (TempDir, Centre) {
    // In memory where that is possible: who wins is asked here, not what a disk can do.
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    let centre = Centre::open(folder.path(), uncounted()).await;
    publish_terms(&centre).await;
    (folder, centre)
}

async fn add_numbers(centre: &Centre, count: u32) {
    let last = format!("+8150{:08}", count - 1);
    let range = json!({"first": "+815000000000", "last": last});
    assert_eq!(centre.json("POST", "/v1/numbers", range).await.0, 200);
}

/// A set-up that has found the contract of a serial and is asked to accept the terms. Each comes
/// from an address of its own.
async fn found(centre: &Centre, n: u32, serial: &str) -> Client {
    let address = Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
    let post = |who: &Client, path: &str| {
        who.request("POST", path).header("x-forwarded-for", address.clone())
    };
    let begun = post(&centre.anyone(), "/v1/setup").send().await.unwrap();
    let (status, begun) = read(begun).await;
    assert_eq!(status, 201, "{begun}");
    let app = centre.with(begun["token"].as_str().unwrap());
    let entered = post(&app, "/v1/setup/serial").json(&json!({"serial": serial}));
    let (status, found) = read(entered.send().await.unwrap()).await;
    assert_eq!((status, &found["step"]), (200, &"terms".into()), "{found}");
    app
}

/// All of them, so many at once.
async fn all<T>(work: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    stream::iter(work).buffer_unordered(AT_ONCE).collect().await
}

async fn accept(app: &Client) -> (u16, Value) {
    app.json("POST", "/v1/setup/terms", json!({"version": 1})).await
}

fn count(answers: &[(u16, Value)], wanted: (u16, &str)) -> usize {
    let is_wanted = |(status, answer): &&(u16, Value)| {
        let told = answer["code"].as_str().or(answer["step"].as_str());
        (*status, told) == (wanted.0, Some(wanted.1))
    };
    answers.iter().filter(is_wanted).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s10_of_a_thousand_activations_at_once_on_900_numbers_each_number_goes_to_one() {
    let (_folder, centre) = centre().await;
    add_numbers(&centre, 900).await;
    let centre = &centre;
    let apps = all((0..1_000).map(async |n| {
        let serial = apply(centre, &format!("+8190{n:08}")).await;
        found(centre, n, &serial).await
    }))
    .await;
    let answers = all(apps.iter().map(accept)).await;
    assert_eq!(count(&answers, (200, "device")), 900);
    assert_eq!(count(&answers, (503, "no_number_free")), 100);
    let numbers = answers.iter().filter_map(|(_, shown)| shown["number"]["e164"].as_str());
    let numbers: std::collections::HashSet<_> = numbers.collect();
    assert_eq!(numbers.len(), 900, "no two have the same");
    let (_, pool) = centre.get("/v1/numbers").await;
    assert_eq!((&pool["free"], &pool["assigned"]), (&0.into(), &900.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s36_of_apps_that_redeem_one_serial_at_once_one_wins() {
    let (_folder, centre) = centre().await;
    add_numbers(&centre, 100).await;
    let centre = &centre;
    let races = all((0..25).map(async |n| {
        let serial = apply(centre, &format!("+8190{n:08}")).await;
        let apps = (0..4).map(|app| found(centre, n * 4 + app, &serial));
        futures::future::join_all(apps).await
    }))
    .await;
    let answers = all(races.iter().flatten().map(accept)).await;
    assert_eq!(count(&answers, (200, "device")), 25);
    assert_eq!(count(&answers, (409, "serial_redeemed")), 75);
    assert_eq!(centre.get("/v1/numbers").await.1["assigned"], 25);
}
