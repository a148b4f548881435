//! Contracts over REST, from application to end.

use std::path::Path;

use control_plane::audit::{Actor, Change};
use control_plane::pepper::Pepper;
use control_plane::serial::Serial;
use control_plane::store::sqlite::{FILE_NAME, SqliteStore};
use control_plane::store::{Activation, ContractStore, Store, StoreError};
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use serde_json::{Value, json};

use crate::mail::parse;
use crate::setup::publish_terms;
use crate::support::{Centre, arrival, number, read, until};

fn body(line: &str) -> Value {
    json!({"line": line, "kind": "individual", "email": "user@example.jp"})
}

async fn apply(centre: &Centre, line: &str) -> Value {
    let (status, contract) = centre.json("POST", "/v1/contracts", body(line)).await;
    assert_eq!(status, 201, "{contract}");
    contract
}

/// Posts with an Idempotency-Key.
async fn post(centre: &Centre, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let request = centre.request("POST", path).header("idempotency-key", key);
    let request = request.header("content-type", "application/json").body(body.to_string());
    read(request.send().await.unwrap()).await
}

async fn add_numbers(centre: &Centre, first: &str, last: &str) -> Value {
    let (status, added) =
        centre.json("POST", "/v1/numbers", json!({"first": first, "last": last})).await;
    assert_eq!(status, 200, "{added}");
    added
}

/// Redeems a serial number as the set-up does, from beside the service.
async fn redeem(folder: &Path, serial: &str, accepts_terms: Option<i64>) -> Result<(), StoreError> {
    let pepper = Pepper::open(folder).unwrap();
    let store = SqliteStore::open(folder).await.unwrap();
    let activation = Activation {
        serial_hash: Serial::read(serial).unwrap().hash(&pepper),
        mailbox: MailboxId::from_u128(uuid::Uuid::now_v7().as_u128()),
        accepts_terms,
        low_water: 0,
    };
    let now = jiff::Timestamp::now().as_millisecond();
    let change = Change { by: Actor::Command, at: WallTime::from_unix_millis(now) };
    let done = store.activate(&activation, change).await;
    store.close().await;
    done.map(|_| ())
}

async fn number_counts(centre: &Centre) -> [u64; 3] {
    let (status, counts) = centre.get("/v1/numbers").await;
    assert_eq!(status, 200, "{counts}");
    ["free", "assigned", "quarantined"].map(|field| counts[field].as_u64().unwrap())
}

#[tokio::test]
async fn s25_s30_an_application_gives_its_serial_once_and_mails_it() {
    let (folder, centre) = Centre::running().await;
    let response =
        centre.request("POST", "/v1/contracts").header("content-type", "application/json");
    let response = response.body(body("090-1234-5678").to_string()).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let (status, made) = read(response).await;
    assert_eq!(
        (status, &made["line"], &made["state"]),
        (201, &"+819012345678".into(), &"applied".into())
    );
    let serial = made["serial"].as_str().unwrap();
    assert_eq!((serial.len(), Serial::read(serial).is_ok()), (24, true));
    assert_eq!(location, format!("/v1/contracts/{}", made["id"].as_str().unwrap()));
    let (status, shown) = centre.get(&location).await;
    assert_eq!((status, &shown["email"]), (200, &"user@example.jp".into()));
    assert!(!shown.to_string().contains(serial), "it is shown once");
    let mails = folder.path().join("mail");
    let mail = until("the mail", || {
        let file = std::fs::read_dir(&mails).ok()?.next()?.ok()?.path();
        (file.extension()? == "eml").then_some(file)
    });
    let mail = parse(&[mail.await]).remove(0);
    assert!(mail["body"].as_str().unwrap().contains(serial), "{mail}");
    assert_eq!(mail["to"], "user@example.jp");
    centre.stop().await;
}

#[tokio::test]
async fn s26_the_same_idempotency_key_applies_once() {
    let (_folder, centre) = Centre::running().await;
    let wish = body("+819012345678");
    let first = post(&centre, "/v1/contracts", "\"k-1\"", &wish).await;
    assert_eq!(first.0, 201, "{}", first.1);
    let same = (0..20).map(|_| post(&centre, "/v1/contracts", "k-1", &wish));
    for again in futures::future::join_all(same).await {
        assert_eq!(again, first, "the same answer, the serial too");
    }
    let (status, problem) = post(&centre, "/v1/contracts", "k-1", &body("+819012345679")).await;
    assert_eq!((status, &problem["code"]), (422, &"idempotency_key_reused".into()));
    let (status, problem) = post(&centre, "/v1/contracts", "k-2", &wish).await;
    assert_eq!((status, &problem["code"]), (409, &"contract_exists".into()));
    let (status, problem) = post(&centre, "/v1/contracts", "a b", &wish).await;
    assert_eq!((status, &problem["code"]), (400, &"malformed_header".into()));
    let (_, list) = centre.get("/v1/contracts?line=%2B819012345678").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    centre.stop().await;
}

