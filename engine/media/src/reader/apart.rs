//! A reader's process, seen from both ends.
//!
//! In: the program to run, batches. Out: readings; or that the model refused them; or that the
//! process is gone, because it died or answered nothing for too long and was killed. A batch that
//! is lost with its process is the caller's to give to another.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::manner::Manner;
use rustix::event::{PollFd, PollFlags, poll};

use super::wire::{self, Answer, Hello, Told};
use crate::limits::{READER_END_MAX, READER_POLL};
use crate::priority;
use crate::whisper::{Heard, ModelError, ModelFolder, Reading, Recognizer};

/// glibc's variable for settings of its allocator.
const TUNABLES: &str = "GLIBC_TUNABLES";

/// What CTranslate2 frees after each layer stays with the process, in one heap: by default glibc
/// gives blocks of its sizes back to the kernel, which clears them anew for the next layer. That was
/// two fifths of all processor time with windows padded to 30 s (`benches/README.md`). A reader does
/// nothing else, so that it keeps what its largest batch needs costs nobody anything.
const KEEP_MEMORY: &str = "glibc.malloc.mmap_max=0:glibc.malloc.arena_max=1\
                           :glibc.malloc.trim_threshold=0x400000000:glibc.malloc.top_pad=0x2000000";

/// What is run as a reader; it must call [`serve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderProgram {
    /// The file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Why a process brought no readings.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApartError {
    /// The model refused; the process is well.
    #[error("{0}")]
    Refused(String),
    /// The process is of no more use.
    #[error("the reader's process {0}")]
    Lost(String),
}

impl ApartError {
    /// As the reason why the model in this folder cannot be used.
    pub(super) fn of(self, path: &Path) -> ModelError {
        let path = path.to_owned();
        match self {
            Self::Refused(why) => ModelError::Weights { path, why },
            Self::Lost(why) => ModelError::Reader { path, why },
        }
    }
}

/// A running process; killed when dropped.
pub(super) struct Apart {
    child: Child,
    line: UnixStream,
}

impl Apart {
    /// Starts one and tells it what to load; [`Apart::loaded`] waits until it has.
    pub(super) fn start(program: &ReaderProgram, hello: &Hello) -> Result<Self, ApartError> {
        let spawned = Self::spawn(program);
        let shown = program.program.display();
        let mut apart = spawned
            .map_err(|why| ApartError::Lost(format!("{shown} cannot be started ({why})")))?;
        match wire::send(&mut apart.line, hello) {
            Ok(()) => Ok(apart),
            Err(why) => Err(apart.lost(&why, READER_POLL)),
        }
    }

    fn spawn(program: &ReaderProgram) -> io::Result<Self> {
        let (line, theirs) = UnixStream::pair()?;
        let tunables = std::env::var_os(TUNABLES).unwrap_or_else(|| KEEP_MEMORY.into());
        let child = Command::new(&program.program)
            .args(&program.arguments)
            .env(TUNABLES, tunables)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // A terminal's Ctrl-C is for the service: it still has callers to read for.
            .process_group(0)
            .spawn()?;
        line.set_read_timeout(Some(READER_POLL))?;
        line.set_write_timeout(Some(READER_POLL))?;
        Ok(Self { child, line })
    }

    /// Waits until the model is loaded; `Refused` if it cannot be.
    pub(super) fn loaded(
        &mut self,
        limit: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), ApartError> {
        self.answer(limit, is_over).map(drop)
    }

