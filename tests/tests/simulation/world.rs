//! One shard in virtual time: its calls, its journal, its disk, and sometimes its end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine_core::call::{self, Call, CallPlan, SenderStart};
use engine_core::caller::Caller;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::journal::{self, Extent, Journal, JournalConfig, recover};
use engine_core::limits::{COMMIT_INTERVAL_MAX, RECORDING_MAX, SILENT_LINE_MAX};
use engine_core::recording::{EndReason, Opened};
use engine_core::sound::Frames;
use engine_core::text::LanguageChoice;
use engine_core::time::{Instant, WallTime};
use rand::Rng;
use rand::rngs::StdRng;

use crate::caller::{AUDIO, KEYS, MS, Script};
use crate::disk::{Answer, Disk, Health};
use crate::model::{check_frames, check_sanity, expected, read};

/// How often a call hands on what it has.
const FLUSH_EVERY: u64 = 400 * MS;

/// What happened, for the counts at the end.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    pub(crate) delivered: u64,
    pub(crate) recovered: u64,
    pub(crate) frames: u64,
    pub(crate) reordered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) hijacks: u64,
    pub(crate) restarts: u64,
    pub(crate) full: u64,
    pub(crate) pound: u64,
    pub(crate) failed_writes: u64,
    pub(crate) failed_syncs: u64,
    pub(crate) crashes: u64,
    pub(crate) refused: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.calls, other.calls),
            (&mut self.delivered, other.delivered),
            (&mut self.recovered, other.recovered),
            (&mut self.frames, other.frames),
            (&mut self.reordered, other.reordered),
            (&mut self.lost, other.lost),
            (&mut self.duplicated, other.duplicated),
            (&mut self.hijacks, other.hijacks),
            (&mut self.restarts, other.restarts),
            (&mut self.full, other.full),
            (&mut self.pound, other.pound),
            (&mut self.failed_writes, other.failed_writes),
            (&mut self.failed_syncs, other.failed_syncs),
            (&mut self.crashes, other.crashes),
            (&mut self.refused, other.refused),
        ];
        for (sum, count) in pairs {
            *sum += count;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Answer(usize),
    Connected(usize),
    Packet(usize, usize),
    Flush(usize),
    Bye(usize),
    CallWakes(usize, u64),
    JournalWakes(u64),
    Disk(u64),
    Acknowledge(u128),
    Crash,
}

/// One caller and our side of the call.
struct Line {
    script: Script,
    start: u64,
    call: Option<Call>,
    wakes: u64,
    answered: bool,
    started: Option<u64>,
    ended: Option<u64>,
    chunks: Vec<Bytes>,
    delivered: bool,
    acknowledged: bool,
}

pub(crate) struct World {
    rng: StdRng,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    lines: Vec<Line>,
    journal: Journal,
    journal_wakes: u64,
    disk: Disk,
    healthy: bool,
    crash_at: Option<u64>,
    outcome: Outcome,
}

impl World {
    pub(crate) fn new(mut rng: StdRng, calls: usize) -> Self {
        let healthy = rng.random_bool(0.5);
        let health = Health {
            write_fails: if healthy { 0.0 } else { rng.random_range(0.0..0.5) },
            sync_fails: if healthy { 0.0 } else { rng.random_range(0.0..0.5) },
            latency_max: if healthy { 20 * MS } else { rng.random_range(20..2_000) * MS },
            well_from: if healthy { 0 } else { rng.random_range(2_000..25_000) * MS },
        };
        let tight = !healthy && rng.random_bool(0.5);
        let config = JournalConfig {
            segment_bytes_max: rng.random_range(2_000..2_000_000),
            commit_interval: Duration::from_millis(200),
            backlog_bytes_max: if tight { 100_000 } else { 1 << 30 },
        };
        let lines: Vec<Line> = (0..calls)
            .map(|n| {
                let start = rng.random_range(0..20_000) * MS;
                let script = Script::new(&mut rng, n as u16 + 1, start);
                Line::new(script, start)
            })
            .collect();
        let crash_at = rng.random_bool(0.4).then(|| rng.random_range(1_000..25_000) * MS);
        let mut world = Self {
            rng,
            now: 0,
            events: BinaryHeap::new(),
            order: 0,
            lines,
            journal: Journal::new(config, 1),
            journal_wakes: 0,
            disk: Disk::new(health),
            healthy,
            crash_at,
            outcome: Outcome { calls: calls as u64, ..Outcome::default() },
        };
        for n in 0..calls {
            world.at(world.lines[n].start, Event::Answer(n));
        }
        if let Some(crash_at) = crash_at {
            world.at(crash_at, Event::Crash);
        }
        world
    }

