//! One shard: its thread, its calls, its turn.
//!
//! In: commands, datagrams, finished disk work, time. Out: whatever the calls' cores want done.
//! A turn reads all sockets at once, then wakes the calls that are due, then lets the journal
//! decide; datagrams gather for `TICK` between turns. Knows nothing of SIP.

mod drain;
mod rounds;
mod taker;

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant as Clock};

use engine_core::call::{CallPlan, Input};
use engine_core::event::MessageState;
use engine_core::id::{CallId, RecordingId};
use engine_core::recording::EndReason;
use engine_core::time::Instant;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use self::drain::Draining;
use self::taker::Taker;
use super::command::Command;
use super::counters::add;
use super::line::{Drops, Line, Stage, Talk, World};
use super::ports::Ports;
use super::receive::Receive;
use super::seats::Ticket;
use super::sweep::Sweep;
use super::wakes::Wakes;
use crate::limits::{
    COMMANDS_PER_TURN_MAX, DATAGRAMS_PER_TICK_MAX, FLUSH_AT_ONCE, RESERVATION_MAX, RING_REST_MAX,
    ROUNDS_AT_ONCE, ROUNDS_EVERY, SEND_AHEAD, SENT_LATE, TICK,
};
use crate::media::{AdmissionError, RemoteChange, Reservation};

/// The state of one shard's thread.
pub(super) struct Shard {
    index: u16,
    origin: Clock,
    receive: Box<dyn Receive>,
    ports: Ports,
    world: World,
    lines: Vec<Option<Line>>,
    wakes: Wakes,
    free: Vec<usize>,
    slots: HashMap<CallId, usize>,
    recordings: HashMap<RecordingId, usize>,
    numbers: u64,
    next_tick: Instant,
    flush: Sweep,
    look: Sweep,
    next_rounds: Instant,
    /// Longest that this shard came late to its work since the last rounds.
    late: Duration,
    /// Packets that the kernel dropped at the receiver's own sockets, at the last rounds.
    dropped: u64,
    /// Packets at the last rounds, and when those were.
    counted: (u64, Instant),
    draining: Option<Draining>,
    quitting: bool,
}

impl Shard {
    pub(super) fn new(
        index: u16,
        receive: Box<dyn Receive>,
        ports: Ports,
        world: World,
        commit_interval: Duration,
    ) -> Self {
        Self {
            index,
            origin: Clock::now(),
            receive,
            ports,
            world,
            lines: Vec::new(),
            wakes: Wakes::new(),
            free: Vec::new(),
            slots: HashMap::new(),
            recordings: HashMap::new(),
            numbers: 0,
            next_tick: Instant::default(),
            flush: Sweep::new(commit_interval, FLUSH_AT_ONCE),
            look: Sweep::new(ROUNDS_EVERY, ROUNDS_AT_ONCE),
            next_rounds: Instant::default(),
            late: Duration::ZERO,
            dropped: 0,
            counted: (0, Instant::default()),
            draining: None,
            quitting: false,
        }
    }

