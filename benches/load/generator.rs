//! The generator: paced RTP streams by `sendmmsg`, and how late it was itself.
//!
//! In: ports and a duration. Out: packets on loopback, and what was sent when. A stream's packets
//! are due every 20 ms; the streams are spread over the period in slots of one millisecond.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use ingress::rtp::wire;
use ingress::sys::mmsg::{self, Outgoing};
use rusuden_benches::process::cpu_of_this_thread;

use crate::{PERIOD, packet};

const SLOTS: usize = 20;
const BATCH: usize = 64;

/// A socket that all streams leave from.
pub(crate) struct Generator {
    socket: UdpSocket,
}

/// What was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Packets of each call that were due.
    pub(crate) per_call: u32,
    /// Packets that the kernel took.
    pub(crate) packets: u64,
    /// Packets that it did not take.
    pub(crate) failed: u64,
    /// How late each slot's last packet left, in microseconds, sorted.
    pub(crate) late_micros: Vec<u64>,
    /// From the first packet to the last.
    pub(crate) took: Duration,
    /// CPU of the generating thread.
    pub(crate) cpu: Duration,
}

struct Stream {
    to: socket2::SockAddr,
    wire: Vec<u8>,
}

impl Generator {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self { socket }
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// One packet to each port, unpaced.
    pub(crate) fn run_round(&self, ports: &[u16]) {
        let wire = wire::encode(&packet(0, 0));
        for port in ports {
            // Who has ended already needs none.
            let _ = self.socket.send_to(&wire, (Ipv4Addr::LOCALHOST, *port));
        }
    }

    /// Sends for so long; `halfway` is called once, in the middle.
    pub(crate) fn run(&self, ports: &[u16], seconds: u64, halfway: &mut dyn FnMut()) -> Sent {
        let mut slots: Vec<Vec<Stream>> = (0..SLOTS).map(|_| Vec::new()).collect();
        for (call, port) in ports.iter().enumerate() {
            let to = mmsg::target((Ipv4Addr::LOCALHOST, *port).into());
            let wire = wire::encode(&packet(call as u32, 0)).to_vec();
            slots[call % SLOTS].push(Stream { to, wire });
        }
        let rounds = (seconds * 1_000 / PERIOD.as_millis() as u64) as u32;
        let mut sent = Sent {
            per_call: rounds,
            packets: 0,
            failed: 0,
            late_micros: Vec::new(),
            took: Duration::ZERO,
            cpu: Duration::ZERO,
        };
        let cpu = cpu_of_this_thread();
        let started = Instant::now();
        for round in 0..rounds {
            if round == rounds / 2 {
                halfway();
            }
            for (slot, streams) in slots.iter_mut().enumerate() {
                let due = started + PERIOD * round + PERIOD / SLOTS as u32 * slot as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                for batch in streams.chunks_mut(BATCH) {
                    self.send(batch, round, &mut sent);
                }
                sent.late_micros.push(due.elapsed().as_micros() as u64);
            }
        }
        sent.took = started.elapsed();
        sent.cpu = cpu_of_this_thread().saturating_sub(cpu);
        sent.late_micros.sort_unstable();
        sent
    }

    fn send(&self, batch: &mut [Stream], round: u32, sent: &mut Sent) {
        for Stream { wire, .. } in &mut *batch {
            wire[1] = if round == 0 { 0x80 } else { 0 };
            wire[2..4].copy_from_slice(&(round as u16).to_be_bytes());
            wire[4..8].copy_from_slice(&round.wrapping_mul(160).to_be_bytes());
            wire[16..20].copy_from_slice(&round.to_le_bytes());
        }
        let datagrams: Vec<_> = batch
            .iter()
            .map(|Stream { to, wire }| Outgoing { to, head: wire, body: &[] })
            .collect();
        let mut rest = &datagrams[..];
        while !rest.is_empty() {
            // The kernel stops at one that it does not take; that one is counted and passed over.
            let taken = mmsg::send(&self.socket, rest).unwrap_or(0);
            sent.packets += taken as u64;
            let stopped = usize::from(taken < rest.len());
            sent.failed += stopped as u64;
            rest = &rest[taken + stopped..];
        }
    }
}
