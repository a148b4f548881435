//! The listening thread: chunks and work to windows, for many recordings at once.
//!
//! In: the live lane and the work queue. Out: windows and finished takes for the desk. Each
//! round groups what came by recording and hears the recordings side by side in a rayon pool.
//! A recording whose chunks do not follow one another is dropped here and read from its sealed
//! bytes when its work comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use engine_core::event::{PartialSink, PartialText};
use engine_core::handoff::{LiveLane, WorkOut};
use engine_core::hotwords::Hotwords;
use engine_core::id::{MailboxId, RecordingId};
use engine_core::recording::{Chunk, Opened, chunks};
use engine_core::text::LanguageChoice;
use engine_core::transcript::Assembler;
use engine_core::work::{Rendered, Work, WorkError};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::limits::{CHUNKS_PER_ROUND, LANE_POLL, LIVE_AGE_MAX, WINDOWS_MAX, WORKS_MAX};
use crate::listen::{ListenError, Listening};
use crate::priority;
use crate::readings::{transcript, window_text};
use crate::service::{InService, Service};
use crate::take::{How, Job, Take, Watch};
use crate::whisper::{Card, ModelFolder};

/// Hears recordings until it is told to stop.
pub(crate) struct Listener {
    ears: Ears,
    stopping: Arc<AtomicBool>,
    pool: ThreadPool,
    /// Calls heard at once while they go on.
    live_max: usize,
    hearing: HashMap<RecordingId, Hearing>,
}

/// What hearing one recording needs, shared by all.
struct Ears {
    services: Arc<InService>,
    asked: Asked,
}

/// Whom hearing tells and asks.
pub(crate) struct Asked {
    pub(crate) partials: Option<Arc<dyn PartialSink>>,
    pub(crate) hotwords: Option<Arc<dyn Hotwords>>,
}

impl Asked {
    /// Tokens of the words that a mailbox's owner expects to be said.
    fn prompt(&self, mailbox: MailboxId, folder: &ModelFolder) -> Vec<String> {
        let words = self.hotwords.as_ref().and_then(|book| book.of(mailbox));
        words.map_or_else(Vec::new, |words| folder.prompt(words.reveal()))
    }
}

/// A recording under way.
struct Hearing {
    /// Whose model reads it, to its end.
    service: Arc<Service>,
    listening: Listening,
    /// The language to read it in, whatever its opening says.
    language: Option<LanguageChoice>,
    /// From the opening on, which names the language.
    take: Option<(Take, Arc<How>)>,
    windows: u32,
    since: Instant,
}

impl Hearing {
    /// Nothing was heard yet; `language` goes before what the opening names.
    fn begin(service: Arc<Service>, language: Option<LanguageChoice>) -> Self {
        let (listening, since) = (Listening::new(), Instant::now());
        Self { service, listening, language, take: None, windows: 0, since }
    }
}

/// One recording's part of a round.
struct Turn {
    recording: RecordingId,
    hearing: Option<Hearing>,
    chunks: Vec<Chunk>,
    works: Vec<Work>,
}

