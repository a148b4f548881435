//! The engine: recordings of many calls at once, to text and MP3.
//!
//! In: chunks of recordings under way (the live lane), sealed recordings as work, sound files.
//! Out: each work's result, once; what is read of a call while its caller speaks. One thread
//! listens and spreads decoding over a rayon pool, two take in files; the others each hold one
//! loaded model and read batches of windows. Memory is bounded: live recordings are a luxury that
//! may be dropped, because sealed ones can be read again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use crossbeam::channel;
use engine_core::event::PartialSink;
use engine_core::file_work::{FileText, FileTold, FileWorkError, Wishes};
use engine_core::handoff::{FilesOut, LiveLane, WorkOut};
use engine_core::hotwords::Hotwords;

use crate::clerk::Clerk;
use crate::desk::Desk;
use crate::limits::FILE_CLERKS;
use crate::listener::{Asked, Listener};
use crate::priority;
use crate::reader::{Losses, Reader, ReaderOptions, ReaderProgram};
use crate::service::{InService, Service};
pub use crate::settings::{EngineConfig, EngineError, GpuConfig};
use crate::whisper::ModelFolder;

/// What connects the engine with the other parts.
pub struct EngineLines {
    /// Chunks of recordings under way.
    pub live: Arc<LiveLane>,
    /// Sealed recordings.
    pub work: WorkOut,
    /// Sound files that somebody asks about.
    pub files: FilesOut,
    /// Where it is told what is read of a call while its caller speaks.
    pub partials: Option<Arc<dyn PartialSink>>,
    /// Who knows the words that mailboxes' owners expect to be said.
    pub hotwords: Option<Arc<dyn Hotwords>>,
    /// What runs as a reader where [`EngineConfig::isolate`] asks for processes: it must call
    /// [`crate::reader::serve`]. Without it models stand in the engine's own process.
    pub reader: Option<ReaderProgram>,
}

impl EngineLines {
    /// Lines of calls alone: no files come, nobody watches.
    pub fn of_calls(live: Arc<LiveLane>, work: WorkOut) -> Self {
        Self { live, work, files: channel::never(), partials: None, hotwords: None, reader: None }
    }
}

impl std::fmt::Debug for EngineLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineLines").finish_non_exhaustive()
    }
}

/// The running engine.
pub struct Engine {
    services: Arc<InService>,
    /// Of every model that may still be in service.
    desks: Mutex<Vec<Weak<Desk>>>,
    clerk: Arc<Clerk>,
    reader: Option<ReaderProgram>,
    losses: Losses,
    no_more_models: AtomicBool,
    stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Loads the model and starts. Takes from its lines what comes, until [`Engine::stop`].
    pub fn start(config: &EngineConfig, lines: EngineLines) -> Result<Self, EngineError> {
        let EngineLines { live, work, files, partials, hotwords, reader } = lines;
        let losses = Losses::default();
        let (service, readers) = open(config, reader.as_ref(), &losses, &|| false)?;
        let services = Arc::new(InService::new(service));
        let stopping = Arc::new(AtomicBool::new(false));
        let listener = Listener::new(
            Arc::clone(&services),
            Arc::clone(&stopping),
            or_cores(config.listeners),
            if config.live { config.live_max } else { 0 },
            Asked { partials, hotwords },
        )
        .map_err(|why| EngineError::Thread(why.to_string()))?;
        let clerk = Arc::new(Clerk::new(Arc::clone(&services)));
        let (desks, threads) = (Mutex::default(), Mutex::default());
        let no_more_models = AtomicBool::new(false);
        let engine =
            Self { services, desks, clerk, reader, losses, no_more_models, stopping, threads };
        engine.spawn("listen".to_owned(), move || listener.run(&live, &work))?;
        for number in 0..FILE_CLERKS {
            let (clerk, files) = (Arc::clone(&engine.clerk), files.clone());
            let stopping = Arc::clone(&engine.stopping);
            engine.spawn(format!("files-{number}"), move || clerk.run(&files, &stopping))?;
        }
        engine.begin(&engine.services.now(), readers)?;
        Ok(engine)
    }