    /// Runs until told to quit, or until nobody can tell it anything any more. Returns whether
    /// the ring has come to rest.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) -> bool {
        loop {
            let wake = self.next_wake();
            tokio::select! {
                biased;
                command = commands.recv(), if !self.quitting => match command {
                    Some(command) => {
                        self.obey(command);
                        for _ in 1..COMMANDS_PER_TURN_MAX {
                            let Ok(command) = commands.try_recv() else { break };
                            self.obey(command);
                        }
                    }
                    None => self.obey(Command::Quit),
                },
                () = self.world.keeper.wake() => {}
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            self.turn();
            if self.quitting && self.draining.is_none() {
                break;
            }
        }
        debug!(shard = self.index, "The shard has ended.");
        let limit = Clock::now() + RING_REST_MAX;
        while self.world.keeper.is_disk_busy() && Clock::now() < limit {
            tokio::select! {
                () = self.world.keeper.wake() => {}
                () = tokio::time::sleep_until(limit.into()) => {}
            }
        }
        !self.world.keeper.is_disk_busy()
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn next_wake(&self) -> Clock {
        let now = self.now();
        let busy = !self.slots.is_empty() || self.draining.is_some();
        let tick = busy.then_some(self.next_tick);
        let sending = self.wakes.next().map(|next| next.before(SEND_AHEAD));
        let wishes = [tick, sending, self.world.keeper.until(now)];
        let until = wishes.into_iter().flatten().min();
        self.origin + until.unwrap_or(now + Duration::from_secs(1)).since(Instant::default())
    }

    fn turn(&mut self) {
        let now = self.now();
        if now >= self.next_tick {
            // The first tick after a rest was never promised.
            if self.next_tick > Instant::default() && !self.slots.is_empty() {
                self.late = self.late.max(now.since(self.next_tick));
            }
            self.next_tick = now + TICK;
            self.wake_due(now);
            self.receive(now);
        } else if self.wakes.next().is_some_and(|next| next <= now + SEND_AHEAD) {
            // What we play is due between ticks too.
            self.wake_due(now);
        }
        for slot in self.flush.due(now, self.lines.len()) {
            self.tell_slot(now, slot, Input::Flush);
        }
        self.look_after(now);
        if now >= self.next_rounds {
            self.next_rounds = now + ROUNDS_EVERY;
            self.rounds(now);
        }
        self.close_over(now);
        self.world.keeper.turn(now);
        self.after_disk(now);
        self.drain(now);
    }

    fn obey(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Reserve { local, ticket, answer } => {
                // SIP may have given the call up meanwhile; then the ports go back at once.
                if let Err(Ok(reservation)) = answer.send(self.reserve(now, local, ticket)) {
                    self.hang_up(now, reservation.call);
                }
            }
            Command::Answer(call, plan) => self.answer(now, call, *plan),
            Command::Connected(call) => self.tell(now, call, Input::Connected),
            Command::Remote(call, change) => {
                let RemoteChange { address, sends, receives } = change;
                self.tell(now, call, Input::Remote { address, sends, receives });
            }
            Command::HangUp(call) => self.hang_up(now, call),
            Command::Drain { limit, done } => self.start_drain(now + limit, Some(done)),
            Command::Quit => {
                self.quitting = true;
                self.start_drain(now, None);
            }
        }
    }

    fn reserve(
        &mut self,
        now: Instant,
        local: IpAddr,
        ticket: Ticket,
    ) -> Result<Reservation, (AdmissionError, Ticket)> {
        if self.world.counters.congested.load(Ordering::Relaxed) {
            return Err((AdmissionError::DiskBehind, ticket));
        }
        let pair = match self.ports.open(local) {
            Ok(pair) => pair,
            Err(error) => return Err((error, ticket)),
        };
        let socket_error =
            |error: std::io::Error| AdmissionError::Socket { why: error.to_string() };
        let local_rtp = match pair.rtp.local_addr() {
            Ok(address) => address,
            Err(error) => return Err((socket_error(error), ticket)),
        };
        let slot = self.free.pop().unwrap_or(self.lines.len());
        let (rtp, rtcp) = (Rc::new(pair.rtp), Rc::new(pair.rtcp));
        let watched = self
            .receive
            .watch(2 * slot, Rc::clone(&rtp))
            .and_then(|()| self.receive.watch(2 * slot + 1, Rc::clone(&rtcp)));
        if let Err(error) = watched {
            self.receive.forget(2 * slot);
            self.ports.close(pair.port);
            self.free.extend((slot < self.lines.len()).then_some(slot));
            return Err((socket_error(error), ticket));
        }
        self.numbers += 1;
        let call = CallId { shard: self.index, number: self.numbers };
        let line = Line {
            id: call,
            port: pair.port,
            rtp,
            rtcp,
            stage: Stage::Reserved { until: now + RESERVATION_MAX },
            drops: Drops::default(),
            _seat: ticket.on(&self.world.counters),
        };
        if slot == self.lines.len() {
            self.lines.push(None);
            self.wakes.grow();
        }
        self.lines[slot] = Some(line);
        self.slots.insert(call, slot);
        Ok(Reservation { call, local_rtp })
    }

