//! The call core, told what a call would tell it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::caller::Caller;
use crate::codec::Codec;
use crate::id::{MailboxId, RecordingId};
use crate::recording::{Entry, Opened, chunks};
use crate::sound::Frames;
use crate::text::LanguageChoice;

const CALLER: &str = "192.0.2.1:4000";

fn sound(packets: u8) -> Arc<Frames> {
    let payloads = (0..packets).map(|n| Bytes::from(vec![n; 160])).collect();
    Arc::new(Frames { codec: Codec::Pcmu, payloads })
}

fn plan() -> CallPlan {
    CallPlan {
        opened: Opened {
            recording: RecordingId::from_u128(1),
            mailbox: MailboxId::from_u128(2),
            caller: Caller::Withheld,
            codec: Codec::Pcmu,
            language: LanguageChoice::Detect,
            answered_at: WallTime::from_unix_millis(1_000_000),
        },
        payload_type: 0,
        digit_payload_type: Some(101),
        greeting: Some(sound(5)),
        beep: Some(sound(2)),
        closing: Some(sound(3)),
        recording_limit: Duration::from_mins(1),
        quiet_limit: None,
        silent_line_limit: Duration::from_secs(30),
        sender: SenderStart { ssrc: 7, sequence: 0, timestamp: 0 },
        remote: Some(CALLER.parse().unwrap()),
    }
}

/// A call with its shell: virtual time in milliseconds, woken when it asks.
struct Line {
    call: Call,
    now: u64,
    out: Vec<(u64, Output)>,
    wakes: Option<u64>,
    sent: u16,
}

impl Line {
    fn new(plan: CallPlan) -> Self {
        let call = Call::new(at(0), WallTime::from_unix_millis(1_000_000), plan);
        let mut line = Self { call, now: 0, out: Vec::new(), wakes: None, sent: 0 };
        line.drain();
        line
    }

    fn connected(plan: CallPlan) -> Self {
        let mut line = Self::new(plan);
        line.tell(Input::Connected);
        line
    }

    /// Connected, and past greeting and beep.
    fn recording(plan: CallPlan) -> Self {
        let mut line = Self::connected(CallPlan { greeting: None, beep: None, ..plan });
        assert!(line.out.iter().any(|(_, o)| *o == Output::RecordingStarted));
        line.out.clear();
        line
    }

    fn tell(&mut self, input: Input) {
        self.call.handle(at(self.now), input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.call.poll() {
                Output::Idle { until } => {
                    self.wakes = until.map(|until| until.as_nanos().div_ceil(1_000_000));
                    return;
                }
                output => {
                    if let Output::Chunk(_) = output {
                        let sealed = self.call.is_sealed();
                        self.out.push((self.now, output));
                        let next = self.call.poll();
                        assert_eq!(sealed, matches!(next, Output::Sealed(_)));
                        match next {
                            Output::Idle { .. } => {}
                            next => self.out.push((self.now, next)),
                        }
                    } else {
                        self.out.push((self.now, output));
                    }
                }
            }
        }
    }

    /// Lets time pass, waking the call whenever it asks.
    fn wait_until(&mut self, millis: u64) {
        while let Some(wakes) = self.wakes.filter(|&wakes| wakes <= millis) {
            assert!(wakes >= self.now, "asked to be woken in the past");
            self.now = wakes;
            self.tell(Input::Tick);
        }
        self.now = self.now.max(millis);
    }

    fn packet(&mut self, payload: Vec<u8>) {
        let packet = Packet {
            payload_type: 0,
            marker: false,
            sequence: self.sent,
            timestamp: (self.now * 8) as u32,
            ssrc: 9,
            payload: payload.into(),
        };
        self.sent += 1;
        self.tell(Input::Packet { source: CALLER.parse().unwrap(), packet });
    }

    /// Speaks for `packets` × 20 ms.
    fn speak(&mut self, packets: u32) {
        for _ in 0..packets {
            self.packet(vec![0; 160]);
            self.wait_until(self.now + 20);
        }
    }

    fn key(&mut self, code: u8) {
        let packet = Packet {
            payload_type: 101,
            marker: true,
            sequence: self.sent,
            timestamp: (self.now * 8) as u32,
            ssrc: 9,
            payload: vec![code, 10, 0, 160].into(),
        };
        self.sent += 1;
        self.tell(Input::Packet { source: CALLER.parse().unwrap(), packet });
    }

    fn entries(&self) -> Vec<Entry> {
        let parts = self.out.iter().filter_map(|(_, output)| match output {
            Output::Chunk(chunk) => Some(chunk.as_ref()),
            _ => None,
        });
        chunks(parts.collect::<Vec<_>>().concat().into())
            .flat_map(|chunk| chunk.unwrap().entries())
            .collect::<Result<_, _>>()
            .unwrap()
    }