    /// Has a batch read.
    pub(super) fn read(
        &mut self,
        windows: &[Heard<'_>],
        frames: usize,
        manner: Manner,
        limit: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<Reading>, ApartError> {
        let mut line = Patient::new(&self.line, limit, is_over);
        let sent = wire::send_batch(&mut line, windows, frames, manner);
        sent.map_err(|why| self.lost(&why, limit))?;
        let readings = self.answer(limit, is_over)?;
        if readings.len() == windows.len() {
            Ok(readings)
        } else {
            Err(ApartError::Lost("answered another batch".to_owned()))
        }
    }

    fn answer(
        &mut self,
        limit: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<Reading>, ApartError> {
        let mut line = Patient::new(&self.line, limit, is_over);
        let answer: Answer = wire::receive(&mut line).map_err(|why| self.lost(&why, limit))?;
        let told = answer.map_err(ApartError::Refused)?;
        Ok(told.into_iter().map(Reading::from).collect())
    }

    /// What became of it, as the end of a sentence.
    fn lost(&mut self, why: &io::Error, limit: Duration) -> ApartError {
        ApartError::Lost(if why.kind() == io::ErrorKind::TimedOut {
            format!(
                "answered nothing for {} s and was killed (see [engine] hung_after_ms and \
                 hung_per_second)",
                limit.as_secs()
            )
        } else {
            // Its end of the line closes a moment before it can be waited for.
            match self.end(READER_END_MAX) {
                Some(status) => format!("ended ({status})"),
                None => format!("cannot be spoken to ({why})"),
            }
        })
    }

    /// Whether it has ended by itself, and how.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("ended ({status}) while it waited for work"))
    }

    fn end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::sleep(READER_POLL / 10),
                ended => return ended.ok().flatten(),
            }
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // It holds nothing that anybody needs; it may have ended by itself.
        let _ = self.child.kill();
        if self.end(READER_END_MAX).is_none() {
            let pid = self.child.id();
            tracing::error!(pid, "A reader's process was killed and does not end; it is left.");
        }
    }
}

/// A line that waits so long and no longer, and not at all once everything is over.
struct Patient<'a> {
    line: &'a UnixStream,
    deadline: Instant,
    is_over: &'a dyn Fn() -> bool,
}

impl<'a> Patient<'a> {
    fn new(line: &'a UnixStream, limit: Duration, is_over: &'a dyn Fn() -> bool) -> Self {
        Self { line, deadline: Instant::now() + limit, is_over }
    }

    /// Tries again and again until there is something other than "not yet".
    fn wait<T>(
        &mut self,
        mut tried: impl FnMut(&mut &UnixStream) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match tried(&mut self.line) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    if (self.is_over)() {
                        return Err(io::Error::other("the engine stops"));
                    }
                    if Instant::now() >= self.deadline {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                other => return other,
            }
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(|line| line.read(buffer))
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.wait(|line| line.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The life of a reader's process: loads the model that it is told, reads batches until the engine
/// closes the line, which is its standard input.
pub fn serve() -> io::Result<()> {
    let mut line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Where memory runs out, a reader goes first: its batch is read by another, a call's sound in
    // the service's memory is nowhere else. Not everywhere may a process say so.
    let _ = std::fs::write("/proc/self/oom_score_adj", "800");
    // For whoever looks with ps or top; likewise.
    let _ = std::fs::write("/proc/self/comm", "rusuden-reader");
    priority::give_way();
    end_with(line.try_clone()?);
    let hello: Hello = wire::receive(&mut line)?;
    let loaded = ModelFolder::open(&hello.model_dir)
        .and_then(|folder| Recognizer::load(Arc::new(folder), hello.options()));
    let mut recognizer = match loaded {
        Ok(recognizer) => recognizer,
        Err(why) => return wire::send(&mut line, &Answer::Err(why.cause())),
    };
    wire::send(&mut line, &Answer::Ok(Vec::new()))?;
    loop {
        let batch = match wire::receive_batch(&mut line) {
            Ok(batch) => batch,
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(why) => return Err(why),
        };
        let readings = recognizer.read(&batch.windows(), batch.frames, batch.manner);
        let answer: Answer = readings
            .map(|readings| readings.into_iter().map(Told::from).collect())
            .map_err(|why| why.to_string());
        match wire::send(&mut line, &answer) {
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            sent => sent?,
        }
    }
}

/// Ends this process when the other end of the line is closed, whatever it is doing: nobody waits
/// for a batch of an engine that is gone.
fn end_with(line: UnixStream) {
    std::thread::spawn(move || {
        let mut watched = [PollFd::new(&line, PollFlags::RDHUP)];
        while poll(&mut watched, None).is_err() {}
        std::process::exit(0);
    });
}