#[tokio::test]
async fn s28_smart_and_carrier_voicemail_exclude_each_other_in_either_order() {
    let (_folder, centre) = Centre::running().await;
    let carrier = |line: &str| format!("/v1/lines/{line}/carrier-voicemail");
    let first = "+819012345678";
    let made = apply(&centre, first).await;
    let (status, problem) = centre.json("PUT", &carrier(first), Value::Null).await;
    assert_eq!((status, &problem["code"]), (409, &"contract_exists".into()));
    let second = "+818012345678";
    let (status, line) = centre.json("PUT", &carrier(second), Value::Null).await;
    assert_eq!((status, &line["voicemail"]), (200, &"carrier".into()));
    let (status, problem) = centre.json("POST", "/v1/contracts", body(second)).await;
    assert_eq!((status, &problem["code"]), (409, &"carrier_voicemail_active".into()));
    assert_eq!(centre.json("DELETE", &carrier(second), Value::Null).await.0, 204);
    assert_eq!(centre.json("DELETE", &carrier(second), Value::Null).await.0, 204);
    apply(&centre, second).await;
    let (_, line) = centre.get(&format!("/v1/lines/{first}")).await;
    assert_eq!((&line["voicemail"], &line["contract"]), (&"smart".into(), &made["id"]));
    centre.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s28_of_an_application_and_the_carriers_voicemail_at_once_exactly_one_wins() {
    let (_folder, centre) = Centre::running().await;
    let lines: Vec<_> = (0..25).map(|n| format!("+8170000000{n:02}")).collect();
    let wishes = lines.iter().map(|line| centre.json("POST", "/v1/contracts", body(line)));
    let paths: Vec<_> =
        lines.iter().map(|line| format!("/v1/lines/{line}/carrier-voicemail")).collect();
    let carriers = paths.iter().map(|path| centre.json("PUT", path, Value::Null));
    let (wishes, carriers) =
        tokio::join!(futures::future::join_all(wishes), futures::future::join_all(carriers));
    for ((applied, smart), (switched, carrier)) in wishes.into_iter().zip(carriers) {
        match (applied, switched) {
            (201, 409) => assert_eq!(carrier["code"], "contract_exists"),
            (409, 200) => assert_eq!(smart["code"], "carrier_voicemail_active"),
            other => panic!("{other:?}: {smart} {carrier}"),
        }
    }
    centre.stop().await;
}

#[tokio::test]
async fn s29_s36_a_serial_is_redeemed_with_the_terms_that_hold() {
    let (folder, centre) = Centre::running().await;
    let made = apply(&centre, "+819012345678").await;
    let serial = made["serial"].as_str().unwrap();
    add_numbers(&centre, "+815000000000", "+815000000001").await;
    let refused = redeem(folder.path(), serial, Some(1)).await.unwrap_err().to_string();
    assert!(refused.contains("no terms of service hold yet"), "{refused}");
    publish_terms(&centre).await;
    publish_terms(&centre).await;
    let (_, terms) = centre.get("/v1/terms").await;
    assert_eq!((&terms["current"], &terms["items"][1]["version"]), (&2.into(), &1.into()));
    for accepted in [None, Some(1), Some(3)] {
        let refused = redeem(folder.path(), serial, accepted).await.unwrap_err().to_string();
        assert!(refused.contains("version 2 of the terms"), "{refused}");
    }
    redeem(folder.path(), serial, Some(2)).await.unwrap();
    let (_, contract) =
        centre.get(&format!("/v1/contracts/{}", made["id"].as_str().unwrap())).await;
    assert_eq!((&contract["state"], &contract["terms_version"]), (&"active".into(), &2.into()));
    assert_eq!(contract["number"], "+815000000000");
    let (_, mailbox) =
        centre.get(&format!("/v1/mailboxes/{}", contract["mailbox"].as_str().unwrap())).await;
    assert_eq!(
        (&mailbox["number"], &mailbox["addresses"]),
        (&contract["number"], &json!(["user@example.jp"]))
    );
    let again = redeem(folder.path(), serial, Some(2)).await.unwrap_err().to_string();
    assert!(again.contains("redeemed before"), "{again}");
    assert_eq!(number_counts(&centre).await, [1, 1, 0]);
    centre.stop().await;
}

#[tokio::test]
async fn s53_s54_s55_a_cancellation_is_previewed_made_and_taken_back() {
    let (_folder, centre) = Centre::running().await;
    let made = apply(&centre, "+819012345678").await;
    let contract = format!("/v1/contracts/{}", made["id"].as_str().unwrap());
    let cancellation = format!("{contract}/cancellation");
    let (status, preview) = centre.get(&cancellation).await;
    assert_eq!((status, &preview["cancelled_at"]), (200, &Value::Null));
    let charges = preview["charges"].as_array().unwrap();
    let total: i64 = charges.iter().map(|month| month["yen_with_tax"].as_i64().unwrap()).sum();
    assert_eq!(preview["total_yen_with_tax"], total);
    assert!(preview["words"]["ja"].as_str().unwrap().contains("元に戻せません"), "{preview}");
    assert!(preview["words"]["en"].as_str().unwrap().contains("cannot be restored"));
    let (status, cancelled) = centre.json("POST", &cancellation, Value::Null).await;
    assert_eq!((status, &cancelled["ends_on"]), (200, &preview["ends_on"]), "{cancelled}");
    assert_eq!(cancelled["ends_at"], preview["ends_at"]);
    let (status, again) = centre.json("POST", &cancellation, Value::Null).await;
    assert_eq!((status, again), (200, cancelled.clone()), "the end does not move");
    let (_, told) = centre.get(&cancellation).await;
    assert_eq!(told["cancelled_at"], cancelled["cancelled_at"]);
    let (status, kept) = centre.json("DELETE", &cancellation, Value::Null).await;
    assert_eq!(
        (status, &kept["ends_on"], &kept["cancelled_at"]),
        (200, &Value::Null, &Value::Null)
    );
    let unknown = "/v1/contracts/01980c2e-7b7a-7cc3-98c4-dc0c0c07398f/cancellation";
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(centre.json(method, unknown, Value::Null).await.0, 404);
    }
    centre.stop().await;
}

