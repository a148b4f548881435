//! Takes: one hearing of one recording or file, from its windows to its readings.
//!
//! In: how it is to be read, windows, readings. Out: the jobs that wait at the desk, and what is
//! known of each take there. Decides nothing: that is the desk's cores' affair.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use engine_core::batcher::Lane;
use engine_core::id::RecordingId;
use engine_core::manner::{Manner, Task, Temperature};
use engine_core::text::LanguageChoice;
use engine_core::work::WorkError;

use crate::listen::Window;
use crate::whisper::{Card, Reading};

/// One hearing of one recording; a recording that is heard anew gets a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Take(pub(crate) u64);

/// The language of a take: given, or found in its first window.
#[derive(Debug, Clone)]
pub(crate) enum TakeLanguage {
    Fixed(String),
    Found(OnceLock<String>),
}

/// How all windows of a take are read.
#[derive(Debug)]
pub(crate) struct How {
    pub(crate) language: TakeLanguage,
    pub(crate) task: Task,
    /// Tokens before each window's text.
    pub(crate) prompt: Vec<String>,
    /// Temperatures, in the order in which they are tried.
    pub(crate) ladder: Vec<Temperature>,
    pub(crate) words: bool,
    /// [`Lane::Live`] for calls, [`Lane::File`] for files.
    pub(crate) lane: Lane,
}

impl Take {
    /// The batcher knows takes, not recordings: one that is heard anew is another to it.
    pub(crate) fn id(self) -> RecordingId {
        RecordingId::from_u128(u128::from(self.0))
    }
}

impl How {
    /// As calls are read.
    pub(crate) fn call(language: LanguageChoice, card: &Card, prompt: Vec<String>) -> Self {
        Self {
            language: TakeLanguage::new(language.code().map(str::to_owned)),
            task: Task::Transcribe,
            prompt,
            ladder: card.ladder(),
            words: false,
            lane: Lane::Live,
        }
    }

    /// How they are read at one temperature.
    pub(crate) fn manner(&self, temperature: Temperature) -> Manner {
        let prompt_tokens = self.prompt.len() as u16;
        Manner { task: self.task, temperature, prompt_tokens, words: self.words }
    }
}

impl TakeLanguage {
    pub(crate) fn new(code: Option<String>) -> Self {
        code.map_or_else(|| Self::Found(OnceLock::new()), Self::Fixed)
    }

    pub(crate) fn known(&self) -> Option<&str> {
        match self {
            Self::Fixed(code) => Some(code),
            Self::Found(slot) => slot.get().map(String::as_str),
        }
    }
}

/// One window that waits to be read.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) take: Take,
    /// Its place among the take's windows.
    pub(crate) index: u32,
    pub(crate) window: Window,
    /// Context it is read with.
    pub(crate) frames: usize,
    pub(crate) how: Arc<How>,
    /// Temperature of the next reading.
    pub(crate) temperature: Temperature,
    /// The best of what was read at lower temperatures.
    pub(crate) best: Option<Reading>,
    /// Batches with it that failed.
    pub(crate) failures: u8,
}

impl Job {
    pub(crate) fn new(take: Take, how: &Arc<How>, index: u32, window: Window, card: &Card) -> Self {
        Self {
            take,
            index,
            frames: card.frames(window.pcm.len()),
            window,
            how: Arc::clone(how),
            temperature: how.ladder.first().copied().unwrap_or_default(),
            best: None,
            failures: 0,
        }
    }
}

/// A window with what the model read in it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) span: std::ops::Range<u64>,
    pub(crate) reading: Reading,
    /// Whether the words' times were asked for.
    pub(crate) words: bool,
}

/// Called with all readings of a take, in order.
pub(crate) type Collected = Box<dyn FnOnce(Result<Vec<Read>, WorkError>) + Send>;
/// Called with each reading of a take, in order, as soon as those before it are there; must not
/// block. `false`: nobody wants the rest.
pub(crate) type Watch = Box<dyn FnMut(&Read) -> bool + Send>;

/// What is known of a take.
pub(crate) struct Text {
    pub(crate) reads: BTreeMap<u32, Read>,
    /// Windows that the batcher has or that are under way.
    pub(crate) in_line: usize,
    /// Windows that wait for the first one to tell the language, or for others of their take.
    pub(crate) behind: VecDeque<Job>,
    pub(crate) failed: Option<String>,
    /// How many windows there are in all and who waits for them, once the take was heard out.
    pub(crate) end: Option<(u32, Collected)>,
    pub(crate) watch: Option<Watch>,
    /// Readings that the watch was told of.
    pub(crate) watched: u32,
    pub(crate) is_file: bool,
}

impl Text {
    pub(crate) fn new(watch: Option<Watch>, is_file: bool) -> Self {
        Self {
            reads: BTreeMap::new(),
            in_line: 0,
            behind: VecDeque::new(),
            failed: None,
            end: None,
            watch,
            watched: 0,
            is_file,
        }
    }

    /// Tells the watch of the readings that are in order now.
    pub(crate) fn tell_watch(&mut self) -> bool {
        let Some(watch) = &mut self.watch else { return true };
        while let Some(read) = self.reads.get(&self.watched) {
            self.watched += 1;
            if !watch(read) {
                return false;
            }
        }
        true
    }
}
