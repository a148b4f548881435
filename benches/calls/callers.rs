//! The callers: when each calls, what it does when it is answered, and what became of it.
//!
//! In: the order, the service's address, mailboxes. Out: the books, a line for each call. One
//! thread, one SIP socket; requests are repeated as RFC 3261 §17 asks. Arrivals are those of
//! chance: exponential gaps, the same in every run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rusuden_benches::figures::Samples;

use crate::Order;
use crate::media::{Media, Wish};
use crate::mix::{Behaviour, Mix, Plan, scattered};
use crate::sip::{self, Dialog, Heard, Places};

/// RFC 3261's T1 and the time after which nobody hopes any more (64 × T1).
const T1: Duration = Duration::from_millis(500);
const HOPE: Duration = Duration::from_secs(32);
/// A greeting and the beep are over by then; callers who were greeted talk from here on.
const GREETED: Duration = Duration::from_secs(9);
/// Whoever talks on hangs up by himself after this long: the service should have.
const TALKS_ON_MAX: Duration = Duration::from_secs(100);
/// Whoever vanished is looked after for so long: the service must notice by itself.
const VANISHED_MAX: Duration = Duration::from_secs(75);
const POLL: Duration = Duration::from_micros(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Invite(u32),
    Talk,
    HangUp,
    Bye(u32),
    Vanish,
    GiveUp,
    Forgotten,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Inviting,
    Up,
    Ending,
    Over,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Still under way.
    Open,
    /// Answered; its end was ours or the service's.
    Answered,
    /// Refused with this status.
    Refused(u16),
    /// Given up before the answer.
    Abandoned,
    /// Nobody ever said anything.
    Unheard,
}

struct Call {
    dialog: Dialog,
    plan: Plan,
    state: State,
    fate: Fate,
    invited: Instant,
    heard_of: bool,
    port: Option<u16>,
    /// The service ended it.
    hung_up_on: bool,
    /// Its BYE was answered.
    confirmed: bool,
}

/// The books.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) fates: Vec<Option<Fate>>,
    /// INVITE to 200, in milliseconds.
    pub(crate) answer_ms: Samples,
    /// INVITE to refusal.
    pub(crate) refusal_ms: Samples,
    /// Calls that the service ended: full messages, silent lines.
    pub(crate) hung_up_on: usize,
    /// Calls whose end nobody confirmed.
    pub(crate) unconfirmed: usize,
    pub(crate) peak: usize,
    /// Calls placed and calls up, once a second.
    pub(crate) timeline: Vec<(f64, usize, usize)>,
    pub(crate) took: Duration,
}

impl Books {
    pub(crate) fn count(&self, is: impl Fn(Fate) -> bool) -> usize {
        self.fates.iter().flatten().filter(|fate| is(**fate)).count()
    }

    pub(crate) fn answered(&self) -> usize {
        self.count(|fate| fate == Fate::Answered)
    }
}

/// All callers.
pub(crate) struct Callers<'a> {
    order: &'a Order,
    socket: UdpSocket,
    places: Places,
    media: &'a Media,
    numbers: Vec<String>,
    calls: Vec<Option<Call>>,
    timers: BinaryHeap<Reverse<(Instant, usize, Timer)>>,
    up: usize,
    open: usize,
    books: Books,
}

