//! The SIP server under real callers: SIPp scenarios from `tests/sipp`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod house;

use std::sync::Arc;
use std::time::Duration;

use engine_core::call::CallPlan;
use engine_core::codec::Codec;
use engine_core::event::MessageState;
use engine_core::recording::EndReason;
use house::{BROKEN, Did, House, SLOW, Sipp, config};
use ingress::media::{AdmissionError, MediaNotice, RemoteChange};
use ingress::sip::{SipConfig, SipServer, Transport};

/// Short timers, so that what takes 32 seconds takes 1.3.
fn hasty() -> SipConfig {
    SipConfig { t1_milliseconds: 20, ..config() }
}

async fn call(house: &House, scenario: &'static str) {
    Sipp::new(scenario, house.address(Transport::Udp)).run().await;
}

async fn one_plan(house: &House) -> CallPlan {
    house.until_quiet().await;
    let plans = house.media.plans();
    assert_eq!(plans.len(), 1, "{:?}", house.media.log());
    plans[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_connected_and_hung_up() {
    let house = House::open(config()).await;
    call(&house, "basic.xml").await;
    let plan = one_plan(&house).await;
    assert_eq!(plan.opened.codec, Codec::Pcmu);
    assert_eq!((plan.payload_type, plan.digit_payload_type), (0, Some(101)));
    assert_eq!(plan.opened.caller.number(), Some("+819012345678"));
    assert!(plan.greeting.is_some(), "an own greeting that is missing is replaced by the default");
    assert!(plan.beep.is_some() && plan.closing.is_some() && plan.remote.is_some());
    let log = house.media.until("hang up", |log| matches!(log.last(), Some(Did::HangUp(_)))).await;
    assert!(
        matches!(
            log.as_slice(),
            [Did::Reserve(_), Did::Answer(..), Did::Connected(_), Did::HangUp(_)]
        ),
        "{log:?}"
    );
    assert_eq!(house.events.states(), [MessageState::Ringing]);
    let counters = house.server.counters();
    assert_eq!((counters.offered, counters.answered, counters.calls), (1, 1, 0));
    assert!(counters.refused.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_come_over_tcp_and_ipv6() {
    let mut config = config();
    config.udp.push("[::1]:0".parse().unwrap());
    config.tcp.push("[::1]:0".parse().unwrap());
    let house = House::open(config).await;
    let mut answered = 0;
    for local in house.server.local_addresses().to_vec() {
        let transport = if local.transport == Transport::Tcp { "t1" } else { "u1" };
        Sipp::new("basic.xml", local.address).with(&["-t", transport, "-m", "3"]).run().await;
        answered += 3;
        house.until_quiet().await;
        assert_eq!(house.server.counters().answered, answered, "{local:?}");
        let last = house.media.plans().pop().unwrap();
        assert_eq!(last.remote.unwrap().is_ipv6(), local.address.is_ipv6());
    }
    assert_eq!(answered, 12);
}

/// S07.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarded_call_reaches_the_subscribers_mailbox() {
    let house = House::open(config()).await;
    Sipp::new("forwarded.xml", house.address(Transport::Udp))
        .with(&["-s", "voicemail"])
        .run()
        .await;
    let plan = one_plan(&house).await;
    assert_eq!(plan.opened.mailbox.as_u128(), 7);
    assert_eq!(plan.opened.caller.number(), Some("+81312345678"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payphone_is_shown_as_one() {
    let house = House::open(config()).await;
    call(&house, "payphone.xml").await;
    assert_eq!(one_plan(&house).await.opened.caller.kind(), "payphone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_before_the_answer_abandons_the_call() {
    let house = House::open(config()).await;
    Sipp::new("cancel.xml", house.address(Transport::Udp)).with(&["-s", SLOW]).run().await;
    house.until_quiet().await;
    let counters = house.server.counters();
    assert_eq!((counters.offered, counters.answered, counters.abandoned), (1, 0, 1));
    assert!(house.media.log().is_empty(), "no media was reserved");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_while_ringing_abandons_the_message() {
    let house = House::open(config()).await;
    let to = house.address(Transport::Udp);
    let held = Arc::clone(&house.sounds);
    // Holds the sounds on a thread of its own until the CANCEL was obeyed.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (ready, is_ready) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _held = held.lock().unwrap();
        ready.send(()).unwrap();
        released.recv().unwrap();
    });
    is_ready.recv().unwrap();
    Sipp::new("cancel_ringing.xml", to).run().await;
    release.send(()).unwrap();
    holder.join().unwrap();
    house.until_quiet().await;
    assert_eq!(house.events.states(), [MessageState::Ringing, MessageState::Abandoned]);
    let log = house.media.log();
    assert!(matches!(log.as_slice(), [Did::Reserve(_), Did::HangUp(_)]), "{log:?}");
    assert_eq!(house.server.counters().abandoned, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_and_resume_move_the_media() {
    let house = House::open(config()).await;
    call(&house, "hold.xml").await;
    house.until_quiet().await;
    let remotes = house.media.remotes();
    let [held, resumed, answered] = remotes.as_slice() else { panic!("{remotes:?}") };
    assert!(held.sends && !held.receives);
    let at = |port| RemoteChange {
        address: Some(([127, 0, 0, 1], port).into()),
        sends: true,
        receives: true,
    };
    assert_eq!(*resumed, at(47_000));
    assert_eq!(*answered, at(47_002), "the answer in the ACK of a re-INVITE without offer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn update_changes_directions_within_a_call() {
    let house = House::open(config()).await;
    call(&house, "update.xml").await;
    house.until_quiet().await;
    let remotes = house.media.remotes();
    assert_eq!(remotes.len(), 1);
    assert!(!remotes[0].sends && !remotes[0].receives);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_served_is_refused_as_the_rfcs_say() {
    let house = House::open(config()).await;
    call(&house, "options.xml").await;
    for scenario in ["wrong_version.xml", "unknown_require.xml", "no_codec.xml", "wrong_body.xml"] {
        call(&house, scenario).await;
    }
    let to = house.address(Transport::Udp);
    Sipp::new("unknown.xml", to).with(&["-s", "05099999999"]).run().await;
    Sipp::new("prefix.xml", to).with(&["-s", "00376805012345678"]).run().await;
    house.until_quiet().await;
    assert!(house.media.log().is_empty(), "none of them reached media");
    let refused = house.server.counters().refused;
    for reason in ["no common codec", "body type", "unknown mailbox", "dialling prefix"] {
        assert_eq!(refused.get(reason), Some(&1), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn required_reliable_responses_are_met_by_answering_at_once() {
    let house = House::open(config()).await;
    call(&house, "reliable.xml").await;
    one_plan(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_house_says_when_to_come_back() {
    let house = House::open(SipConfig { calls_max: 1, retry_after_seconds: 7, ..config() }).await;
    let to = house.address(Transport::Udp);
    call(&house, "vanish.xml").await;
    Sipp::new("full.xml", to).run().await;
    assert_eq!(house.server.counters().refused.get("full"), Some(&1));
    // The caller that vanished is let go, and there is room again.
    let log =
        house.media.until("connected", |log| matches!(log.last(), Some(Did::Connected(_)))).await;
    let Some(Did::Connected(vanished)) = log.last().cloned() else { unreachable!() };
    let notice = MediaNotice::HangUp { call: vanished, reason: EndReason::SilentLine };
    house.notices.send(notice).unwrap();
    house.until_quiet().await;
    *house.media.refuse.lock().unwrap() = Some(AdmissionError::NoPort);
    Sipp::new("full.xml", to).run().await;
    *house.media.refuse.lock().unwrap() = None;
    Sipp::new("full.xml", to).with(&["-s", BROKEN]).run().await;
    let refused = house.server.counters().refused;
    assert_eq!((refused.get("no port"), refused.get("directory")), (Some(&1), Some(&1)));
    house.until_quiet().await;
    Sipp::new("basic.xml", to).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_ack_the_call_ends_with_bye_and_is_freed() {
    let house = House::open(hasty()).await;
    call(&house, "lost_ack.xml").await;
    house.until_quiet().await;
    assert_eq!(house.server.counters().unacknowledged, 1);
    let log = house.media.log();
    assert!(matches!(log.last(), Some(Did::HangUp(_))), "{log:?}");
    assert!(!log.iter().any(|did| matches!(did, Did::Connected(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_ends_the_call_with_bye() {
    let house = House::open(config()).await;
    let caller = tokio::spawn(Sipp::new("hung_up.xml", house.address(Transport::Udp)).run());
    let log =
        house.media.until("connected", |log| matches!(log.last(), Some(Did::Connected(_)))).await;
    let Some(Did::Connected(call)) = log.last().cloned() else { unreachable!() };
    house.notices.send(MediaNotice::HangUp { call, reason: EndReason::Full }).unwrap();
    caller.await.unwrap();
    house.until_quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_without_offer_gets_ours() {
    let house = House::open(config()).await;
    call(&house, "delayed_offer.xml").await;
    let plan = one_plan(&house).await;
    assert_eq!((plan.opened.codec, plan.remote), (Codec::Pcmu, None));
    assert_eq!(house.media.remotes().len(), 1, "the address came in the ACK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_nobody_refreshes_is_ended() {
    let house = House::open(SipConfig { session_expires_min_seconds: 3, ..config() }).await;
    call(&house, "session_timer.xml").await;
    house.until_quiet().await;
    assert_eq!(house.server.counters().answered, 1);
    assert_eq!(house.server.counters().refused.get("session interval too small"), Some(&1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_refreshed_where_the_caller_wants_that() {
    let house = House::open(SipConfig { session_expires_min_seconds: 3, ..config() }).await;
    call(&house, "refreshed.xml").await;
    one_plan(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_refuses_new_calls_and_ends_old_ones() {
    let house = House::open(SipConfig { retry_after_seconds: 7, ..config() }).await;
    let to = house.address(Transport::Udp);
    let caller = tokio::spawn(Sipp::new("hung_up.xml", to).run());
    house.media.until("connected", |log| matches!(log.last(), Some(Did::Connected(_)))).await;
    house.server.stop(Duration::from_secs(1)).await;
    caller.await.unwrap();
    assert!(house.media.log().iter().any(|did| matches!(did, Did::Drain)));
    assert_eq!(house.server.counters().calls, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_are_each_answered() {
    let house = House::open(SipConfig { invites_per_second: 10_000, ..config() }).await;
    let to = house.address(Transport::Udp);
    let of = |name: &str, otherwise: &str| std::env::var(name).unwrap_or(otherwise.to_owned());
    let (calls, rate) = (of("SIP_CALLS", "200"), of("SIP_RATE", "100"));
    Sipp::new("basic.xml", to).with(&["-m", &calls, "-r", &rate]).run().await;
    let calls: u64 = calls.parse().unwrap();
    house.until_quiet().await;
    let counters = house.server.counters();
    assert_eq!((counters.offered, counters.answered), (calls, calls));
    let plans = house.media.plans();
    let mut recordings: Vec<_> = plans.iter().map(|plan| plan.opened.recording).collect();
    recordings.sort();
    recordings.dedup();
    assert_eq!(recordings.len() as u64, calls, "every call has its own recording");
}