    /// Runs to the end of the last call, or of the machine, and checks what came out.
    pub(crate) fn run(mut self) -> Outcome {
        while let Some(Reverse((when, _, event))) = self.events.pop() {
            self.now = when;
            if event == Event::Crash {
                self.crash();
                break;
            }
            self.on(event);
        }
        if self.crash_at.is_none() {
            for line in &self.lines {
                assert!(line.delivered && line.acknowledged, "every call is delivered");
            }
            assert!(self.journal.is_settled(), "the journal has nothing left to do");
            assert!(self.disk.is_empty(), "nothing of what was acknowledged stays on the disk");
        }
        self.outcome.failed_writes = self.disk.failed_writes;
        self.outcome.failed_syncs = self.disk.failed_syncs;
        self.outcome
    }

    fn at(&mut self, when: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((when, self.order, event)));
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Answer(n) => self.answer(n),
            Event::Connected(n) => self.tell(n, call::Input::Connected),
            Event::Packet(n, index) => {
                if let Some(&(when, ..)) = self.lines[n].script.arrivals.get(index + 1) {
                    self.at(when, Event::Packet(n, index + 1));
                }
                let (_, source, packet) = self.lines[n].script.arrivals[index].clone();
                self.tell(n, call::Input::Packet { source, packet });
            }
            Event::Flush(n) => {
                if self.lines[n].call.is_some() {
                    self.tell(n, call::Input::Flush);
                    self.at(self.now + FLUSH_EVERY, Event::Flush(n));
                }
            }
            Event::Bye(n) => self.tell(n, call::Input::HungUp),
            Event::CallWakes(n, when) => {
                if self.lines[n].wakes == when {
                    self.tell(n, call::Input::Tick);
                }
            }
            Event::JournalWakes(when) => {
                if self.journal_wakes == when {
                    self.tell_journal(journal::Input::Tick);
                }
            }
            Event::Disk(ticket) => {
                let input = match self.disk.finish(&mut self.rng, self.now, ticket) {
                    Answer::Written => journal::Input::Written(ticket),
                    Answer::WriteFailed => journal::Input::WriteFailed(ticket),
                    Answer::Synced => journal::Input::Synced(ticket),
                    Answer::SyncFailed => journal::Input::SyncFailed(ticket),
                };
                self.tell_journal(input);
            }
            Event::Acknowledge(id) => {
                self.lines[line_of(id)].acknowledged = true;
                self.tell_journal(journal::Input::Acknowledged(RecordingId::from_u128(id)));
            }
            Event::Crash => unreachable!("a crash ends the run"),
        }
    }

    fn answer(&mut self, n: usize) {
        let plan = plan(&mut self.rng, &self.lines[n].script, n);
        let call = Call::new(Instant::from_nanos(self.now), WallTime::from_unix_millis(0), plan);
        let line = &mut self.lines[n];
        line.call = Some(call);
        line.answered = true;
        let (bye, first) = (line.script.bye, line.script.arrivals.first().map(|first| first.0));
        // The ACK is lost now and then.
        if self.rng.random_bool(0.9) || first.is_none() {
            let after = self.rng.random_range(1..100) * MS;
            self.at(self.now + after, Event::Connected(n));
        }
        self.at(bye.max(self.now + 200 * MS), Event::Bye(n));
        if let Some(first) = first {
            self.at(first, Event::Packet(n, 0));
        }
        let after = self.rng.random_range(0..FLUSH_EVERY);
        self.at(self.now + after, Event::Flush(n));
        self.drain(n);
    }

    fn tell(&mut self, n: usize, input: call::Input) {
        let now = Instant::from_nanos(self.now);
        let Some(call) = &mut self.lines[n].call else { return };
        call.handle(now, input);
        self.drain(n);
    }

    fn drain(&mut self, n: usize) {
        loop {
            let Some(call) = &mut self.lines[n].call else { return };
            match call.poll() {
                call::Output::Chunk(chunk) => {
                    let last = call.is_sealed();
                    self.lines[n].chunks.push(chunk.clone());
                    let recording = id_of(n);
                    self.tell_journal(journal::Input::Append { recording, chunk, last });
                }
                call::Output::RecordingStarted => self.lines[n].started = Some(self.now),
                call::Output::Sealed(sealed) => {
                    self.outcome.full += u64::from(sealed.reason == EndReason::Full);
                    self.outcome.pound += u64::from(sealed.reason == EndReason::Pound);
                    self.lines[n].ended = Some(self.now);
                }
                call::Output::Idle { until: Some(until) } => {
                    let wakes = until.as_nanos();
                    assert!(wakes > self.now, "a call that wants to be woken now has work to do");
                    if self.lines[n].wakes != wakes {
                        self.lines[n].wakes = wakes;
                        self.at(wakes, Event::CallWakes(n, wakes));
                    }
                    return;
                }
                call::Output::Idle { until: None } => {
                    let stats = call.stats();
                    self.outcome.reordered += u64::from(stats.reordered);
                    self.outcome.duplicated += u64::from(stats.duplicated);
                    self.outcome.hijacks += u64::from(stats.hijacks);
                    self.outcome.lost += self.lines[n].script.lost;
                    self.outcome.restarts += self.lines[n].script.restarts;
                    self.lines[n].call = None;
                    return;
                }
                call::Output::Transmit { .. }
                | call::Output::Latched(_)
                | call::Output::HangUp(_) => {}
            }
        }
    }

    fn tell_journal(&mut self, input: journal::Input) {
        self.journal.handle(Instant::from_nanos(self.now), input);
        let mut refused = Vec::new();
        loop {
            match self.journal.poll() {
                journal::Output::Write { ticket, segment, offset, chunks } => {
                    self.disk.write(ticket, segment, offset, &chunks);
                    self.later(ticket);
                }
                journal::Output::Sync { ticket, segment } => {
                    self.disk.sync(ticket, segment);
                    self.later(ticket);
                }
                journal::Output::Durable { recording, extents } => {
                    self.deliver(recording, &extents);
                }
                journal::Output::Refused(recording) => refused.push(line_of(recording.as_u128())),
                journal::Output::Remove { segment } => self.disk.remove(segment),
                journal::Output::Idle { until } => {
                    if let Some(until) = until {
                        self.journal_wakes = until.as_nanos();
                        self.at(self.journal_wakes, Event::JournalWakes(self.journal_wakes));
                    }
                    break;
                }
            }
        }
        for n in refused {
            self.outcome.refused += 1;
            self.tell(n, call::Input::Stop(EndReason::DiskFull));
        }
    }

    fn later(&mut self, ticket: u64) {
        let latency = self.disk.latency(&mut self.rng, self.now);
        self.at(self.now + latency, Event::Disk(ticket));
    }

    /// A recording is whole and durable.
    fn deliver(&mut self, recording: RecordingId, extents: &[Extent]) {
        let file = self.disk.read(extents);
        let n = line_of(recording.as_u128());
        assert!(!std::mem::replace(&mut self.lines[n].delivered, true), "delivered once");
        self.check_whole(n, &file);
        self.outcome.delivered += 1;
        let after = self.rng.random_range(0..3_000) * MS;
        self.at(self.now + after, Event::Acknowledge(recording.as_u128()));
    }

    fn check_whole(&mut self, n: usize, file: &Bytes) {
        let line = &self.lines[n];
        let chunks = line.chunks.concat();
        assert!(*file == chunks, "the file is what the call handed on");
        let (frames, sealed) = read(file);
        let sealed = sealed.expect("a whole recording has its seal");
        assert_eq!(sealed.frames as usize, frames.len());
        self.outcome.frames += frames.len() as u64;
        if line.script.wild {
            check_sanity(&frames, &line.script);
            return;
        }
        let ended = line.ended.unwrap_or(self.now);
        let expected = expected(&line.script, line.started, ended);
        check_frames(&frames, &expected, true);
        let ticks = u64::from(line.script.codec.ticks_per_20ms());
        let end = expected.last().map_or(0, |last| last.ticks + ticks);
        let limit = RECORDING_MAX.as_secs() * u64::from(line.script.codec.clock_hz());
        // A packet at the limit is not kept, but it shows that the message is full.
        assert!(sealed.duration.0 == end.min(limit) || sealed.duration.0 == limit);
    }

    /// The machine dies and comes back: what is on the disk becomes messages, once.
    fn crash(&mut self) {
        self.outcome.crashes = 1;
        let segments = self.disk.crash(&mut self.rng);
        let (recovered, _) = recover(&segments);
        let mut seen = BTreeSet::new();
        for found in &recovered {
            let n = line_of(found.opened.recording.as_u128());
            assert!(seen.insert(n), "recovered once");
            assert!(self.lines[n].answered, "a call that was answered");
            if found.sealed.reason == EndReason::Recovered {
                self.check_part(n, &found.sound);
            } else {
                self.check_whole(n, &found.sound);
            }
            self.outcome.recovered += 1;
        }
        for n in 0..self.lines.len() {
            self.check_nothing_more_lost(n, seen.contains(&n));
        }
        let mut by_segment: BTreeMap<u64, Vec<RecordingId>> =
            segments.iter().map(|&(segment, _)| (segment, Vec::new())).collect();
        for found in &recovered {
            for segment in &found.segments {
                by_segment.entry(*segment).or_default().push(found.opened.recording);
            }
        }
        self.journal = Journal::new(
            JournalConfig {
                segment_bytes_max: 1 << 20,
                commit_interval: Duration::from_millis(200),
                backlog_bytes_max: 1 << 30,
            },
            segments.last().map_or(1, |last| last.0 + 1),
        );
        self.journal.adopt(by_segment.into_iter().collect());
        for found in &recovered {
            self.tell_journal(journal::Input::Acknowledged(found.opened.recording));
        }
        self.tell_journal(journal::Input::Tick);
        assert!(self.disk.is_empty(), "old segments go when all in them is acknowledged");
    }

    /// A recording that the crash cut off is the start of what was spoken, as far as its chunks
    /// lie whole on the disk.
    fn check_part(&mut self, n: usize, file: &Bytes) {
        let line = &self.lines[n];
        let safe = line.chunks.iter().take_while(|chunk| self.disk.holds(chunk)).count();
        let chunks = line.chunks[..safe].concat();
        assert!(file.starts_with(&chunks), "all chunks that lie on the disk, and a seal");
        let (frames, sealed) = read(file);
        let (kept, _) = read(&chunks.into());
        assert_eq!(frames, kept, "the seal brings no sound");
        assert_eq!(sealed.expect("every message is sealed").frames as usize, frames.len());
        self.outcome.frames += frames.len() as u64;
        if !line.script.wild {
            let ended = line.ended.unwrap_or(self.now);
            check_frames(&frames, &expected(&line.script, line.started, ended), false);
        }
    }

    /// On a disk that works, a crash costs at most what arrived in the last second, and no call
    /// that was answered before that.
    fn check_nothing_more_lost(&self, n: usize, recovered: bool) {
        let line = &self.lines[n];
        let safe = line.chunks.iter().take_while(|chunk| self.disk.holds(chunk)).count();
        assert_eq!(recovered, safe > 0 && line.answered || recovered && line.delivered);
        for chunk in line.chunks.iter().filter(|_| !line.acknowledged) {
            assert!(
                !self.disk.removed(chunk) || self.disk.holds(chunk),
                "a segment stays until all in it is safe elsewhere"
            );
        }
        let limit = self.now.saturating_sub(COMMIT_INTERVAL_MAX.as_nanos() as u64);
        if !self.healthy || !line.answered || line.start > limit || line.acknowledged {
            return;
        }
        assert!(recovered, "a call answered more than a second before is there");
        if !line.script.wild {
            let ended = line.ended.unwrap_or(self.now);
            let due = expected(&line.script, line.started, ended)
                .iter()
                .filter(|frame| frame.arrival <= limit)
                .count();
            let (frames, _) = read(&line.chunks[..safe].concat().into());
            assert!(frames.len() >= due, "{} frames of {due} survived", frames.len());
        }
    }
}