impl Listener {
    pub(crate) fn new(
        services: Arc<InService>,
        stopping: Arc<AtomicBool>,
        threads: usize,
        live_max: usize,
        asked: Asked,
    ) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("hear-{number}"))
            .start_handler(|_| priority::give_way())
            .build()?;
        let ears = Ears { services, asked };
        Ok(Self { ears, stopping, pool, live_max, hearing: HashMap::new() })
    }

    /// Runs until the engine stops; then whatever waits in the queue is sent back.
    pub(crate) fn run(mut self, lane: &LiveLane, work: &WorkOut) {
        while !self.stopping.load(Ordering::Acquire) {
            // Work first: its recording's chunks are in the lane by then, if they ever were.
            let works = self.take_works(work);
            let chunks = take_chunks(lane, works.is_empty());
            if works.is_empty() && chunks.is_empty() {
                thread::sleep(LANE_POLL);
            } else {
                self.round(chunks, works);
            }
            self.drop_aged();
        }
        for work in work.try_iter() {
            (work.done)(Err(WorkError::Stopping));
        }
    }

    fn take_works(&self, work: &WorkOut) -> Vec<Work> {
        let room = WORKS_MAX.saturating_sub(self.ears.services.now().desk.waiting());
        work.try_iter().take(room).collect()
    }

    fn round(&mut self, chunks: Vec<Bytes>, works: Vec<Work>) {
        let crowded = self.ears.services.now().desk.windows() > WINDOWS_MAX / 2;
        let mut turns: HashMap<RecordingId, Turn> = HashMap::new();
        for bytes in chunks {
            let Ok(chunk) = Chunk::take(&mut bytes.clone()) else { continue };
            if self.live_max > 0 && !crowded && self.wants(&chunk) {
                turn(&mut turns, chunk.recording).chunks.push(chunk);
            } else if let Some(hearing) = self.hearing.remove(&chunk.recording) {
                forget(&hearing);
            }
        }
        for work in works {
            turn(&mut turns, work.recording).works.push(work);
        }
        for turn in turns.values_mut() {
            turn.hearing = self.hearing.remove(&turn.recording);
        }
        let turns: Vec<Turn> = turns.into_values().collect();
        let ears = &self.ears;
        let left: Vec<(RecordingId, Hearing)> = self
            .pool
            .install(|| turns.into_par_iter().filter_map(|turn| ears.hear(turn)).collect());
        self.hearing.extend(left);
        while self.hearing.len() > self.live_max {
            self.drop_oldest();
        }
    }

    /// Chunks of recordings that were dropped, or are done, are of no use.
    fn wants(&self, chunk: &Chunk) -> bool {
        chunk.number == 0 || self.hearing.contains_key(&chunk.recording)
    }

    fn drop_oldest(&mut self) {
        let oldest = self.hearing.iter().min_by_key(|(_, hearing)| hearing.since);
        if let Some((&recording, _)) = oldest
            && let Some(hearing) = self.hearing.remove(&recording)
        {
            forget(&hearing);
            tracing::warn!(%recording, "Too many live recordings; one is read after its end.");
        }
    }

    fn drop_aged(&mut self) {
        self.hearing.retain(|recording, hearing| {
            let keep = hearing.since.elapsed() <= LIVE_AGE_MAX;
            if !keep {
                forget(hearing);
                tracing::warn!(%recording, "A live recording was never asked for; dropped.");
            }
            keep
        });
    }
}

fn turn(turns: &mut HashMap<RecordingId, Turn>, recording: RecordingId) -> &mut Turn {
    let empty = || Turn { recording, hearing: None, chunks: Vec::new(), works: Vec::new() };
    turns.entry(recording).or_insert_with(empty)
}

/// Takes what lies in the lane; all of it when work came, whose chunks may be the last ones.
fn take_chunks(lane: &LiveLane, bounded: bool) -> Vec<Bytes> {
    let most = if bounded { CHUNKS_PER_ROUND } else { usize::MAX };
    std::iter::from_fn(|| lane.take()).take(most).collect()
}

impl Ears {
    /// Hears one recording's part of a round; gives the hearing back if it goes on.
    fn hear(&self, turn: Turn) -> Option<(RecordingId, Hearing)> {
        let Turn { recording, mut hearing, chunks, works } = turn;
        for chunk in chunks {
            if hearing.is_none() && chunk.number == 0 {
                hearing = Some(Hearing::begin(self.services.now(), None));
            }
            let Some(current) = &mut hearing else { continue };
            if let Err(why) = self.chunk(current, &chunk) {
                tracing::debug!(%recording, %why, "Live listening ends; the sealed bytes follow.");
                forget(current);
                hearing = None;
            }
        }
        for work in works {
            self.work(hearing.take(), work);
        }
        hearing.map(|hearing| (recording, hearing))
    }

    fn chunk(&self, hearing: &mut Hearing, chunk: &Chunk) -> Result<(), ListenError> {
        let mut windows = Vec::new();
        let service = &hearing.service;
        let card = &service.folder.card;
        hearing.listening.chunk(chunk, service.plan, &mut windows)?;
        let opened = hearing.listening.opened().ok_or(ListenError::NotOpened)?;
        let language = hearing.language.unwrap_or(opened.language);
        let (take, how) = hearing.take.get_or_insert_with(|| {
            let how = How::call(language, card, self.asked.prompt(opened.mailbox, &service.folder));
            (service.desk.open(&how, self.watch(opened, card)), Arc::new(how))
        });
        let jobs: Vec<Job> = windows
            .into_iter()
            .zip(hearing.windows..)
            .map(|(window, index)| Job::new(*take, how, index, window, card))
            .collect();
        hearing.windows += jobs.len() as u32;
        if !jobs.is_empty() {
            service.desk.submit(jobs);
        }
        Ok(())
    }

