//! The workers' shell for jobs. In: rows that are due. Out: work for the engine, and its results
//! as rows and objects. The rows are the truth: a wake-up may be lost or come twice, and after a
//! crash every job is leased again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use crossbeam::channel::TrySendError;
use engine_core::event::{MessageEvent, MessageState, PartialText};
use engine_core::handoff::WorkIn;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::sound::{SoundBank, SoundId};
use engine_core::text::Verdict;
use engine_core::time::WallTime;
use engine_core::work::{Rendered, Work, WorkError};
use tokio::sync::{Notify, oneshot};
use tracing::{debug, error, info, warn};

use crate::backoff::backoff;
use crate::clock;
use crate::contract::ContractId;
use crate::copies::Copies;
use crate::events::EventHub;
use crate::hotwords::HotwordBook;
use crate::limits::{ENGINE_FULL_REST, LEASE, LEASE_RENEWAL, TRANSCRIBE_ATTEMPTS_MAX};
use crate::message::{Message, MessageAudio, StoredState};
use crate::notify::Wakes;
use crate::objects::{Object, ObjectError, Objects};
use crate::receipt::Receipt;
use crate::store::{Finished, Job, SharedStore, StoreError, Task};
use crate::vault::{Vault, VaultError};
use crate::worker::Queue;

/// What the job worker works with.
#[derive(Clone)]
pub(crate) struct Jobs {
    pub(crate) store: SharedStore,
    pub(crate) objects: Objects,
    pub(crate) vault: Vault,
    pub(crate) copies: Copies,
    pub(crate) work: WorkIn,
    pub(crate) sounds: Arc<dyn SoundBank>,
    pub(crate) events: Arc<EventHub>,
    pub(crate) hotwords: Arc<HotwordBook>,
    /// Wakes this worker.
    pub(crate) wake: Arc<Notify>,
    /// Wakes the outbox.
    pub(crate) outbox: Wakes,
    /// False once the engine's queue was found without an engine.
    pub(crate) engine_up: Arc<AtomicBool>,
    pub(crate) under_way_max: usize,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("a copy of a notice cannot be removed: {0}")]
    Copies(#[from] std::io::Error),
}

/// How an attempt at a job went.
enum Attempt {
    /// It is done, or nobody needs it any more.
    Done,
    /// The engine could not take it now; this was no attempt.
    Postponed,
    /// It failed and may work later.
    Failed(String),
    /// It can never work.
    Hopeless(String),
}

#[async_trait]
impl Queue for Jobs {
    type Item = Job;
    const NAME: &'static str = "jobs";

    async fn lease(
        &self,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        self.store.lease_jobs(now, until, limit).await
    }

    async fn next(&self) -> Result<Option<WallTime>, StoreError> {
        self.store.next_job().await
    }

    async fn attempt(&self, job: Job) {
        let went = match job.task {
            Task::Transcribe(message) => self.transcribe(&job, message).await,
            Task::EraseMessage(message) => self.erase_message(&job, message).await,
            Task::EraseGreeting(mailbox) => self.erase(&job, &[Object::Greeting(mailbox)]).await,
            Task::FinishDeletion(mailbox) => self.finish_deletion(&job, mailbox).await,
            Task::EndContract(contract) => self.end_contract(&job, contract).await,
        };
        let went = went.unwrap_or_else(|why| Attempt::Failed(why.to_string()));
        if let Err(why) = self.settle(&job, went).await {
            // The lease runs out and the job is tried again.
            error!(job = %job.id, %why, "A job's outcome could not be recorded.");
        }
    }

    fn wake(&self) -> &Notify {
        &self.wake
    }

    fn under_way_max(&self) -> usize {
        self.under_way_max
    }
}

impl Jobs {
    async fn settle(&self, job: &Job, went: Attempt) -> Result<(), StoreError> {
        let now = clock::now();
        match went {
            Attempt::Done => Ok(()),
            Attempt::Postponed => {
                self.store.return_job(job, clock::after(now, ENGINE_FULL_REST), None).await
            }
            Attempt::Hopeless(why) => self.give_up(job, why).await,
            Attempt::Failed(why) => {
                let failed = job.attempts;
                let is_text = matches!(job.task, Task::Transcribe(_));
                if is_text && failed >= TRANSCRIBE_ATTEMPTS_MAX {
                    return self.give_up(job, why).await;
                }
                warn!(job = %job.id, failed, %why, "A job failed and will be tried again.");
                let run_at = clock::after(now, backoff(failed, rand::random()));
                self.store.return_job(job, run_at, Some(&why)).await
            }
        }
    }

    /// Keeps the message without text: its recording stays and is told of.
    async fn give_up(&self, job: &Job, why: String) -> Result<(), StoreError> {
        error!(job = %job.id, %why, "A recording could not be turned into text.");
        self.store.finish(job, &Finished::Failed { why }, clock::now()).await?;
        self.outbox.wake();
        Ok(())
    }

    /// Removes a message's sound, and what lies in a folder of what was told of it.
    async fn erase_message(&self, job: &Job, id: RecordingId) -> Result<Attempt, JobError> {
        self.copies.forget(vec![id.into()]).await?;
        self.erase(job, &objects_of(id)).await
    }

    async fn erase(&self, job: &Job, objects: &[Object]) -> Result<Attempt, JobError> {
        for &object in objects {
            self.objects.remove(object).await?;
        }
        self.store.end_job(job).await?;
        Ok(Attempt::Done)
    }

