//! The durable line's right side. In: sealed recordings from the shards. Out: an object and a row
//! with its job for each, then its acknowledgement, so that the journal may forget it. A failing
//! disk is waited for; nothing is acknowledged that is not committed.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use engine_core::event::{MessageEvent, MessageState};
use engine_core::handoff::{Acks, Arrival, ArrivalsOut};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use crate::backoff::backoff;
use crate::clock;
use crate::events::EventHub;
use crate::limits::ARRIVALS_PER_TRANSACTION_MAX;
use crate::message::NewMessage;
use crate::objects::{Object, ObjectError, Objects};
use crate::store::{Kept, SharedStore, StoreError};

/// Objects that are put at once: each waits for the disk, so they wait together.
const PUTS_MAX: usize = 16;
/// Longest rest while the disk or the database fails: calls wait in the journal meanwhile.
const REST_MAX: Duration = Duration::from_secs(10);

/// What the intake works with.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) arrivals: ArrivalsOut,
    pub(crate) acks: Acks,
    pub(crate) store: SharedStore,
    pub(crate) objects: Objects,
    pub(crate) events: Arc<EventHub>,
    pub(crate) jobs: Arc<Notify>,
}

/// The running thread. Told to stop, it takes what waits in the queue first.
#[derive(Debug)]
pub(crate) struct IntakeThread {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl IntakeThread {
    /// Starts it. It blocks on the queue, so it is a thread and not a task.
    pub(crate) fn start(intake: Intake, runtime: Handle) -> std::io::Result<Self> {
        let (stop, stopped) = crossbeam::channel::bounded(1);
        let run = move || intake.run(&runtime, &stopped);
        let thread = std::thread::Builder::new().name("intake".to_owned()).spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Asks it to take what waits and end. False when it has not by the deadline.
    pub(crate) async fn finish(self, deadline: tokio::time::Instant) -> bool {
        // Full or gone: it was asked before, or has ended.
        let _ = self.stop.try_send(());
        let joined = tokio::task::spawn_blocking(move || self.thread.join().is_ok());
        matches!(tokio::time::timeout_at(deadline, joined).await, Ok(Ok(true)))
    }

    /// Whether it has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

#[derive(Debug, thiserror::Error)]
enum IntakeError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Intake {
    fn run(&self, runtime: &Handle, stopped: &Receiver<()>) {
        let mut stopping = false;
        while let Some(batch) = self.next_batch(stopped, &mut stopping) {
            let mut failed = 0;
            while let Err(why) = runtime.block_on(self.take(&batch)) {
                failed += 1;
                error!(arrivals = batch.len(), failed, %why, "Arrivals wait: they cannot be kept.");
                let rest = backoff(failed, 0).min(REST_MAX);
                // Not acknowledged, so a stop may leave them: the journal brings them again.
                if stopping || stopped.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        }
        debug!("The intake has ended.");
    }

    /// What waits, at least one; `None` when there will be no more.
    fn next_batch(&self, stopped: &Receiver<()>, stopping: &mut bool) -> Option<Vec<Arrival>> {
        let first = if *stopping {
            self.arrivals.try_recv().ok()?
        } else {
            crossbeam::select! {
                recv(self.arrivals) -> arrival => arrival.ok()?,
                recv(stopped) -> _ => {
                    *stopping = true;
                    self.arrivals.try_recv().ok()?
                }
            }
        };
        let mut batch = vec![first];
        batch.extend(self.arrivals.try_iter().take(ARRIVALS_PER_TRANSACTION_MAX - 1));
        Some(batch)
    }

    /// Keeps a batch and acknowledges it. Doing it again is harmless at any point.
    async fn take(&self, batch: &[Arrival]) -> Result<(), IntakeError> {
        let ids: Vec<_> = batch.iter().map(|arrival| arrival.opened.recording).collect();
        // What has a row is done, and must not bring back the sound of a deleted message.
        let known = self.store.known(&ids).await?;
        let mut seen = HashSet::new();
        let fresh: Vec<_> = batch
            .iter()
            .filter(|arrival| {
                let id = arrival.opened.recording;
                !known.contains(&id) && seen.insert(id)
            })
            .collect();
        let puts: Vec<_> = fresh
            .iter()
            .map(|arrival| {
                let object = Object::Recording(arrival.opened.recording);
                self.objects.put(object, arrival.opened.mailbox, arrival.sound.clone())
            })
            .collect();
        stream::iter(puts).buffer_unordered(PUTS_MAX).try_collect::<Vec<()>>().await?;
        let rows: Vec<_> = fresh.iter().map(|arrival| NewMessage::from_arrival(arrival)).collect();
        let kept = self.store.keep_arrivals(&rows, clock::now()).await?;
        self.jobs.notify_one();
        for (row, kept) in rows.iter().zip(kept) {
            self.announce(row, kept);
        }
        for id in ids {
            self.acks.push(id);
        }
        Ok(())
    }

    fn announce(&self, row: &NewMessage, kept: Kept) {
        match kept {
            Kept::Known => {}
            Kept::Orphaned => {
                warn!(message = %row.id, mailbox = %row.mailbox,
                    "A message was kept without a mailbox: it is unknown.");
            }
            Kept::Deleted => {
                info!(message = %row.id, mailbox = %row.mailbox,
                    "A message came after its mailbox was deleted; it is erased, too.");
            }
            Kept::New => self.events.publish(MessageEvent {
                recording: row.id,
                mailbox: row.mailbox,
                state: MessageState::Sealed,
                at: clock::now(),
                recorded_ms: row.duration_ms,
            }),
        }
    }
}
