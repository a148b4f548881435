//! Events for watchers. In: steps of calls from the shards, steps of messages from here. Out: a
//! numbered stream, with the last ones kept for a watcher who comes back. Never waits. Texts are
//! told to who watches just then and are never kept: rows are the place for words.
//!
//! `Sealed` and later steps are told here only once their row is committed, so a watcher who
//! fetches the message finds it; a shard's own `Sealed` is left out.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine_core::event::{EventSink, MessageEvent, MessageState, PartialSink, PartialText};
use tokio::sync::broadcast;

use crate::limits::EVENTS_KEPT;

/// An event with its place in the stream of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// What happened.
    pub(crate) event: MessageEvent,
}

/// What watchers are told as it happens.
#[derive(Debug, Clone)]
pub(crate) enum Told {
    /// A step of a call or message.
    Step(Numbered),
    /// What is read of a message so far.
    Text {
        /// The text, and whose.
        text: PartialText,
        /// Whether it is stored and stays.
        is_final: bool,
    },
}

/// The stream.
#[derive(Debug)]
pub(crate) struct EventHub {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    last: VecDeque<Numbered>,
    next: u64,
    live: broadcast::Sender<Told>,
}

impl EventHub {
    pub(crate) fn new() -> Self {
        let (live, _) = broadcast::channel(EVENTS_KEPT);
        let last = VecDeque::with_capacity(EVENTS_KEPT);
        Self { kept: Mutex::new(Kept { last, next: 1, live }) }
    }

    /// Tells everyone who watches.
    pub(crate) fn publish(&self, event: MessageEvent) {
        let mut kept = self.lock();
        let numbered = Numbered { number: kept.next, event };
        kept.next += 1;
        if kept.last.len() == EVENTS_KEPT {
            kept.last.pop_front();
        }
        kept.last.push_back(numbered.clone());
        // No receiver is no error: nobody watches.
        let _ = kept.live.send(Told::Step(numbered));
    }

    /// Tells everyone who watches now what is read of a message.
    pub(crate) fn publish_text(&self, text: PartialText, is_final: bool) {
        // No receiver is no error: nobody watches.
        let _ = self.lock().live.send(Told::Text { text, is_final });
    }

    /// What was kept behind event `after`, and all that comes from now on, without a gap between
    /// the two. Without `after`: only what comes.
    pub(crate) fn watch(&self, after: Option<u64>) -> (Vec<Numbered>, broadcast::Receiver<Told>) {
        let kept = self.lock();
        let missed = after.map_or_else(Vec::new, |after| {
            kept.last.iter().filter(|event| event.number > after).cloned().collect()
        });
        (missed, kept.live.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere cannot leave the ring half changed: every step above is one push.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for EventHub {
    fn emit(&self, event: MessageEvent) {
        let ours = [MessageState::Sealed, MessageState::Transcribed, MessageState::Notified];
        if !ours.contains(&event.state) {
            self.publish(event);
        }
    }
}

impl PartialSink for EventHub {
    fn partial(&self, partial: PartialText) {
        self.publish_text(partial, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_core::id::{MailboxId, RecordingId};
    use engine_core::time::WallTime;

    fn event(recording: u128, state: MessageState) -> MessageEvent {
        MessageEvent {
            recording: RecordingId::from_u128(recording),
            mailbox: MailboxId::from_u128(1),
            state,
            at: WallTime::from_unix_millis(0),
            recorded_ms: 0,
        }
    }

    #[test]
    fn a_watcher_who_comes_back_is_told_what_it_missed() {
        let hub = EventHub::new();
        for recording in 1..=3 {
            hub.emit(event(recording, MessageState::Ringing));
        }
        let (missed, mut live) = hub.watch(Some(1));
        assert_eq!(missed.iter().map(|e| e.number).collect::<Vec<_>>(), [2, 3]);
        hub.publish(event(3, MessageState::Sealed));
        assert!(matches!(live.try_recv(), Ok(Told::Step(Numbered { number: 4, .. }))));
        assert!(hub.watch(None).0.is_empty());
    }

    #[test]
    fn texts_are_told_in_order_and_kept_for_nobody() {
        let hub = EventHub::new();
        let (_, mut live) = hub.watch(None);
        let (recording, mailbox) = (RecordingId::from_u128(1), MailboxId::from_u128(1));
        let text = |text: &str| PartialText {
            recording,
            mailbox,
            text: engine_core::private::Private::new(text.to_owned()),
            read_ms: 5,
        };
        hub.emit(event(1, MessageState::Recording));
        hub.partial(text("明日"));
        hub.publish_text(text("明日です"), true);
        assert!(matches!(live.try_recv(), Ok(Told::Step(_))));
        assert!(matches!(live.try_recv(), Ok(Told::Text { is_final: false, .. })));
        assert!(matches!(live.try_recv(), Ok(Told::Text { is_final: true, .. })));
        assert_eq!(hub.watch(Some(0)).0.len(), 1, "only the step is told again");
    }

    #[test]
    fn the_oldest_event_is_dropped_when_too_many_are_kept() {
        let hub = EventHub::new();
        for recording in 0..=EVENTS_KEPT as u128 {
            hub.emit(event(recording, MessageState::Recording));
        }
        let (missed, _) = hub.watch(Some(0));
        assert_eq!((missed.len(), missed[0].number), (EVENTS_KEPT, 2));
    }

    #[test]
    fn a_shard_cannot_announce_a_message_before_its_row() {
        let hub = EventHub::new();
        hub.emit(event(1, MessageState::Sealed));
        assert!(hub.watch(Some(0)).0.is_empty());
    }
}
