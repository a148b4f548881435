//! Many callers in one thread, who know exactly what they sent and when: for tests that must say
//! of every call what should have become of it. SIPp and baresip call us elsewhere; they cannot
//! tell which packet of which call had left when the power went.
//!
//! A fleet's SIP is the plainest that works: INVITE, ACK, BYE over UDP, no retransmission but of
//! INVITE, since it calls over loopback.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::captures::{RtpPayload, rtp};

/// What one caller does.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its number, unique in the fleet, as a national number (`090…`).
    pub from: String,
    /// The mailbox's number.
    pub to: String,
    /// When it calls, after the start of the fleet.
    pub at: Duration,
    /// What it says, 20 ms a packet, PCMU.
    pub frames: Vec<Vec<u8>>,
    /// Whether it sends BYE at the end.
    pub hangs_up: bool,
}

/// What one caller saw.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Final status of the INVITE.
    pub status: Option<u16>,
    /// When the 200 came.
    pub answered: Option<Instant>,
    /// When its first RTP packet left.
    pub first_sent: Option<Instant>,
    /// When its last RTP packet left.
    pub last_sent: Option<Instant>,
    /// How many have left.
    pub sent: usize,
    /// Whether the far end said BYE.
    pub was_hung_up: bool,
    /// Whether nothing is left to do.
    pub done: bool,
}

struct Caller {
    plan: Plan,
    outcome: Outcome,
    media: UdpSocket,
    to: Option<SocketAddr>,
    to_header: String,
    invited: Option<Instant>,
    bye_sent: bool,
}

/// Callers under way.
pub struct Fleet {
    sip: UdpSocket,
    server: SocketAddr,
    callers: Vec<Caller>,
    by_call_id: HashMap<String, usize>,
    start: Instant,
    tag: String,
}