    /// Puts another model into service, or the same one set up anew, without stopping: what was
    /// begun ends with the old one, what comes is read with the new one. Until then both are in
    /// memory. If the new one cannot be used, nothing has changed.
    ///
    /// Of the configuration, `listeners`, `live` and the program for readers stay as they were.
    pub fn replace(&self, config: &EngineConfig) -> Result<(), EngineError> {
        let is_over = || self.no_more_models.load(Ordering::Relaxed);
        let (service, readers) = open(config, self.reader.as_ref(), &self.losses, &is_over)?;
        self.begin(&service, readers)?;
        self.services.replace(service);
        Ok(())
    }

    /// Gives up a [`Engine::replace`] under way: the service is about to stop.
    pub fn stop_replacing(&self) {
        self.no_more_models.store(true, Ordering::Relaxed);
    }

    /// Sets a service's readers to work.
    fn begin(&self, service: &Service, readers: Vec<Reader>) -> Result<(), EngineError> {
        let count = readers.len();
        let mut desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        desks.retain(|desk| desk.strong_count() > 0);
        desks.push(Arc::downgrade(&service.desk));
        drop(desks);
        for (number, reader) in readers.into_iter().enumerate() {
            let desk = Arc::clone(&service.desk);
            self.spawn(format!("read-{number}"), move || reader.run(&desk))?;
        }
        tracing::info!(model = %service.folder.card.name, readers = count, "A model is in service.");
        Ok(())
    }

    fn spawn(&self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
        let work = || {
            priority::give_way();
            body();
        };
        let thread = thread::Builder::new().name(name).spawn(work);
        let thread = thread.map_err(|why| EngineError::Thread(why.to_string()))?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// The model that new work is read with.
    pub fn model(&self) -> Arc<ModelFolder> {
        Arc::clone(&self.services.now().folder)
    }

    /// Tells, whenever it is called, how many readers' processes were lost and replaced.
    pub fn loss_reader(&self) -> impl Fn() -> u64 + Clone + Send + Sync + 'static + use<> {
        let losses = Arc::clone(&self.losses);
        move || losses.load(Ordering::Relaxed)
    }

    /// Reads a whole sound (mono, 16 kHz) and waits for its text. Shares batches with calls.
    pub fn transcribe(&self, pcm_16k: &[f32], wishes: &Wishes) -> Result<FileText, FileWorkError> {
        let (done, result) = channel::bounded(1);
        let told = move |told| {
            if let FileTold::Done(result) = told {
                // The receiver waits below.
                let _ = done.send(result);
            }
            true
        };
        self.clerk.read(pcm_16k, wishes, Box::new(told));
        result.recv().unwrap_or(Err(FileWorkError::Stopping))
    }

    /// Stops: work that is not done gets the error `Stopping` of its kind; returns when all threads
    /// ended.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.close_desks();
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("An engine thread had died.");
            }
        }
        // Work that the listener handed over while the desks closed.
        self.close_desks();
    }

    fn close_desks(&self) {
        let desks = self.desks.lock().unwrap_or_else(PoisonError::into_inner);
        let open: Vec<_> = desks.iter().filter_map(Weak::upgrade).collect();
        drop(desks);
        for desk in open {
            desk.stop();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.halt();
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("model", &self.services.now().folder.path)
            .finish_non_exhaustive()
    }
}

/// Opens a model and loads it as often as the configuration asks.
fn open(
    config: &EngineConfig,
    program: Option<&ReaderProgram>,
    losses: &Losses,
    is_over: &dyn Fn() -> bool,
) -> Result<(Service, Vec<Reader>), EngineError> {
    config.check()?;
    let folder = Arc::new(ModelFolder::open(&config.model_dir)?);
    folder.verify()?;
    let options = ReaderOptions {
        program: program.filter(|_| config.isolate).cloned(),
        patience: config.patience(),
    };
    let readers =
        Reader::load(&folder, &config.recognizers(or_cores(0)), &options, losses, is_over)?;
    Ok((Service::new(folder, readers.len(), config.batch_max), readers))
}

/// So many, or one a core for 0.
fn or_cores(count: usize) -> usize {
    let cores = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if count == 0 { cores() } else { count }
}