impl<'a> Callers<'a> {
    pub(crate) fn new(
        order: &'a Order,
        server: SocketAddr,
        media: &'a Media,
        numbers: Vec<String>,
    ) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        // As much as the kernel gives: what it drops is repeated.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20);
        let places = Places { local: socket.local_addr().unwrap(), server, media: media.address };
        Self {
            order,
            socket,
            places,
            media,
            numbers,
            calls: Vec::new(),
            timers: BinaryHeap::new(),
            up: 0,
            open: 0,
            books: Books::default(),
        }
    }

    /// Places all calls and waits until the last is over.
    pub(crate) fn run(mut self) -> Books {
        let start = Instant::now();
        let end = start + Duration::from_secs_f64(self.order.seconds);
        let mut next = start;
        let mut said = start;
        while next < end || self.open > 0 {
            while next < end && Instant::now() >= next {
                let number = self.calls.len();
                let gap = -(1.0 - scattered(number as u64 ^ 0xa11)).ln() / self.order.rate;
                self.invite(number);
                next += Duration::from_secs_f64(gap);
            }
            while self.receive() {}
            self.fire();
            self.books.peak = self.books.peak.max(self.up);
            if said.elapsed() > Duration::from_secs(1) {
                said = Instant::now();
                self.note(start.elapsed().as_secs_f64());
            }
            std::thread::sleep(POLL);
        }
        self.books.took = start.elapsed();
        self.books
    }

    /// Once a second; every tenth of them is told.
    fn note(&mut self, seconds: f64) {
        let (placed, up) = (self.calls.len(), self.up);
        self.books.timeline.push((seconds, placed, up));
        if self.books.timeline.len().is_multiple_of(10) {
            println!("{seconds:.0} s: {placed} calls placed, {up} up.");
        }
    }

    fn invite(&mut self, index: usize) {
        let plan = self.order.mix.plan(index as u64);
        let number = &self.numbers[index % self.numbers.len()];
        let dialog = Dialog::new(index, number, plan.forwarding);
        let now = Instant::now();
        self.send(&dialog.invite(&self.places));
        self.calls.push(Some(Call {
            dialog,
            plan,
            state: State::Inviting,
            fate: Fate::Open,
            invited: now,
            heard_of: false,
            port: None,
            hung_up_on: false,
            confirmed: false,
        }));
        self.books.fates.push(None);
        self.open += 1;
        self.set(T1, index, Timer::Invite(1));
        self.set(HOPE, index, Timer::GiveUp);
    }

    fn set(&mut self, after: Duration, index: usize, timer: Timer) {
        self.timers.push(Reverse((Instant::now() + after, index, timer)));
    }

    fn send(&self, text: &str) {
        // What the kernel does not take is repeated by its timer.
        let _ = self.socket.send_to(text.as_bytes(), self.places.server);
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        let Ok((bytes, _)) = self.socket.recv_from(&mut buffer) else { return false };
        let text = String::from_utf8_lossy(&buffer[..bytes]);
        match sip::read(&text) {
            Some((index, Heard::Status { method: "INVITE", status })) => {
                self.invite_answered(index, status, &text);
            }
            Some((index, Heard::Status { method: "BYE", status: 200.. })) => {
                if let Some(Some(call)) = self.calls.get_mut(index) {
                    call.confirmed = true;
                }
                self.over(index);
            }
            Some((index, Heard::Bye)) => {
                self.send(&sip::ok(&text));
                if let Some(Some(call)) = self.calls.get_mut(index) {
                    call.hung_up_on = true;
                }
                self.over(index);
            }
            _ => {}
        }
        true
    }

    fn invite_answered(&mut self, index: usize, status: u16, text: &str) {
        let Some(Some(call)) = self.calls.get_mut(index) else {
            // A 200 that was repeated, of a call that is over here.
            return;
        };
        let first = !std::mem::replace(&mut call.heard_of, true);
        if status < 200 {
            if first && call.plan.behaviour == Behaviour::Cancels {
                let cancel = call.dialog.cancel(&self.places);
                self.send(&cancel);
            }
            return;
        }
        sip::header(text, "To").unwrap_or_default().clone_into(&mut call.dialog.to_header);
        if status >= 300 {
            let ack = call.dialog.ack_refusal(&self.places);
            let ms = call.invited.elapsed().as_secs_f64() * 1e3;
            call.fate = if status == 487 { Fate::Abandoned } else { Fate::Refused(status) };
            if status != 487 {
                self.books.refusal_ms.add(ms);
            }
            self.send(&ack);
            return self.over(index);
        }
        let ack = call.dialog.ack(&self.places);
        let is_new = call.state == State::Inviting;
        if is_new {
            call.state = State::Up;
            call.fate = Fate::Answered;
            call.port = sip::audio_port(text);
            self.books.answer_ms.add(call.invited.elapsed().as_secs_f64() * 1e3);
        }
        self.send(&ack);
        if is_new {
            self.up += 1;
            self.begin(index);
        }
    }

    /// What a caller does once it is answered.
    fn begin(&mut self, index: usize) {
        let Some(Some(Call { port: Some(port), plan, .. })) = self.calls.get(index) else { return };
        let (port, behaviour) = (*port, plan.behaviour);
        self.media.wish(Wish::Listen(port));
        let greeted = if self.order.mix == Mix::Busy { GREETED } else { Duration::ZERO };
        let (talks, end, timer) = match behaviour {
            Behaviour::Talks(long) => (true, greeted + long, Timer::HangUp),
            Behaviour::TalksOn => (true, greeted + TALKS_ON_MAX, Timer::HangUp),
            Behaviour::Vanishes(long) => (true, greeted + long, Timer::Vanish),
            Behaviour::Listens(long) => (false, long, Timer::HangUp),
            Behaviour::Cancels => (false, Duration::ZERO, Timer::HangUp),
        };
        if talks {
            self.set(greeted, index, Timer::Talk);
        }
        self.set(end, index, timer);
    }

    fn fire(&mut self) {
        while let Some(Reverse((at, index, timer))) = self.timers.peek().copied() {
            if at > Instant::now() {
                return;
            }
            self.timers.pop();
            self.timer(index, timer);
        }
    }

    fn timer(&mut self, index: usize, timer: Timer) {
        let Some(Some(call)) = self.calls.get_mut(index) else { return };
        match (timer, call.state) {
            (Timer::Invite(doubled), State::Inviting) if !call.heard_of => {
                let invite = call.dialog.invite(&self.places);
                self.send(&invite);
                self.set(T1 * 2_u32.pow(doubled.min(6)), index, Timer::Invite(doubled + 1));
            }
            (Timer::GiveUp, State::Inviting) => {
                call.fate = Fate::Unheard;
                self.over(index);
            }
            (Timer::Talk, State::Up) => {
                if let Some(port) = call.port {
                    self.media.wish(Wish::Talk(port));
                }
            }
            (Timer::HangUp, State::Up) => {
                call.state = State::Ending;
                self.leave(index);
                self.bye(index, 1);
            }
            (Timer::Bye(doubled), State::Ending) => self.bye(index, doubled),
            (Timer::Vanish, State::Up) => {
                call.state = State::Ending;
                self.leave(index);
                self.set(VANISHED_MAX, index, Timer::Forgotten);
            }
            (Timer::Forgotten, State::Ending) => self.over(index),
            _ => {}
        }
    }

    fn bye(&mut self, index: usize, doubled: u32) {
        let Some(Some(call)) = self.calls.get(index) else { return };
        if doubled > 7 {
            return self.over(index);
        }
        let bye = call.dialog.bye(&self.places);
        self.send(&bye);
        self.set(T1 * 2_u32.pow(doubled.min(3)), index, Timer::Bye(doubled + 1));
    }

    /// Its sound ends.
    fn leave(&mut self, index: usize) {
        if let Some(Some(Call { port: Some(port), .. })) = self.calls.get(index) {
            self.media.wish(Wish::Forget(*port));
        }
    }

    fn over(&mut self, index: usize) {
        let Some(mut call) = self.calls.get_mut(index).and_then(Option::take) else { return };
        if call.state == State::Up
            && let Some(port) = call.port
        {
            self.media.wish(Wish::Forget(port));
        }
        if call.fate == Fate::Answered {
            self.up -= 1;
            self.books.hung_up_on += usize::from(call.hung_up_on);
            self.books.unconfirmed += usize::from(!call.hung_up_on && !call.confirmed);
        }
        call.state = State::Over;
        self.open -= 1;
        self.books.fates[index] = Some(call.fate);
    }
}
