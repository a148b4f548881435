//! What a crash leaves is turned into messages, each once; a bad disk costs as little as it must.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod rtp_bed;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engine_core::event::MessageState;
use engine_core::recording::EndReason;
use ingress::journal::{DiskOp, Faults, Verdict};
use ingress::limits::{DRAIN_GRACE, RING_REST_MAX};
use ingress::media::{AdmissionError, MediaPlane};
use rtp_bed::{Bed, Call, Phone, expected, frames, pace, packet, wait};

/// Copies the journal as it lies: what a crash of the process would leave.
fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        // A segment may be removed while we look.
        let _ = std::fs::copy(&path, to.join(path.file_name().unwrap()));
    }
}

#[test]
fn after_a_crash_every_call_arrives_once_with_all_but_its_last_second() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let bed = Bed::start(dir.path(), |config| config.shards = 2);
    let phones: Vec<Phone> = (0..30).map(|_| Phone::new()).collect();
    let calls: Vec<Call> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    let started = Instant::now();
    let mut sealed = BTreeSet::new();
    // Packets sent at least a second before the crash.
    let mut safe = 0;
    for number in 0..150 {
        for (at, (phone, call)) in phones.iter().zip(&calls).enumerate() {
            if !sealed.contains(&call.recording) {
                phone.send(call, &packet(number));
                if number == 60 && at % 3 == 0 {
                    bed.shards.hang_up(call.id);
                    sealed.insert(call.recording);
                }
            }
        }
        pace(started + Duration::from_millis(20) * (number + 1));
        if number == 70 {
            safe = number;
        }
    }
    let first: Vec<_> = sealed.iter().map(|_| bed.arrival().opened.recording).collect();
    assert_eq!(BTreeSet::from_iter(first), sealed);
    // One of them is acknowledged before the crash, and all live calls are long past a second.
    copy(dir.path(), crashed.path());

    let next = Bed::start(crashed.path(), |config| config.shards = 1);
    let mut arrived = BTreeMap::new();
    for _ in &calls {
        let arrival = next.arrival();
        let recording = arrival.opened.recording;
        assert!(arrived.insert(recording, arrival).is_none(), "{recording} came twice");
    }
    assert!(next.arrivals.is_empty());
    for call in &calls {
        let arrival = &arrived[&call.recording];
        let got = frames(&arrival.sound);
        assert_eq!(got, expected(got.len() as u32));
        assert_eq!(arrival.sealed.frames as usize, got.len());
        if sealed.contains(&call.recording) {
            assert_eq!((arrival.sealed.reason, got.len()), (EndReason::HungUp, 61));
        } else {
            assert_eq!(arrival.sealed.reason, EndReason::Recovered);
            assert!(got.len() > safe as usize, "only {} frames", got.len());
        }
    }
    wait("what was recovered is told", || {
        calls.iter().all(|call| next.events.states(call.recording) == [MessageState::Sealed])
    });
    // Acknowledged, nothing is left for another start.
    for call in &calls {
        next.acks.push(call.recording);
    }
    wait("old segments are removed", || {
        let files = std::fs::read_dir(crashed.path()).unwrap();
        files
            .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "rsj"))
            .count()
            == 0
    });
    drop(next);
    let last = Bed::start(crashed.path(), |_| ());
    block(&last);
    assert!(last.arrivals.is_empty());
}

/// Lets the shard take a turn.
fn block(bed: &Bed) {
    let reservation = bed.reserve().unwrap();
    bed.shards.hang_up(reservation.call);
    bed.until("the shard has taken a turn", |count| count.calls == 0);
}

#[test]
fn arrivals_wait_for_room_and_come_all() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start_with(dir.path(), None, 1, |_| ());
    let phones: Vec<Phone> = (0..40).map(|_| Phone::new()).collect();
    let calls: Vec<Call> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    bed.until("all are sealed", |count| count.sealed == 40);
    let arrived: BTreeSet<_> = (0..40).map(|_| bed.arrival().opened.recording).collect();
    assert_eq!(arrived, calls.iter().map(|call| call.recording).collect());
}

/// A disk that does what the test says.
#[derive(Default)]
struct Disk {
    full: AtomicBool,
    hangs: AtomicBool,
    stands_still: AtomicBool,
    bad_syncs: AtomicU32,
}

impl Faults for Disk {
    fn before(&self, op: DiskOp) -> Verdict {
        let full = self.full.load(Ordering::SeqCst) && matches!(op, DiskOp::Write | DiskOp::Create);
        let bad_sync = op == DiskOp::Sync
            && self
                .bad_syncs
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        // A hanging disk answers after 50 ms; real ones take seconds, tests need not.
        let hangs = self.hangs.load(Ordering::SeqCst).then_some(Duration::from_millis(50));
        let stands_still = self.stands_still.load(Ordering::SeqCst);
        Box::pin(async move {
            if stands_still {
                std::future::pending::<()>().await;
            }
            if let Some(pause) = hangs {
                tokio::time::sleep(pause).await;
            }
            match (full, bad_sync) {
                (true, _) => Err(io::Error::from_raw_os_error(28)),
                (_, true) => Err(io::Error::from_raw_os_error(5)),
                _ => Ok(()),
            }
        })
    }
}