    /// Destroys the key, waits until nothing is left, signs for it.
    async fn finish_deletion(&self, job: &Job, mailbox: MailboxId) -> Result<Attempt, JobError> {
        self.vault.destroy(&[mailbox]).await?;
        if self.store.is_erasing(mailbox).await? {
            return Ok(Attempt::Postponed);
        }
        let Some(deletion) = self.store.deletion(mailbox).await? else {
            self.store.end_job(job).await?;
            return Ok(Attempt::Done);
        };
        self.copies.forget(deletion.notices.clone()).await?;
        self.store.scrub().await?;
        let key = self.vault.look_up(mailbox).await?;
        let now = clock::now();
        let receipt = Receipt::of(&deletion, &key, now);
        let signed = receipt.sign(&self.vault.receipt_signer()?);
        self.store.finish_deletion(job, mailbox, &signed, now).await?;
        info!(%mailbox, messages = deletion.deleted.messages, "A mailbox was deleted for ever.");
        Ok(Attempt::Done)
    }

    /// Ends a contract and forgets its greeting; the objects go with jobs of their own.
    async fn end_contract(&self, job: &Job, id: ContractId) -> Result<Attempt, JobError> {
        if let Some(mailbox) = self.store.end_contract(job, id, clock::now()).await? {
            self.sounds.remove(SoundId::OwnGreeting(mailbox));
            info!(contract = %id, "A contract has ended; everything of it is deleted.");
            self.wake.notify_one();
        }
        self.outbox.wake();
        Ok(Attempt::Done)
    }

    async fn transcribe(&self, job: &Job, id: RecordingId) -> Result<Attempt, JobError> {
        let Some(message) = self.store.message(id).await? else {
            return Ok(Attempt::Hopeless("the message has no row".to_owned()));
        };
        if message.state == StoredState::Deleted {
            return self.erase_message(job, id).await;
        }
        let Some(sound) = self.objects.get(Object::Recording(id)).await? else {
            return Ok(Attempt::Hopeless("the recording's object is missing".to_owned()));
        };
        if let Some(mailbox) = self.store.mailbox(message.arrived.mailbox).await? {
            self.hotwords.meet(&mailbox);
        }
        let (done, result) = oneshot::channel();
        let work = Work {
            recording: id,
            sound,
            language: message.arrived.language,
            // Nobody listens any more only when the process stops.
            done: Box::new(move |rendered| drop(done.send(rendered))),
        };
        match self.work.try_send(work) {
            Ok(()) => self.engine_up.store(true, Ordering::Relaxed),
            Err(TrySendError::Full(_)) => return Ok(Attempt::Postponed),
            Err(TrySendError::Disconnected(_)) => {
                self.engine_up.store(false, Ordering::Relaxed);
                return Ok(Attempt::Postponed);
            }
        }
        match self.wait(job, result).await? {
            Ok(rendered) => self.keep(job, &message, rendered).await,
            Err(WorkError::Damaged { why }) => Ok(Attempt::Hopeless(why)),
            Err(WorkError::Stopping) => Ok(Attempt::Postponed),
            Err(other) => Ok(Attempt::Failed(other.to_string())),
        }
    }

    /// Waits for the engine and renews the lease meanwhile.
    async fn wait(
        &self,
        job: &Job,
        mut result: oneshot::Receiver<Result<Rendered, WorkError>>,
    ) -> Result<Result<Rendered, WorkError>, StoreError> {
        loop {
            tokio::select! {
                rendered = &mut result => {
                    let dropped =
                        || WorkError::Engine { why: "it dropped the work without a word".into() };
                    return Ok(rendered.unwrap_or_else(|_| Err(dropped())));
                }
                () = tokio::time::sleep(LEASE_RENEWAL) => {
                    // A lost lease is noticed at the end, where it decides.
                    self.store.extend_job(job, clock::after(clock::now(), LEASE)).await?;
                }
            }
        }
    }

    async fn keep(
        &self,
        job: &Job,
        message: &Message,
        rendered: Rendered,
    ) -> Result<Attempt, JobError> {
        let id = message.arrived.id;
        let audio = MessageAudio::of(&rendered.mp3);
        let owner = message.arrived.mailbox;
        self.objects.put(Object::Audio(id), owner, rendered.mp3).await?;
        let speech = rendered.transcript.verdict == Verdict::Speech;
        let final_text = PartialText {
            recording: id,
            mailbox: owner,
            text: rendered.transcript.text(),
            read_ms: rendered.duration_ms,
        };
        let text = Box::new(rendered.transcript.into());
        let finished = Finished::Transcribed { text, audio };
        if !self.store.finish(job, &finished, clock::now()).await? {
            info!(message = %id, "Text came after its lease had ended; another attempt counts.");
            return Ok(Attempt::Done);
        }
        debug!(message = %id, speech, "A message has its text.");
        self.events.publish(MessageEvent {
            recording: id,
            mailbox: message.arrived.mailbox,
            state: MessageState::Transcribed,
            at: clock::now(),
            recorded_ms: rendered.duration_ms,
        });
        self.events.publish_text(final_text, true);
        self.outbox.wake();
        Ok(Attempt::Done)
    }
}

fn objects_of(message: RecordingId) -> [Object; 2] {
    [Object::Recording(message), Object::Audio(message)]
}