    fn answer(&mut self, now: Instant, call: CallId, plan: CallPlan) {
        let Some(&slot) = self.slots.get(&call) else { return };
        let Some(line) = &mut self.lines[slot] else { return };
        if matches!(line.stage, Stage::Up(_)) {
            return;
        }
        self.recordings.insert(plan.opened.recording, slot);
        line.stage = Stage::Up(Box::new(Talk::new(now, call, plan)));
        add(&self.world.counters.answered, 1);
        // The opening goes to disk at once: the 200 leaves now.
        self.tell(now, call, Input::Flush);
    }

    fn hang_up(&mut self, now: Instant, call: CallId) {
        let Some(&slot) = self.slots.get(&call) else { return };
        match &self.lines[slot] {
            Some(Line { stage: Stage::Up(_), .. }) => {
                // What came before the BYE is part of the message.
                self.receive(now);
                self.tell(now, call, Input::HungUp);
            }
            _ => self.wakes.end(slot),
        }
        self.close_over(now);
    }

    fn tell(&mut self, now: Instant, call: CallId, input: Input) {
        if let Some(&slot) = self.slots.get(&call) {
            self.tell_slot(now, slot, input);
            self.close_over(now);
        }
    }

    fn tell_slot(&mut self, now: Instant, slot: usize, input: Input) {
        let Some(Line { stage: Stage::Up(talk), rtp, .. }) = &mut self.lines[slot] else { return };
        let until = talk.handle(now, input, rtp, &mut self.world);
        self.wakes.note(slot, until);
    }

    fn wake_due(&mut self, now: Instant) {
        for slot in 0..self.wakes.slots() {
            let Some(due) = self.wakes.due(slot, now + SEND_AHEAD) else { continue };
            let before = self.world.counters.sent.load(Ordering::Relaxed);
            // Whoever is woken before its time is told that it has come.
            self.tell_slot(now.max(due), slot, Input::Tick);
            let sent = self.world.counters.sent.load(Ordering::Relaxed) - before;
            if sent > 0 && self.now().since(due) > SENT_LATE {
                add(&self.world.counters.sent_late, sent);
            }
        }
        self.wakes.settle();
    }

    fn receive(&mut self, now: Instant) {
        let Self { receive, lines, wakes, world, .. } = self;
        receive.drain(DATAGRAMS_PER_TICK_MAX, &mut Taker { now, lines, wakes, world });
    }

    /// Frees what belonged to calls that are over.
    fn close_over(&mut self, now: Instant) {
        while let Some(slot) = self.wakes.take_over() {
            let Some(mut line) = self.lines[slot].take() else { continue };
            line.count_last_drops(&self.world.counters);
            if let Stage::Up(talk) = &mut line.stage {
                talk.leave(now, &line.rtcp, &self.world);
                self.recordings.remove(&talk.recording);
            }
            self.receive.forget(2 * slot);
            self.receive.forget(2 * slot + 1);
            self.slots.remove(&line.id);
            let port = line.port;
            drop(line);
            self.ports.close(port);
            self.free.push(slot);
        }
    }

    /// Passes on what the journal said.
    fn after_disk(&mut self, now: Instant) {
        for recording in self.world.keeper.take_refused() {
            if let Some(&slot) = self.recordings.get(&recording) {
                warn!(%recording, "The disk cannot take more; the call is ended.");
                self.tell_slot(now, slot, Input::Stop(EndReason::DiskFull));
            }
        }
        for arrival in self.world.keeper.take_durable() {
            let opened = arrival.opened;
            let ms = arrival.sealed.duration.to_millis(opened.codec.clock_hz());
            self.world.emit(opened.recording, opened.mailbox, MessageState::Sealed, ms);
        }
        self.close_over(now);
    }
}
