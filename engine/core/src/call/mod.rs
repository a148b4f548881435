//! One call on its shard: greeting → beep → recording → closing, and who may still talk.
//!
//! In: the answer, packets, holds, the caller's BYE, flushes, time. Out: packets to send, chunks
//! for the journal, when to hang up, when the recording is sealed. Knows nothing of sockets, SIP
//! messages or files.

mod clocks;
mod plan;
mod stats;
mod told;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::dtmf::Keys;
use crate::jitter::{self, Jitter, JitterConfig, Released};
use crate::latch::{Latch, Verdict};
use crate::loudness::Loudness;
use crate::packet::Packet;
use crate::player::Player;
use crate::recorder::Recorder;
use crate::recording::{EndReason, Sealed};
use crate::time::{Instant, WallTime};

use self::clocks::Clocks;
pub use self::plan::{CallPlan, SenderStart};
pub use self::stats::CallStats;
pub use self::told::{Input, Output};

/// The call core.
#[derive(Debug)]
pub struct Call {
    /// Elsewhere: what a packet needs of it stands below, so that with thousands of calls less
    /// memory is fetched for each.
    plan: Box<CallPlan>,
    payload_type: u8,
    digit_payload_type: Option<u8>,
    answered: Instant,
    answered_wall: WallTime,
    now: Instant,
    phase: Phase,
    /// Why the recording is over, while the closing announcement is still played.
    ended: Option<EndReason>,
    held_since: Option<Instant>,
    latch: Latch,
    jitter: Jitter,
    jitter_wakes: Option<Instant>,
    keys: Keys,
    loudness: Loudness,
    player: Player,
    recorder: Recorder,
    clocks: Clocks,
    outbox: VecDeque<Output>,
    sealed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Answered; the caller may not know it yet.
    Waiting,
    Greeting,
    Beep,
    Recording,
    Closing,
    Over,
}

impl Call {
    /// A call that was answered at `now`. `wall` is civil time at the same moment; the core
    /// derives `ended_at` from it. Its opening is written at once, so that a crash during the
    /// greeting still leaves a message.
    pub fn new(now: Instant, wall: WallTime, plan: CallPlan) -> Self {
        let codec = plan.opened.codec;
        let config = JitterConfig { codec, payload_type: plan.payload_type };
        let mut recorder = Recorder::new(&plan.opened, plan.recording_limit);
        let mut outbox = VecDeque::with_capacity(OUTBOX_CAPACITY);
        outbox.extend(recorder.flush().map(Output::Chunk));
        Self {
            answered: now,
            answered_wall: wall,
            now,
            phase: Phase::Waiting,
            ended: None,
            held_since: None,
            latch: Latch::new([Some(plan.payload_type), plan.digit_payload_type], plan.remote),
            jitter: Jitter::new(config),
            jitter_wakes: None,
            keys: Keys::default(),
            loudness: Loudness::new(codec),
            player: Player::new(now, codec, plan.payload_type, plan.sender),
            recorder,
            clocks: Clocks {
                heard: now,
                loud: now,
                recording: now,
                full: now,
                silent_line_limit: plan.silent_line_limit,
                quiet_limit: plan.quiet_limit,
                lost_before: 0,
            },
            outbox,
            sealed: false,
            payload_type: plan.payload_type,
            digit_payload_type: plan.digit_payload_type,
            plan: Box::new(plan),
        }
    }

