//! The clerk for sound files: whoever asks about one gets its text, piece by piece.
//!
//! In: files from the queue, or samples. Out: passages as soon as all before them are read, then
//! the whole. A file's windows stand behind those of callers and never crowd them out; how many
//! files and how much of their sound are under way at once is bounded. Decoding happens here, reading at the desk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crossbeam::channel::RecvTimeoutError;
use engine_core::batcher::Lane;
use engine_core::file_work::{FileTeller, FileText, FileTold, FileWork, FileWorkError, Wishes};
use engine_core::handoff::FilesOut;
use engine_core::manner::Task;
use engine_core::transcript::Assembler;
use engine_core::work::WorkError;

use crate::files::{FileError, read_sound};
use crate::limits::{CLERK_POLL, FILE_SAMPLES_MAX, FILES_MAX, SAMPLES_PER_MS};
use crate::listen::Cutter;
use crate::readings::{finished, window_text};
use crate::service::InService;
use crate::take::{How, Job, Read, TakeLanguage};
use crate::whisper::ModelFolder;

/// Takes in files.
pub(crate) struct Clerk {
    services: Arc<InService>,
    room: Arc<Room>,
}

/// What is known of a file that is being read, and whom to tell.
struct Reply {
    assembler: Assembler,
    told: FileTeller,
}

impl Clerk {
    pub(crate) fn new(services: Arc<InService>) -> Self {
        Self { services, room: Arc::default() }
    }

    /// Serves the queue until the engine stops; then whatever waits in it is sent back.
    pub(crate) fn run(&self, files: &FilesOut, stopping: &AtomicBool) {
        while !stopping.load(Ordering::Acquire) {
            if !self.room.has_place() {
                continue;
            }
            match files.recv_timeout(CLERK_POLL) {
                Ok(work) => self.serve(work),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        for mut work in files.try_iter() {
            (work.told)(FileTold::Done(Err(FileWorkError::Stopping)));
        }
    }

    fn serve(&self, work: FileWork) {
        let FileWork { file, wishes, mut told } = work;
        match read_sound(file, wishes.duration_max) {
            Ok(pcm) => self.read(&pcm, &wishes, told),
            Err(why) => {
                told(FileTold::Done(Err(refusal(&why))));
            }
        }
    }

    /// Reads a sound (mono, 16 kHz). Comes back when all of it is in line.
    pub(crate) fn read(&self, pcm: &[f32], wishes: &Wishes, mut told: FileTeller) {
        let service = self.services.now();
        if let Err(why) = check(&service.folder, wishes) {
            told(FileTold::Done(Err(why)));
            return;
        }
        let (card, desk) = (&service.folder.card, &service.desk);
        let how = Arc::new(how(&service.folder, wishes));
        let duration_ms = u32::try_from(pcm.len() / SAMPLES_PER_MS).unwrap_or(u32::MAX);
        let assembler = Assembler::new(card.thresholds(), duration_ms);
        let reply = Arc::new(Mutex::new(Reply { assembler, told }));
        let watched = Arc::clone(&reply);
        let take = desk.open(&how, Some(Box::new(move |read| lock(&watched).add(read))));
        let mut cutter = Cutter::new(service.plan);
        let mut windows = Vec::new();
        for piece in pcm.chunks(service.plan.max_samples) {
            cutter.push(piece, &mut windows);
        }
        cutter.finish(&mut windows);
        let count = windows.len() as u32;
        let jobs = windows.into_iter().zip(0..);
        desk.submit(jobs.map(|(window, index)| Job::new(take, &how, index, window, card)));
        let (held, place, task) =
            (Arc::clone(&service), Place::take(&self.room, pcm.len()), wishes.task);
        let language = wishes.language.clone().unwrap_or_default();
        let collected = move |reads: Result<Vec<Read>, WorkError>| {
            drop(place);
            let mut reply = lock(&reply);
            let done = reads.map_err(failure).map(|_| {
                let read = finished(reply.assembler.clone(), &language, &held.folder.card);
                FileText { read, duration_ms, task }
            });
            (reply.told)(FileTold::Done(done));
        };
        desk.finish(take, count, Box::new(collected));
    }
}

fn check(folder: &ModelFolder, wishes: &Wishes) -> Result<(), FileWorkError> {
    let model = &folder.card.name;
    if let Some(language) = &wishes.language
        && !folder.knows_language(language)
    {
        let (language, model) = (language.clone(), model.clone());
        return Err(FileWorkError::Language { language, model });
    }
    if wishes.task == Task::Translate && !folder.translates() {
        return Err(FileWorkError::Translation { model: model.clone() });
    }
    Ok(())
}

fn how(folder: &ModelFolder, wishes: &Wishes) -> How {
    How {
        language: TakeLanguage::new(wishes.language.clone()),
        task: wishes.task,
        prompt: folder.prompt(wishes.prompt.reveal()),
        ladder: wishes.temperature.map_or_else(|| folder.card.ladder(), |only| vec![only]),
        words: wishes.words,
        lane: Lane::File,
    }
}

impl Reply {
    fn add(&mut self, read: &Read) -> bool {
        let passages = self.assembler.add(&window_text(read)).to_vec();
        (self.told)(FileTold::Passages { language: read.reading.language.clone(), passages })
    }
}

fn lock(reply: &Mutex<Reply>) -> MutexGuard<'_, Reply> {
    // A teller that panicked leaves nothing half changed that is looked at again.
    reply.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refusal(why: &FileError) -> FileWorkError {
    match why {
        FileError::TooLong { max } => FileWorkError::TooLong { max: *max },
        other => FileWorkError::Unreadable { why: other.to_string() },
    }
}

fn failure(why: WorkError) -> FileWorkError {
    match why {
        WorkError::Stopping => FileWorkError::Stopping,
        other => FileWorkError::Engine { why: other.to_string() },
    }
}

/// How many files are under way, and how much sound of theirs.
#[derive(Default)]
struct Room {
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Taken {
    files: usize,
    samples: usize,
}

impl Taken {
    const fn is_full(self) -> bool {
        self.files >= FILES_MAX || self.samples >= FILE_SAMPLES_MAX
    }
}

/// A file's part of it, given back when it is dropped.
struct Place {
    room: Arc<Room>,
    samples: usize,
}

impl Room {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another file fits; otherwise after a change, or a moment: the engine may stop.
    fn has_place(&self) -> bool {
        let taken = self.taken();
        if !taken.is_full() {
            return true;
        }
        drop(self.freed.wait_timeout(taken, CLERK_POLL));
        false
    }
}

impl Place {
    fn take(room: &Arc<Room>, samples: usize) -> Self {
        let mut taken = room.taken();
        taken.files += 1;
        taken.samples += samples;
        Self { room: Arc::clone(room), samples }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.files -= 1;
        taken.samples -= self.samples;
        self.room.freed.notify_all();
    }
}