impl Fleet {
    /// Callers of this server, none of whom has called yet. `tag` keeps Call-IDs of several
    /// fleets apart.
    pub fn new(server: SocketAddr, tag: &str, plans: Vec<Plan>) -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        sip.set_nonblocking(true).unwrap();
        let by_call_id = (0..plans.len()).map(|index| (format!("{tag}-{index}"), index)).collect();
        let callers = plans
            .into_iter()
            .map(|plan| Caller {
                plan,
                outcome: Outcome::default(),
                media: UdpSocket::bind("127.0.0.1:0").unwrap(),
                to: None,
                to_header: String::new(),
                invited: None,
                bye_sent: false,
            })
            .collect();
        Self { sip, server, callers, by_call_id, start: Instant::now(), tag: tag.to_owned() }
    }

    /// Calls and talks until everybody is done or `stop` says so, then gives what each caller saw.
    pub fn run(mut self, mut stop: impl FnMut(Duration, &[Outcome]) -> bool) -> Vec<Outcome> {
        self.start = Instant::now();
        loop {
            let now = Instant::now();
            while self.receive() {}
            for index in 0..self.callers.len() {
                self.act(index, now);
            }
            let seen: Vec<Outcome> = self.callers.iter().map(|c| c.outcome.clone()).collect();
            if stop(now - self.start, &seen) || seen.iter().all(|outcome| outcome.done) {
                return seen;
            }
            // Paces packets, 20 ms apart; nothing is waited for.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn act(&mut self, index: usize, now: Instant) {
        let due = now.saturating_duration_since(self.start);
        let caller = &self.callers[index];
        if caller.outcome.done || due < caller.plan.at {
            return;
        }
        match (caller.outcome.answered, caller.invited) {
            (None, None) => self.invite(index, now),
            (None, Some(at)) if now - at > Duration::from_secs(1) => self.invite(index, now),
            (None, Some(_)) => {}
            (Some(answered), _) => self.talk(index, now, answered),
        }
    }

    fn talk(&mut self, index: usize, now: Instant, answered: Instant) {
        let caller = &mut self.callers[index];
        let to = caller.to.expect("an answered call has a media address");
        while caller.outcome.sent < caller.plan.frames.len() {
            let due = answered + Duration::from_millis(20) * caller.outcome.sent as u32;
            if now < due {
                return;
            }
            let at = caller.outcome.sent;
            let payload =
                RtpPayload { payload_type: 0, ticks: 160, octets: caller.plan.frames[at].clone() };
            let packet = rtp(&payload, at as u16, at as u32 * 160);
            // A server that was just killed refuses: the packet is lost, as on a network.
            let _ = caller.media.send_to(&packet, to);
            caller.outcome.sent += 1;
            caller.outcome.first_sent.get_or_insert(now);
            caller.outcome.last_sent = Some(now);
        }
        if !caller.plan.hangs_up || caller.outcome.was_hung_up {
            caller.outcome.done = true;
        } else if !caller.bye_sent {
            caller.bye_sent = true;
            let to_header = caller.to_header.clone();
            self.send(index, "BYE", 2, &to_header, "");
        }
    }

    fn invite(&mut self, index: usize, now: Instant) {
        let caller = &mut self.callers[index];
        caller.invited = Some(now);
        let port = caller.media.local_addr().unwrap().port();
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        );
        let to_header = format!("<sip:{}@{}>", caller.plan.to, self.server);
        self.send(index, "INVITE", 1, &to_header, &sdp);
    }

    fn send(&self, index: usize, method: &str, sequence: u32, to: &str, body: &str) {
        let caller = &self.callers[index];
        let local = self.sip.local_addr().unwrap();
        let (server, tag) = (self.server, &self.tag);
        let (called, from) = (&caller.plan.to, &caller.plan.from);
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let message = format!(
            "{method} sip:{called}@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK{tag}{index}{method}{sequence}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:{from}@127.0.0.1>;tag=f{index}\r\n\
             To: {to}\r\n\
             Call-ID: {tag}-{index}\r\n\
             CSeq: {sequence} {method}\r\n\
             Contact: <sip:{from}@{local}>\r\n\
             {content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = self.sip.send_to(message.as_bytes(), self.server);
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        let Ok((bytes, _)) = self.sip.recv_from(&mut buffer) else { return false };
        let text = String::from_utf8_lossy(&buffer[..bytes]).into_owned();
        let Some(&index) = header(&text, "Call-ID").and_then(|id| self.by_call_id.get(id)) else {
            return true;
        };
        if text.starts_with("BYE ") {
            self.answer_bye(index, &text);
        } else if let Some(status) = text.strip_prefix("SIP/2.0 ") {
            let status: u16 = status.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            let method = header(&text, "CSeq").and_then(|cseq| cseq.split(' ').nth(1));
            match method {
                Some("INVITE") if status >= 200 => self.answered(index, status, &text),
                Some("BYE") if status >= 200 => self.callers[index].outcome.done = true,
                _ => {}
            }
        }
        true
    }

    fn answered(&mut self, index: usize, status: u16, text: &str) {
        let to_header = header(text, "To").unwrap_or_default().to_owned();
        if status < 300 {
            self.send(index, "ACK", 1, &to_header, "");
        }
        let caller = &mut self.callers[index];
        if caller.outcome.status.is_some() {
            return;
        }
        caller.outcome.status = Some(status);
        caller.to_header = to_header;
        if status >= 300 {
            caller.outcome.done = true;
            return;
        }
        let port = text.lines().find_map(|line| line.strip_prefix("m=audio "));
        let port = port.and_then(|line| line.split(' ').next()).and_then(|text| text.parse().ok());
        let port: u16 = port.unwrap_or_else(|| panic!("no audio in the answer: {text}"));
        caller.to = Some(SocketAddr::new(self.server.ip(), port));
        caller.outcome.answered = Some(Instant::now());
    }

    fn answer_bye(&mut self, index: usize, text: &str) {
        let mut reply = "SIP/2.0 200 OK\r\n".to_owned();
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            for line in text.lines().filter(|line| line.starts_with(&format!("{name}:"))) {
                reply.push_str(&format!("{line}\r\n"));
            }
        }
        reply.push_str("Content-Length: 0\r\n\r\n");
        let _ = self.sip.send_to(reply.as_bytes(), self.server);
        self.callers[index].outcome.was_hung_up = true;
        self.callers[index].outcome.done = true;
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