    /// Tells whoever watches what is read of a call so far.
    fn watch(&self, opened: &Opened, card: &Card) -> Option<Watch> {
        let partials = Arc::clone(self.asked.partials.as_ref()?);
        let (recording, mailbox) = (opened.recording, opened.mailbox);
        // The length is not known yet.
        let mut assembler = Assembler::new(card.thresholds(), u32::MAX);
        Some(Box::new(move |read| {
            let window = window_text(read);
            if !assembler.add(&window).is_empty() {
                let (text, read_ms) = (assembler.text(), u64::from(window.end_ms));
                partials.partial(PartialText { recording, mailbox, text, read_ms });
            }
            true
        }))
    }

    /// Hears the rest of a sealed recording and hands it in.
    fn work(&self, hearing: Option<Hearing>, work: Work) {
        let Work { recording, sound, language, done } = work;
        let fits = |hearing: &Hearing| {
            hearing.listening.opened().is_some_and(|opened| opened.language == language)
        };
        let mut hearing = match hearing {
            Some(hearing) if fits(&hearing) => hearing,
            other => {
                if let Some(other) = other {
                    forget(&other);
                }
                Hearing::begin(self.services.now(), Some(language))
            }
        };
        let heard = self.hear_out(&mut hearing, recording, sound);
        let (Some((take, _)), Ok(())) = (&hearing.take, &heard) else {
            forget(&hearing);
            return done(Err(refusal(&heard.err().unwrap_or(ListenError::NotOpened))));
        };
        let (take, windows, service) = (*take, hearing.windows, hearing.service);
        let heard = match hearing.listening.finish() {
            Ok(heard) => heard,
            Err(why) => {
                service.desk.forget(take);
                return done(Err(refusal(&why)));
            }
        };
        let held = Arc::clone(&service);
        let collected = Box::new(move |reads: Result<Vec<_>, WorkError>| {
            done(reads.map(|reads| Rendered {
                transcript: transcript(&reads, &held.folder.card, language, heard.duration_ms),
                mp3: heard.mp3,
                duration_ms: heard.duration_ms,
            }));
        });
        service.desk.finish(take, windows, collected);
    }

    fn hear_out(
        &self,
        hearing: &mut Hearing,
        recording: RecordingId,
        sound: Bytes,
    ) -> Result<(), ListenError> {
        for chunk in chunks(sound) {
            let chunk = chunk?;
            if chunk.recording != recording {
                return Err(ListenError::Foreign);
            }
            self.chunk(hearing, &chunk)?;
        }
        Ok(())
    }
}

/// Nobody asks for it any more.
fn forget(hearing: &Hearing) {
    if let Some((take, _)) = &hearing.take {
        hearing.service.desk.forget(*take);
    }
}

/// Why a recording gives no text.
fn refusal(why: &ListenError) -> WorkError {
    let sentence = why.to_string();
    if why.is_damage() {
        WorkError::Damaged { why: sentence }
    } else {
        WorkError::Engine { why: sentence }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use engine_core::private::Private;

    use super::*;

    struct Book;

    impl Hotwords for Book {
        fn of(&self, mailbox: MailboxId) -> Option<Private<String>> {
            (mailbox == MailboxId::from_u128(1)).then(|| Private::new("平井、神戸".to_owned()))
        }
    }

    #[test]
    fn hotwords_stand_before_the_transcript_where_the_model_takes_them() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/default");
        let mut folder = ModelFolder::open(&path).unwrap();
        let asked = Asked { partials: None, hotwords: Some(Arc::new(Book)) };
        let prompt = |folder: &ModelFolder, id| asked.prompt(MailboxId::from_u128(id), folder);
        assert!(prompt(&folder, 1).is_empty(), "the default model was trained without prompts");
        folder.card.prompts = true;
        let tokens = prompt(&folder, 1);
        assert_eq!(tokens[0], "<|startofprev|>");
        assert!(tokens.len() > 4, "{tokens:?}");
        assert!(prompt(&folder, 2).is_empty());
    }
}