    fn sealed(&self) -> Option<Sealed> {
        self.out.iter().find_map(|(_, output)| match output {
            Output::Sealed(sealed) => Some(sealed.clone()),
            _ => None,
        })
    }

    fn hang_up(&self) -> Option<(u64, EndReason)> {
        self.out.iter().find_map(|(when, output)| match output {
            Output::HangUp(reason) => Some((*when, *reason)),
            _ => None,
        })
    }

    fn sent_at(&self) -> Vec<u64> {
        let sent = |(when, output): &(u64, Output)| {
            matches!(output, Output::Transmit { .. }).then_some(*when)
        };
        self.out.iter().filter_map(sent).collect()
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

#[test]
fn opening_is_written_at_the_answer() {
    let line = Line::new(plan());
    assert_eq!(line.entries(), [Entry::Opened(plan().opened)]);
}

#[test]
fn greeting_then_beep_then_recording_in_20_ms_steps() {
    let mut line = Line::connected(plan());
    line.wait_until(200);
    assert_eq!(line.sent_at(), [0, 20, 40, 60, 80, 100, 120]);
    let started = line.out.iter().find(|(_, o)| *o == Output::RecordingStarted).unwrap();
    assert_eq!(started.0, 140);
}

#[test]
fn first_packet_starts_the_greeting_when_the_ack_is_missing() {
    let mut line = Line::new(plan());
    line.packet(vec![0; 160]);
    assert!(line.out.iter().any(|(_, o)| *o == Output::Latched(CALLER.parse().unwrap())));
    assert_eq!(line.sent_at(), [0]);
}

#[test]
fn nothing_said_before_the_end_of_the_beep_is_recorded() {
    let mut line = Line::connected(plan());
    line.speak(10);
    line.tell(Input::HungUp);
    let sealed = line.sealed().unwrap();
    assert_eq!((sealed.frames, sealed.duration.0, sealed.call_ms), (3, 480, 200));
    assert_eq!(sealed.ended_at, WallTime::from_unix_millis(1_000_200));
    let Entry::Frame(first) = &line.entries()[1] else { panic!("sound comes first") };
    assert_eq!(first.ticks.0, 0);
    assert_eq!(line.hang_up(), None, "who hung up needs no BYE");
}

/// S16.
#[test]
fn full_message_is_60_seconds_to_the_tick_and_the_announcement_comes_before_bye() {
    let mut line = Line::recording(plan());
    line.speak(3_500);
    let sealed = line.sealed().unwrap();
    assert_eq!((sealed.frames, sealed.duration.0), (3_000, 480_000));
    assert_eq!(sealed.reason, EndReason::Full);
    assert_eq!(line.sent_at(), [59_980, 60_000, 60_020]);
    assert_eq!(line.hang_up(), Some((60_040, EndReason::Full)));
    assert_eq!(sealed.call_ms, 60_040);
    assert_eq!(line.wakes, None);
}

/// S16: what is short of the limit is kept whole.
#[test]
fn message_just_short_of_the_limit_is_kept_whole() {
    let mut line = Line::recording(plan());
    line.speak(2_995);
    line.tell(Input::HungUp);
    let sealed = line.sealed().unwrap();
    assert_eq!((sealed.frames, sealed.duration.0), (2_995, 479_200));
    assert_eq!(sealed.reason, EndReason::HungUp);
}

#[test]
fn caller_who_hangs_up_during_the_announcement_leaves_a_full_message() {
    let mut line = Line::recording(plan());
    line.speak(3_000);
    line.tell(Input::HungUp);
    assert_eq!(line.sealed().unwrap().reason, EndReason::Full);
    assert_eq!(line.hang_up(), None);
}

#[test]
fn pound_ends_the_recording_and_other_keys_are_kept() {
    let mut line = Line::recording(plan());
    line.speak(2);
    line.key(5);
    line.key(11);
    assert_eq!(line.hang_up(), Some((40, EndReason::Pound)));
    let keys: Vec<_> = line
        .entries()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Digit { ticks, digit } => Some((ticks.0, digit)),
            _ => None,
        })
        .collect();
    assert_eq!(keys, [(320, '5'), (320, '#')]);
}

#[test]
fn pound_during_the_greeting_means_nothing() {
    let mut line = Line::connected(plan());
    line.key(11);
    line.wait_until(300);
    assert_eq!(line.hang_up(), None);
}

#[test]
fn line_without_packets_ends_at_the_limit_and_rests_on_hold() {
    let mut line = Line::recording(plan());
    line.speak(1);
    line.wait_until(29_999);
    assert_eq!(line.hang_up(), None);
    line.tell(Input::Remote { address: None, sends: false, receives: true });
    line.wait_until(100_000);
    assert_eq!(line.hang_up(), None);
    line.tell(Input::Remote { address: None, sends: true, receives: true });
    line.wait_until(200_000);
    assert_eq!(line.hang_up(), Some((130_000, EndReason::SilentLine)));
    assert_eq!(line.sealed().unwrap().frames, 1);
}