impl Line {
    fn new(script: Script, start: u64) -> Self {
        Self {
            script,
            start,
            call: None,
            wakes: 0,
            answered: false,
            started: None,
            ended: None,
            chunks: Vec::new(),
            delivered: false,
            acknowledged: false,
        }
    }
}

fn id_of(line: usize) -> RecordingId {
    RecordingId::from_u128(line as u128 + 1)
}

fn line_of(id: u128) -> usize {
    id as usize - 1
}

fn plan(rng: &mut StdRng, script: &Script, n: usize) -> CallPlan {
    let mut sound = |packets_max: usize| {
        let packets = rng.random_range(0..=packets_max);
        let payloads = vec![Bytes::from_static(&[0; 160]); packets];
        Some(Arc::new(Frames { codec: script.codec, payloads })).filter(|_| packets > 0)
    };
    CallPlan {
        greeting: sound(60),
        beep: sound(10),
        closing: sound(50),
        opened: Opened {
            recording: id_of(n),
            mailbox: MailboxId::from_u128(1),
            caller: Caller::Withheld,
            codec: script.codec,
            language: LanguageChoice::Detect,
            answered_at: WallTime::from_unix_millis(0),
        },
        payload_type: AUDIO,
        digit_payload_type: Some(KEYS),
        recording_limit: RECORDING_MAX,
        quiet_limit: None,
        silent_line_limit: SILENT_LINE_MAX,
        sender: SenderStart { ssrc: 1, sequence: 1, timestamp: 1 },
        remote: Some(script.announced),
    }
}
