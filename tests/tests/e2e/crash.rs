//! Power cuts: the service is killed at random moments under fifty calls, and every call that had
//! been heard for more than a second is a message afterwards, once, short of at most its last second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rusuden_tests::fleet::{Fleet, Outcome, Plan};
use rusuden_tests::service::{Service, wait_for};
use serde_json::{Value, json};

const ROUNDS: usize = 20;
const CALLS: usize = 50;
const NUMBER: &str = "05099990000";
/// What a crash may cost of a call: group commit within a second.
const LOST_MAX: Duration = Duration::from_secs(1);

struct Killed {
    at: Instant,
    outcomes: Vec<Outcome>,
}

fn caller(round: usize, call: usize) -> String {
    format!("090{round:04}{call:04}")
}

fn plans(round: usize) -> Vec<Plan> {
    (0..CALLS)
        .map(|call| Plan {
            from: caller(round, call),
            to: NUMBER.to_owned(),
            at: Duration::from_millis(30) * call as u32,
            // Some calls end before the power does; their seal races with it.
            frames: vec![vec![call as u8; 160]; if call % 5 == 0 { 60 } else { 1_000 }],
            hangs_up: true,
        })
        .collect()
}

fn run_until_killed(service: &mut Service, round: usize, after: Duration) -> Killed {
    let fleet = Fleet::new(service.sip_udp, &format!("crash{round}"), plans(round));
    let mut at = None;
    let outcomes = fleet.run(|since, _| {
        if since < after {
            return false;
        }
        service.kill();
        at = Some(Instant::now());
        true
    });
    Killed { at: at.expect("the fleet talks for longer than the service lives"), outcomes }
}

/// Callers that had been heard for more than a second.
fn must_be_kept(killed: &Killed, round: usize) -> impl Iterator<Item = String> + '_ {
    let calls = killed.outcomes.iter().enumerate();
    let long = calls.filter(|(_, outcome)| {
        outcome.first_sent.is_some_and(|first| killed.at - first > LOST_MAX)
    });
    long.map(move |(call, _)| international(&caller(round, call)))
}

fn international(national: &str) -> String {
    format!("+81{}", &national[1..])
}

fn by_caller(service: &Service, mailbox: &str) -> HashMap<String, Vec<Value>> {
    let mut found: HashMap<String, Vec<Value>> = HashMap::new();
    for message in service.messages(mailbox) {
        let number = message["caller"]["number"].as_str().unwrap().to_owned();
        found.entry(number).or_default().push(message);
    }
    found
}

fn check(killed: &Killed, round: usize, messages: &HashMap<String, Vec<Value>>) -> usize {
    let mut kept = 0;
    for (call, outcome) in killed.outcomes.iter().enumerate() {
        let number = international(&caller(round, call));
        let found = messages.get(&number).map_or(0, Vec::len);
        assert!(found <= 1, "round {round}: call {call} became {found} messages");
        if outcome.first_sent.is_none_or(|first| killed.at - first <= LOST_MAX) {
            continue;
        }
        let kept_ms = messages[&number][0]["duration_ms"].as_u64().unwrap();
        let sent = Duration::from_millis(20) * outcome.sent as u32;
        assert!(
            Duration::from_millis(kept_ms) + LOST_MAX >= sent,
            "round {round}: call {call} kept {kept_ms} ms of {sent:?}"
        );
        kept += 1;
    }
    kept
}

#[test]
fn twenty_power_cuts_lose_no_call_and_double_none() {
    let _alone = crate::alone();
    let seed: u64 = std::env::var("CRASH_SEED").map_or(20_261_122, |text| text.parse().unwrap());
    println!("CRASH_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let data = tempfile::tempdir().unwrap();
    let settings = "";
    let mut service = Service::start(data.path(), settings);
    let mailbox = service.make_mailbox(NUMBER, &json!({ "greeting": "none", "beep": false }));
    let mut kept = 0;
    for round in 0..ROUNDS {
        let after = Duration::from_millis(chance.random_range(1_500..4_500));
        let killed = run_until_killed(&mut service, round, after);
        service = Service::start(data.path(), settings);
        let heard = killed.outcomes.iter().filter(|outcome| outcome.sent > 0).count();
        println!("round {round}: killed after {after:?}, {heard} calls had been heard");
        let messages = wait_for("recovered recordings", || {
            let messages = by_caller(&service, &mailbox);
            must_be_kept(&killed, round)
                .all(|number| messages.contains_key(&number))
                .then_some(messages)
        });
        kept += check(&killed, round, &messages);
    }
    assert!(kept > ROUNDS * CALLS / 4, "only {kept} calls were heard long enough to count");
    println!("{kept} calls were cut off after more than a second; all are messages");
    service.stop();
}