#[test]
fn hold_leaves_no_hole_in_the_message() {
    let mut line = Line::recording(plan());
    line.speak(2);
    line.tell(Input::Remote { address: None, sends: false, receives: true });
    line.wait_until(90_000);
    line.tell(Input::Remote { address: None, sends: true, receives: true });
    line.speak(2);
    line.tell(Input::HungUp);
    assert_eq!(line.sealed().unwrap().duration.0, 640);
}

#[test]
fn held_greeting_waits_for_the_caller_to_listen() {
    let mut line = Line::connected(plan());
    line.wait_until(30);
    line.tell(Input::Remote { address: None, sends: true, receives: false });
    line.wait_until(1_000);
    assert_eq!(line.sent_at(), [0, 20]);
    line.tell(Input::Remote { address: None, sends: true, receives: true });
    line.wait_until(1_100);
    assert_eq!(line.sent_at(), [0, 20, 1_000, 1_020, 1_040, 1_060, 1_080]);
}

#[test]
fn quiet_caller_is_cut_off_at_the_limit_and_a_talking_one_is_not() {
    let quiet_limit = Some(Duration::from_secs(3));
    let mut line = Line::recording(CallPlan { quiet_limit, ..plan() });
    line.speak(250);
    assert_eq!(line.hang_up(), None);
    for _ in 0..200 {
        line.packet(vec![0xff; 160]);
        line.wait_until(line.now + 20);
    }
    // The last loud packet came at 4,980 ms.
    assert_eq!(line.hang_up(), Some((7_980, EndReason::Quiet)));
}

#[test]
fn flush_gives_what_was_recorded_since_and_nothing_twice() {
    let mut line = Line::recording(plan());
    line.speak(3);
    line.tell(Input::Flush);
    line.tell(Input::Flush);
    assert_eq!(line.out.iter().filter(|(_, o)| matches!(o, Output::Chunk(_))).count(), 1);
    line.speak(1);
    line.tell(Input::Stop(EndReason::Stopped));
    let frames = line.entries().iter().filter(|e| matches!(e, Entry::Frame(_))).count();
    assert_eq!(frames, 4);
    assert_eq!(line.hang_up(), Some((80, EndReason::Stopped)));
}

#[test]
fn packets_of_a_third_party_are_counted_and_never_recorded() {
    let mut line = Line::recording(plan());
    for n in 0..50 {
        line.packet(vec![0; 160]);
        let packet = Packet {
            payload_type: 0,
            marker: false,
            sequence: n,
            timestamp: 0,
            ssrc: 9,
            payload: vec![66; 160].into(),
        };
        line.tell(Input::Packet { source: "203.0.113.5:5".parse().unwrap(), packet });
        line.wait_until(line.now + 20);
    }
    line.tell(Input::HungUp);
    assert_eq!(line.call.stats().hijacks, 50);
    assert_eq!(line.sealed().unwrap().frames, 50);
    let foreign = |entry: &Entry| matches!(entry, Entry::Frame(f) if f.payload[0] == 66);
    assert!(!line.entries().iter().any(foreign));
}

#[test]
fn packets_that_wait_for_a_missing_one_are_recorded_at_hang_up() {
    let mut line = Line::recording(plan());
    line.speak(1);
    line.sent += 1;
    line.wait_until(line.now + 20);
    line.packet(vec![0; 160]);
    line.tell(Input::HungUp);
    let sealed = line.sealed().unwrap();
    assert_eq!((sealed.frames, sealed.duration.0, sealed.lost), (2, 480, 1));
}

#[test]
fn call_without_ack_and_packets_ends_as_a_silent_line() {
    let mut line = Line::new(plan());
    line.wait_until(60_000);
    assert_eq!(line.hang_up(), Some((30_000, EndReason::SilentLine)));
    assert_eq!(line.sealed().unwrap().frames, 0);
}

#[test]
fn key_flood_without_sound_does_not_hold_the_line_for_ever() {
    let mut line = Line::recording(plan());
    while line.hang_up().is_none() && line.now < 1_000_000 {
        line.key(1);
        line.wait_until(line.now + 1_000);
    }
    assert_eq!(line.sealed().unwrap().reason, EndReason::Full);
    assert!(line.now <= 92_000);
}

#[test]
fn call_that_is_over_is_deaf() {
    let mut line = Line::recording(plan());
    line.tell(Input::HungUp);
    line.out.clear();
    line.packet(vec![0; 160]);
    line.tell(Input::Flush);
    line.tell(Input::HungUp);
    assert!(line.out.is_empty());
}