/// Moves a contract's end into the past, since no test waits for a month.
async fn let_end(folder: &Path, contract: &str) {
    let url = format!("sqlite://{}", folder.join(FILE_NAME).display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let past = "UPDATE contracts SET ends_at = 1 WHERE id = $1";
    assert_eq!(sqlx::query(past).bind(contract).execute(&pool).await.unwrap().rows_affected(), 1);
    let due = "UPDATE jobs SET run_at = 1 WHERE id = 'end_contract:' || $1";
    assert_eq!(sqlx::query(due).bind(contract).execute(&pool).await.unwrap().rows_affected(), 1);
    pool.close().await;
}

#[tokio::test]
async fn s56_s57_an_ended_contract_leaves_nothing_and_answers_410() {
    let (folder, centre) = Centre::running().await;
    publish_terms(&centre).await;
    add_numbers(&centre, "+815000000000", "+815000000000").await;
    let made = apply(&centre, "+819012345678").await;
    let id = made["id"].as_str().unwrap();
    redeem(folder.path(), made["serial"].as_str().unwrap(), Some(1)).await.unwrap();
    let path = format!("/v1/contracts/{id}");
    let (_, contract) = centre.get(&path).await;
    let mailbox = contract["mailbox"].as_str().unwrap();
    let message = arrival(1, mailbox.parse().unwrap(), number("+819012345679"));
    centre.arrive(&message).await;
    let recording = message.opened.recording;
    centre.reach(recording, "transcribed").await;
    let delete = centre.json("DELETE", &format!("/v1/mailboxes/{mailbox}"), Value::Null).await;
    assert_eq!((delete.0, &delete.1["code"]), (409, &"mailbox_of_contract".into()));

    let cancellation = format!("{path}/cancellation");
    assert_eq!(centre.json("POST", &cancellation, Value::Null).await.0, 200);
    let_end(folder.path(), id).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    let ended = loop {
        let (_, contract) = centre.get(&path).await;
        if contract["state"] == "ended" {
            break contract;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not end: {contract}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(ended["email"], Value::Null);
    for gone in [
        format!("/v1/mailboxes/{mailbox}"),
        format!("/v1/mailboxes/{mailbox}/messages"),
        format!("/v1/messages/{recording}"),
        cancellation.clone(),
    ] {
        assert_eq!(centre.get(&gone).await.0, 410, "{gone}");
    }
    for method in ["POST", "DELETE"] {
        assert_eq!(centre.json(method, &cancellation, Value::Null).await.0, 410);
    }
    assert_eq!(centre.plane.directory().mailbox("+815000000000").await.unwrap(), None);
    let sound = folder.path().join(format!("objects/recordings/{recording}.rec"));
    until("the erasure", || (!sound.exists()).then_some(())).await;
    assert_eq!(number_counts(&centre).await, [0, 0, 1]);
    let (_, line) = centre.get("/v1/lines/+819012345678").await;
    assert_eq!(line["voicemail"], Value::Null);
    apply(&centre, "+819012345678").await;
    centre.stop().await;
}

async fn start_campaign(centre: &Centre) {
    let campaign = json!({"name": "最大1か月無料", "starts_on": "2026-01-01", "free_months": 1});
    let (status, made) = centre.json("POST", "/v1/campaigns", campaign).await;
    assert_eq!(status, 201, "{made}");
}

#[tokio::test]
async fn s62_s64_only_the_first_application_ever_of_a_line_is_free() {
    let (folder, centre) = Centre::running().await;
    start_campaign(&centre).await;
    let first = apply(&centre, "+819012345678").await;
    let applied_on: jiff::civil::Date = first["applied_on"].as_str().unwrap().parse().unwrap();
    assert_eq!(first["free_until"], applied_on.last_of_month().to_string());
    assert_eq!(first["campaign_version"], 1);
    let id = first["id"].as_str().unwrap();
    let cancellation = format!("/v1/contracts/{id}/cancellation");
    assert_eq!(centre.json("POST", &cancellation, Value::Null).await.0, 200);
    let_end(folder.path(), id).await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    let second = loop {
        let (status, answer) = centre.json("POST", "/v1/contracts", body("+819012345678")).await;
        if status == 201 {
            break answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!((&second["free_until"], &second["campaign_version"]), (&Value::Null, &Value::Null));
    centre.stop().await;
}

/// S65, S66–S68.
#[tokio::test]
async fn s65_s68_corporate_contracts_and_flagged_lines_have_no_free_period() {
    let (_folder, centre) = Centre::running().await;
    start_campaign(&centre).await;
    let mut corporate = body("+819000000001");
    corporate["kind"] = "corporate".into();
    let (status, made) = centre.json("POST", "/v1/contracts", corporate).await;
    assert_eq!((status, &made["free_until"]), (201, &Value::Null));
    for (n, flag) in ["arrears", "breach", "unsuitable"].into_iter().enumerate() {
        let line = format!("+81900000001{n}");
        let path = format!("/v1/lines/{line}/flags/{flag}");
        let (status, set) = centre.json("PUT", &path, json!({"reason": "二か月未納"})).await;
        assert_eq!(
            (status, &set["flag"], &set["reason"]),
            (200, &flag.into(), &"二か月未納".into())
        );
        assert_eq!(apply(&centre, &line).await["free_until"], Value::Null, "{flag}");
        let query = format!("/v1/audit?line={}", line.replace('+', "%2B"));
        let (_, log) = centre.get(&query).await;
        assert_eq!(log["items"][0]["action"], "line.flag_set");
        assert_eq!(log["items"][0]["detail"], json!({"flag": flag, "reason": "二か月未納"}));
        assert!(!log.to_string().contains(&line), "the log names no number");
    }
    let cleared = "+819000000020";
    let path = format!("/v1/lines/{cleared}/flags/arrears");
    assert_eq!(centre.json("PUT", &path, json!({"reason": "x"})).await.0, 200);
    assert_eq!(centre.json("DELETE", &path, Value::Null).await.0, 204);
    assert_ne!(apply(&centre, cleared).await["free_until"], Value::Null);
    let (status, problem) = centre.json("PUT", &path, json!({"reason": " "})).await;
    assert_eq!((status, &problem["field"]), (422, &"reason".into()));
    let wrong = format!("/v1/lines/{cleared}/flags/other");
    assert_eq!(centre.json("PUT", &wrong, json!({"reason": "x"})).await.0, 400);
    centre.stop().await;
}

/// S69: applications for one line at once bring one contract and one free period.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s69_applications_at_once_bring_one_benefit() {
    let (_folder, centre) = Centre::running().await;
    start_campaign(&centre).await;
    let wishes = (0..40).map(|_| centre.json("POST", "/v1/contracts", body("+819012345678")));
    let answers = futures::future::join_all(wishes).await;
    let free = answers.iter().filter(|(_, answer)| answer["free_until"].is_string()).count();
    let made = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!((made, free), (1, 1));
    let refused = answers.iter().filter(|(_, answer)| answer["code"] == "contract_exists").count();
    assert_eq!(refused, 39);
    centre.stop().await;
}

#[tokio::test]
async fn s06_a_roaming_event_tells_the_subscriber_once() {
    let (folder, centre) = Centre::running().await;
    let path = "/v1/lines/+819012345678/roaming";
    let (status, problem) = centre.json("POST", path, Value::Null).await;
    assert_eq!((status, &problem["code"]), (404, &"not_found".into()));
    let made = apply(&centre, "+819012345678").await;
    let first = post(&centre, path, "trip-1", &Value::Null).await;
    assert_eq!((first.0, &first.1["contract"]), (201, &made["id"]));
    assert_eq!(post(&centre, path, "trip-1", &Value::Null).await, first);
    let roaming = |subject: &str| subject.contains("ローミング");
    let mails = folder.path().join("mail");
    let count = || {
        let files: Vec<_> =
            std::fs::read_dir(&mails).ok()?.map(|file| file.unwrap().path()).collect();
        let files: Vec<_> =
            files.into_iter().filter(|file| file.extension().is_some_and(|e| e == "eml")).collect();
        (files.len() >= 2).then_some(files)
    };
    let files = until("both mails", count).await;
    let told =
        parse(&files).iter().filter(|mail| roaming(mail["subject"].as_str().unwrap())).count();
    assert_eq!((files.len(), told), (2, 1), "one of the application, one of roaming");
    centre.stop().await;
}

#[tokio::test]
async fn s10_numbers_are_added_in_ranges_and_counted() {
    let (_folder, centre) = Centre::running().await;
    let added = add_numbers(&centre, "050-0000-0000", "+815000009999").await;
    assert_eq!(added, json!({"added": 10_000, "known": 0}));
    let added = add_numbers(&centre, "+815000009999", "+815000010000").await;
    assert_eq!(added, json!({"added": 1, "known": 1}));
    assert_eq!(number_counts(&centre).await, [10_001, 0, 0]);
    let table = [
        ("+815000000000", "+815000010000", "last"),
        ("+815000000001", "+815000000000", "last"),
        ("+819000000000", "+815000000000", "first"),
    ];
    for (first, last, field) in table {
        let range = json!({"first": first, "last": last});
        let (status, problem) = centre.json("POST", "/v1/numbers", range).await;
        assert_eq!((status, &problem["field"]), (422, &field.into()), "{problem}");
    }
    centre.stop().await;
}

#[tokio::test]
async fn every_change_by_an_operator_is_in_the_audit_log() {
    let (_folder, centre) = Centre::running().await;
    publish_terms(&centre).await;
    add_numbers(&centre, "+815000000000", "+815000000001").await;
    let made = apply(&centre, "+819012345678").await;
    let path = format!("/v1/contracts/{}/cancellation", made["id"].as_str().unwrap());
    centre.json("POST", &path, Value::Null).await;
    centre.json("DELETE", &path, Value::Null).await;
    let mut actions = Vec::new();
    let mut actors = Vec::new();
    let mut next = "/v1/audit?limit=2".to_owned();
    loop {
        let (status, page) = centre.get(&next).await;
        assert_eq!(status, 200, "{page}");
        for entry in page["items"].as_array().unwrap() {
            actors.push(entry["actor"].as_str().unwrap().to_owned());
            actions.push(entry["action"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("/v1/audit?limit=2&cursor={cursor}");
    }
    assert_eq!(actors.remove(0), "command", "who made the key");
    assert!(actors.iter().all(|actor| actor.starts_with("key:")), "{actors:?}");
    let wanted = [
        "key.created",
        "terms.published",
        "numbers.added",
        "contract.applied",
        "contract.cancelled",
        "contract.reinstated",
    ];
    assert_eq!(actions, wanted);
    let line = "/v1/lines/+819012345678/flags/arrears";
    assert_eq!(centre.json("PUT", line, json!({"reason": "x"})).await.0, 200);
    let both = format!("/v1/audit?contract={}&line=%2B819012345678", made["id"].as_str().unwrap());
    let (_, either) = centre.get(&both).await;
    let of_either = either["items"].as_array().unwrap().iter().map(|entry| &entry["action"]);
    assert_eq!(of_either.collect::<Vec<_>>(), [wanted[3], wanted[4], wanted[5], "line.flag_set"]);
    centre.stop().await;
}
