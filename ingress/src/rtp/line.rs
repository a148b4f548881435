//! One call's sockets and its core on a shard: acts on what the core decides.
//!
//! In: outputs of the call core. Out: packets and reports on the wire, chunks for the journal and
//! the live lane, notices, events. Refuses to decide: each output has one act.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use engine_core::call::{Call, CallPlan, CallStats, Input, Output};
use engine_core::event::{EventSink, MessageEvent, MessageState};
use engine_core::handoff::LiveLane;
use engine_core::id::{CallId, MailboxId, RecordingId};
use engine_core::packet::Packet;
use engine_core::time::{Instant, WallTime};
use socket2::{SockAddr, SockRef};
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::counters::{Counters, add, set};
use super::receive::Datagram;
use super::rtcp::{self, Reporter};
use super::seats::Seat;
use super::wakes::Wake;
use super::wire;
use crate::journal::Keeper;
use crate::limits::{DROPS_EVERY, RECORDING_EVENT_EVERY};
use crate::media::MediaNotice;
use crate::sys::socket;

/// What the calls of a shard act on.
pub(super) struct World {
    pub(super) keeper: Keeper,
    pub(super) live: Arc<LiveLane>,
    pub(super) events: Arc<dyn EventSink>,
    pub(super) notices: UnboundedSender<MediaNotice>,
    pub(super) counters: Arc<Counters>,
}

impl World {
    pub(super) fn emit(
        &self,
        recording: RecordingId,
        mailbox: MailboxId,
        state: MessageState,
        recorded_ms: u64,
    ) {
        let at = wall_time(SystemTime::now());
        self.events.emit(MessageEvent { recording, mailbox, state, at, recorded_ms });
    }
}

/// Civil time for records.
pub(super) fn wall_time(now: SystemTime) -> WallTime {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A port pair and what it is used for.
pub(super) struct Line {
    pub(super) id: CallId,
    pub(super) port: u16,
    pub(super) rtp: Rc<UdpSocket>,
    pub(super) rtcp: Rc<UdpSocket>,
    pub(super) stage: Stage,
    pub(super) drops: Drops,
    pub(super) _seat: Seat,
}

pub(super) enum Stage {
    /// Ports are open; the answer must come until then.
    Reserved { until: Instant },
    /// Answered.
    Up(Box<Talk>),
}

/// An answered call.
pub(super) struct Talk {
    pub(super) call: Call,
    pub(super) recording: RecordingId,
    id: CallId,
    mailbox: MailboxId,
    clock_hz: u32,
    reporter: Reporter,
    /// Who is listened to; RTCP goes one port above.
    latched: Option<SocketAddr>,
    /// Where the caller's SDP wants our sound.
    remote: Option<SocketAddr>,
    /// Where the caller's own reports come from.
    reports_from: Option<SocketAddr>,
    /// What is already in the shard's counters.
    counted: CallStats,
    /// When the last `Recording` event went out; `None` before recording.
    told: Option<Instant>,
}

/// What the kernel dropped at a line's RTP socket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Drops {
    counted: u32,
    /// When to ask again.
    due: Instant,
}

impl Line {
    /// Asks the kernel what it dropped, now and then.
    pub(super) fn count_drops(&mut self, now: Instant, counters: &Counters) {
        if now >= self.drops.due {
            self.drops.due = now + DROPS_EVERY;
            self.count_last_drops(counters);
        }
    }

    /// Asks the kernel what it dropped, at once.
    pub(super) fn count_last_drops(&mut self, counters: &Counters) {
        let Ok(dropped) = socket::dropped(&*self.rtp) else { return };
        let fresh = dropped.wrapping_sub(self.drops.counted);
        if fresh > 0 && self.drops.counted == 0 {
            warn!(call = %self.id, dropped, "The kernel dropped packets that nobody read in time.");
        }
        self.drops.counted = dropped;
        add(&counters.kernel_dropped, u64::from(fresh));
    }

    /// Takes a datagram of the RTCP port.
    pub(super) fn take_report(&mut self, now: Instant, datagram: &Datagram, world: &World) {
        let counters = &world.counters;
        add(&counters.rtcp, 1);
        match &mut self.stage {
            Stage::Up(talk) => {
                let known = talk.reported(now, datagram.source, &datagram.bytes);
                add(&counters.malformed, u64::from(!known));
            }
            Stage::Reserved { .. } => add(&counters.refused, 1),
        }
    }

    /// Takes a datagram of the RTP port. `Some` if the call heard of it: when to wake it now.
    pub(super) fn take_packet(
        &mut self,
        now: Instant,
        datagram: Datagram,
        world: &mut World,
    ) -> Option<Wake> {
        add(&world.counters.packets, 1);
        add(&world.counters.bytes, datagram.bytes.len() as u64);
        let Stage::Up(talk) = &mut self.stage else {
            add(&world.counters.refused, 1);
            return None;
        };
        let packet = wire::parse(datagram.bytes);
        add(&world.counters.malformed, u64::from(packet.is_err()));
        let input = Input::Packet { source: datagram.source, packet: packet.ok()? };
        Some(talk.handle(now, input, &self.rtp, world))
    }
}