/// Sends packets `from..to` at their own pace.
fn stream(phone: &Phone, call: &Call, from: u32, to: u32) {
    let started = Instant::now();
    for number in from..to {
        phone.send(call, &packet(number));
        pace(started + Duration::from_millis(12) * (number - from + 1));
    }
}

#[test]
fn failed_and_slow_syncs_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let bed = Bed::start_with(dir.path(), Some(disk.clone()), 64, |_| ());
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    stream(&phone, &call, 0, 50);
    disk.bad_syncs.store(3, Ordering::SeqCst);
    disk.hangs.store(true, Ordering::SeqCst);
    stream(&phone, &call, 50, 150);
    bed.shards.hang_up(call.id);
    let arrival = bed.arrival();
    assert_eq!(frames(&arrival.sound), expected(150));
    assert!(bed.count().disk_errors >= 3);
}

#[test]
fn a_drain_resolves_once_every_message_is_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let bed = Bed::start_with(dir.path(), Some(disk.clone()), 64, |_| ());
    let phones: Vec<Phone> = (0..40).map(|_| Phone::new()).collect();
    let calls: Vec<Call> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    disk.hangs.store(true, Ordering::SeqCst);
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    rtp_bed::block_on(bed.shards.drain(rtp_bed::PATIENCE));
    let arrived: BTreeSet<_> = bed.arrivals.try_iter().map(|a| a.opened.recording).collect();
    assert_eq!(arrived, calls.iter().map(|call| call.recording).collect());
}

#[test]
fn a_drain_ends_in_time_though_nobody_takes_the_messages() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed::start_with(dir.path(), None, 1, |_| ());
    let phones: Vec<Phone> = (0..3).map(|_| Phone::new()).collect();
    let calls: Vec<Call> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    let started = Instant::now();
    rtp_bed::block_on(bed.shards.drain(Duration::from_millis(100)));
    assert!(started.elapsed() < DRAIN_GRACE + Duration::from_secs(20));
    drop(bed);
    // What nobody took comes again at the next start.
    let next = Bed::start(dir.path(), |_| ());
    let arrived: BTreeSet<_> = (0..3).map(|_| next.arrival().opened.recording).collect();
    assert_eq!(arrived, calls.iter().map(|call| call.recording).collect());
}

#[test]
fn a_full_disk_refuses_new_calls_ends_those_under_way_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let bed = Bed::start_with(dir.path(), Some(disk.clone()), 64, |config| {
        config.backlog_bytes_max = 1 << 20;
        config.commit_interval_ms = 100;
    });
    let phones: Vec<Phone> = (0..8).map(|_| Phone::new()).collect();
    let calls: Vec<Call> = phones.iter().map(|phone| bed.call(phone, |_| ())).collect();
    bed.until("the openings are on disk", |count| count.commits > 0 && count.backlog_bytes == 0);
    disk.full.store(true, Ordering::SeqCst);
    // Jumbo packets fill the backlog soon: 1,400 bytes each.
    let started = Instant::now();
    let mut number = 0;
    while bed.count().disk_refusals == 0 {
        for (phone, call) in phones.iter().zip(&calls) {
            let mut packet = packet(number);
            packet.payload = vec![number as u8; 1_400].into();
            packet.timestamp = number * 1_400;
            phone.send(call, &packet);
        }
        number += 1;
        pace(started + Duration::from_millis(20) * number);
        assert!(started.elapsed() < rtp_bed::PATIENCE, "{:?}", bed.count());
    }
    assert_eq!(bed.reserve(), Err(AdmissionError::DiskBehind));
    disk.full.store(false, Ordering::SeqCst);
    bed.until("the disk has caught up", |count| count.backlog_bytes == 0);
    for call in &calls {
        bed.shards.hang_up(call.id);
    }
    let reasons: Vec<_> = calls.iter().map(|_| bed.arrival().sealed.reason).collect();
    assert!(reasons.contains(&EndReason::DiskFull), "{reasons:?}");
    bed.reserve().unwrap();
}

#[test]
fn a_disk_that_stands_still_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::default());
    let bed = Bed::start_with(dir.path(), Some(disk.clone()), 64, |_| ());
    let phone = Phone::new();
    let call = bed.call(&phone, |_| ());
    bed.until("the opening is on disk", |count| count.commits > 0 && count.backlog_bytes == 0);
    disk.stands_still.store(true, Ordering::SeqCst);
    stream(&phone, &call, 0, 20);
    let started = Instant::now();
    bed.shards.stop();
    assert!(started.elapsed() < DRAIN_GRACE + RING_REST_MAX + Duration::from_secs(20));
    drop(bed);
    // What was on disk is there at the next start.
    let next = Bed::start(dir.path(), |_| ());
    assert_eq!(next.arrival().opened.recording, call.recording);
}