    /// Tells the call something. Drain [`Call::poll`] to `Idle` afterwards. A call that is over
    /// ignores it.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.phase == Phase::Over {
            return;
        }
        self.now = now;
        let mut ended = None;
        match input {
            Input::Connected => self.connect(),
            Input::Packet { source, packet } => ended = self.take(source, packet),
            Input::Remote { address, sends, receives } => self.redirect(address, sends, receives),
            Input::HungUp => self.finish(EndReason::HungUp, false),
            Input::Stop(reason) => self.finish(reason, true),
            Input::Flush => self.outbox.extend(self.recorder.flush().map(Output::Chunk)),
            Input::Tick => {}
        }
        self.advance(ended);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        if let Some(output) = self.outbox.pop_front() {
            self.sealed |= matches!(self.outbox.front(), Some(Output::Sealed(_)));
            return output;
        }
        Output::Idle { until: self.wakes() }
    }

    /// Whether the chunk that [`Call::poll`] gave last was the recording's last one.
    pub const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Where the next packet's octets will be written, for whoever wants that memory at hand. The
    /// place may be moved or freed by the next input: it is not to be read or written through.
    pub fn next_octets(&self) -> *const u8 {
        self.recorder.next_octets()
    }

    fn connect(&mut self) {
        if self.phase == Phase::Waiting {
            self.enter(Phase::Greeting);
        }
    }

    /// Takes a packet; the reason if the recording is over by it.
    fn take(&mut self, source: SocketAddr, packet: Packet) -> Option<EndReason> {
        match self.latch.judge(self.now, source, &packet) {
            Verdict::Refuse | Verdict::Wait => return None,
            Verdict::Take => {}
            Verdict::TakeAndLatch => self.outbox.push_back(Output::Latched(source)),
        }
        self.clocks.heard = self.now;
        // A caller that sends has our answer, even if its ACK was lost.
        self.connect();
        match self.jitter.pass(self.now, packet) {
            Ok(released) => {
                // A beep that ends now ends before this packet.
                self.play();
                self.record_one(&released)
            }
            Err(packet) => {
                self.jitter.handle(self.now, jitter::Input::Packet(packet));
                None
            }
        }
    }

    fn redirect(&mut self, address: Option<SocketAddr>, sends: bool, receives: bool) {
        self.latch.announce(address);
        if receives {
            self.player.resume(self.now);
        } else if self.phase == Phase::Closing {
            // Nobody listens to the announcement.
            self.finish(EndReason::Full, true);
            return;
        } else {
            self.player.hold();
        }
        if !sends {
            self.held_since.get_or_insert(self.now);
        } else if let Some(since) = self.held_since.take() {
            self.clocks.heard = self.now;
            self.clocks.loud = self.now;
            self.clocks.full = self.clocks.full + self.now.since(since);
            self.jitter.handle(self.now, jitter::Input::Resumed);
        }
    }

    /// Goes on as far as it can at this moment, or ends the recording for a reason known already.
    fn advance(&mut self, ended: Option<EndReason>) {
        if self.phase == Phase::Over {
            return;
        }
        self.play();
        self.jitter.handle(self.now, jitter::Input::Tick);
        if let Some(reason) = ended.or_else(|| self.record()).or_else(|| self.expired()) {
            self.end_recording(reason);
        }
    }

    /// Sends what is due, and goes to the next phase when a sound is over.
    fn play(&mut self) {
        while let Some(packet) = self.player.next_packet(self.now) {
            if let Some(to) = self.latch.destination() {
                self.outbox.push_back(Output::Transmit { to, packet });
            }
        }
        if self.player.take_finished(self.now) {
            match self.phase {
                Phase::Greeting => self.enter(Phase::Beep),
                Phase::Beep => self.enter(Phase::Recording),
                Phase::Closing => self.finish(EndReason::Full, true),
                Phase::Waiting | Phase::Recording | Phase::Over => {}
            }
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let (sound, next) = match phase {
            Phase::Greeting => (self.plan.greeting.take(), Phase::Beep),
            Phase::Beep => (self.plan.beep.take(), Phase::Recording),
            _ => {
                self.clocks.recording = self.now;
                self.clocks.heard = self.now;
                self.clocks.loud = self.now;
                self.clocks.full =
                    self.now + self.plan.recording_limit + self.plan.silent_line_limit;
                self.clocks.lost_before = self.jitter.stats().lost;
                self.outbox.push_back(Output::RecordingStarted);
                return;
            }
        };
        if let Some(sound) = sound {
            self.player.play(self.now, sound);
        }
        if self.player.is_silent() {
            self.enter(next);
        } else {
            self.play();
        }
    }

    /// Takes what the jitter releases; the reason if the recording is over by it.
    fn record(&mut self) -> Option<EndReason> {
        loop {
            let released = match self.jitter.poll() {
                jitter::Output::Packet(released) => released,
                jitter::Output::Idle { until } => {
                    self.jitter_wakes = until;
                    return None;
                }
            };
            if let Some(reason) = self.record_one(&released) {
                return Some(reason);
            }
        }
    }

    /// Takes one packet in its order; the reason if the recording is over by it.
    fn record_one(&mut self, released: &Released) -> Option<EndReason> {
        // What the caller said before the end of the beep is not part of the message.
        let wanted = self.phase == Phase::Recording
            && self.ended.is_none()
            && released.arrival >= self.clocks.recording;
        if released.payload_type == self.payload_type {
            if wanted {
                self.keep(released);
            }
        } else if Some(released.payload_type) == self.digit_payload_type
            && let Some(key) =
                self.keys.press(released.timestamp, released.marker, &released.payload)
            && wanted
        {
            self.recorder.key(released.ticks, key);
            if key == '#' {
                return Some(EndReason::Pound);
            }
        }
        (wanted && self.recorder.is_full()).then_some(EndReason::Full)
    }

    fn keep(&mut self, released: &Released) {
        self.recorder.keep(released);
        if self.recorder.is_heavy() {
            self.outbox.extend(self.recorder.flush().map(Output::Chunk));
        }
        if self.clocks.quiet_limit.is_some() && self.loudness.is_loud(&released.payload) {
            self.clocks.loud = self.clocks.loud.max(released.arrival);
        }
    }

    /// The recording is over: close it, after the announcement if the message is full.
    fn end_recording(&mut self, reason: EndReason) {
        let closing = self.plan.closing.take().filter(|_| reason == EndReason::Full);
        self.ended = Some(reason);
        if let Some(closing) = closing {
            self.phase = Phase::Closing;
            self.player.play(self.now, closing);
            self.play();
            if !self.player.is_silent() && !self.player.is_holding() {
                // What the jitter still has is not wanted any more.
                self.record();
                return;
            }
        }
        self.finish(reason, true);
    }

    /// Seals the recording; the call is over.
    fn finish(&mut self, reason: EndReason, hang_up: bool) {
        if self.phase == Phase::Over {
            return;
        }
        self.jitter.handle(self.now, jitter::Input::Drain);
        let by_media = self.record();
        let reason = self.ended.or(by_media).unwrap_or(reason);
        let call_ms = self.now.since(self.answered).as_millis() as u64;
        let sealed = Sealed {
            recording: self.plan.opened.recording,
            reason,
            ended_at: WallTime::from_unix_millis(
                self.answered_wall.as_unix_millis().saturating_add(call_ms as i64),
            ),
            frames: self.recorder.frames(),
            duration: self.recorder.duration(),
            call_ms,
            lost: self.jitter.stats().lost.saturating_sub(self.clocks.lost_before),
        };
        self.player.stop();
        self.phase = Phase::Over;
        self.outbox.push_back(Output::Chunk(self.recorder.seal(&sealed)));
        self.outbox.push_back(Output::Sealed(sealed));
        if hang_up {
            self.outbox.push_back(Output::HangUp(reason));
        }
    }
}

const OUTBOX_CAPACITY: usize = 8;

#[cfg(test)]
mod tests;