impl Talk {
    /// The call is answered now.
    pub(super) fn new(now: Instant, id: CallId, plan: CallPlan) -> Self {
        Self {
            recording: plan.opened.recording,
            id,
            mailbox: plan.opened.mailbox,
            clock_hz: plan.opened.codec.clock_hz(),
            reporter: Reporter::new(now, plan.sender.ssrc, rtcp::random_cname()),
            latched: None,
            reports_from: None,
            remote: plan.remote,
            counted: CallStats::default(),
            told: None,
            call: Call::new(now, wall_time(SystemTime::now()), plan),
        }
    }

    /// Tells the core something and acts on all it wants.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        input: Input,
        socket: &UdpSocket,
        world: &mut World,
    ) -> Wake {
        if let Input::Remote { address, .. } = input {
            self.remote = address.or(self.remote);
        }
        if let Input::Connected = input {
            world.emit(self.recording, self.mailbox, MessageState::Greeting, 0);
        }
        self.call.handle(now, input);
        loop {
            match self.call.poll() {
                Output::Transmit { to, packet } => self.transmit(now, to, &packet, socket, world),
                Output::Latched(source) => {
                    self.latched = Some(source);
                    add(&world.counters.latched, 1);
                }
                Output::RecordingStarted => self.tell(now, world),
                Output::Chunk(chunk) => {
                    let last = self.call.is_sealed();
                    world.live.offer(chunk.clone());
                    set(&world.counters.live_skipped, world.live.skipped());
                    world.keeper.append(now, self.recording, chunk, last);
                }
                Output::Sealed(_) => add(&world.counters.sealed, 1),
                Output::HangUp(reason) => {
                    // Without SIP nobody is left to send the BYE; the call ends all the same.
                    let _ = world.notices.send(MediaNotice::HangUp { call: self.id, reason });
                }
                Output::Idle { until } => return until.map_or(Wake::Over, Wake::At),
            }
        }
    }

    /// Reports, events and counters that are due.
    pub(super) fn rounds(&mut self, now: Instant, socket: &UdpSocket, world: &World) {
        let stats = self.call.stats();
        world.counters.count_call(&self.counted, &stats);
        self.counted = stats;
        if self.told.is_some_and(|told| now.since(told) >= RECORDING_EVENT_EVERY) {
            self.tell(now, world);
        }
        if self.reporter.is_due(now) {
            let report = self.reporter.report(now, SystemTime::now(), &stats, self.clock_hz);
            self.send_report(&report, socket, world);
        }
    }

    /// An RTCP datagram came. Only the party that we listen to, or that SDP names, is heard.
    pub(super) fn reported(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> bool {
        let party = self.latched.or(self.remote).map(|address| address.ip());
        let Ok(heard) = rtcp::read(datagram) else { return false };
        let known = party.is_some_and(|party| party == source.ip());
        if known {
            let stats = self.call.stats();
            self.reporter.heard(now, &heard, &stats);
            // Behind NAT the reports' port is not the one above the stream's.
            self.reports_from = Some(source).filter(|_| stats.ssrc == Some(heard.ssrc));
        }
        known
    }

    /// The last word on the wire.
    pub(super) fn leave(&mut self, now: Instant, socket: &UdpSocket, world: &World) {
        let stats = self.call.stats();
        world.counters.count_call(&self.counted, &stats);
        self.counted = stats;
        let goodbye = self.reporter.goodbye(now, SystemTime::now(), &stats, self.clock_hz);
        self.send_report(&goodbye, socket, world);
    }

    fn tell(&mut self, now: Instant, world: &World) {
        self.told = Some(now);
        let recorded_ms = self.call.stats().recorded_ms;
        world.emit(self.recording, self.mailbox, MessageState::Recording, recorded_ms);
    }

    fn transmit(
        &mut self,
        now: Instant,
        to: SocketAddr,
        packet: &Packet,
        socket: &UdpSocket,
        world: &World,
    ) {
        let header = wire::header(packet);
        let parts = [IoSlice::new(&header), IoSlice::new(&packet.payload)];
        let sent = is_somewhere(&to)
            && SockRef::from(socket).send_to_vectored(&parts, &SockAddr::from(to)).is_ok();
        // A full socket or an unreachable caller costs this packet, as on any network.
        add(&world.counters.sent, u64::from(sent));
        add(&world.counters.unsent, u64::from(!sent));
        self.reporter.sent(now, packet.timestamp);
    }

    fn send_report(&self, report: &[u8], socket: &UdpSocket, world: &World) {
        // RFC 3550 §11: RTCP is one port above, unless the caller shows otherwise.
        let above = self.latched.or(self.remote).and_then(|address| {
            Some(SocketAddr::new(address.ip(), address.port().checked_add(1)?))
        });
        let Some(to) = self.reports_from.or(above).filter(is_somewhere) else { return };
        add(&world.counters.unsent, u64::from(socket.send_to(report, to).is_err()));
    }
}

/// Old callers hold with 0.0.0.0 (RFC 3264 §8.4), which the kernel takes for ourselves.
fn is_somewhere(address: &SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}
