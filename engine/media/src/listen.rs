//! One recording, heard as it grows: chunks to windows of sound and MP3.
//!
//! In: the recording's chunks, in order. Out: windows in which somebody speaks, as soon as each
//! is over; at the end the whole MP3. The same code hears live chunks and sealed recordings, so
//! what was heard during the call is never heard again.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use engine_core::codec::Codec;
use engine_core::recording::{Chunk, ChunkError, Entry, Opened, Sealed};

use crate::codec::{CodecError, FrameDecoder};
use crate::join::Joiner;
use crate::kept::KeptSound;
use crate::limits::SAMPLE_RATE_HZ;
use crate::mp3::{Mp3Encoder, Mp3Error};
use crate::resample::{ResampleError, Resampler, ResamplerPool};
use crate::speech::{SpeechDetector, WindowPlan};

/// Why a recording cannot be heard (further).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// A chunk is missing in the middle.
    #[error("chunk {wanted} is missing, {got} came")]
    Gap {
        /// The next chunk in order.
        wanted: u32,
        /// What came instead.
        got: u32,
    },
    /// The recording does not begin with its opening.
    #[error("it does not begin with its opening entry")]
    NotOpened,
    /// The recording has no end.
    #[error("it was never sealed")]
    NotSealed,
    /// A chunk of another recording.
    #[error("a chunk belongs to another recording")]
    Foreign,
    /// A chunk cannot be read.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The decoder could not be made.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The resampler could not be made.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// The MP3 encoder failed.
    #[error(transparent)]
    Mp3(#[from] Mp3Error),
}

impl ListenError {
    /// Whether the recording's bytes are at fault, so that trying again will not help.
    pub const fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Gap { .. } | Self::NotOpened | Self::NotSealed | Self::Foreign | Self::Chunk(_)
        )
    }
}

/// A stretch of speech, cut out.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Its place in the recording, in samples at 16 kHz.
    pub span: Range<u64>,
    /// Its sound.
    pub pcm: Vec<f32>,
}

/// A recording that was heard to its end.
#[derive(Debug, Clone)]
pub struct HeardOut {
    /// The whole recording.
    pub mp3: Bytes,
    /// Its length.
    pub duration_ms: u64,
}

/// Hears one recording.
#[derive(Debug)]
pub struct Listening {
    next_chunk: u32,
    opened: Option<Opened>,
    sealed: Option<Sealed>,
    voice: Option<Box<Voice>>,
}

/// Sound goes on in pieces of so many samples: a chunk's whole sound in each of the buffers along
/// the way, for every call, would be most of what a service needs of memory.
const PIECE_SAMPLES: usize = 8_000;

/// What exists once there is sound: most callers hear a greeting first, some never say a word, and
/// this is most of what a call takes of memory.
#[derive(Debug)]
struct Voice {
    decoder: FrameDecoder,
    resampler: Option<Resampler>,
    mp3: Mp3Encoder,
    cutter: Cutter,
    decoded: Vec<f32>,
    ready: Vec<f32>,
}

impl Listening {
    /// Ready for chunk 0.
    pub const fn new() -> Self {
        Self { next_chunk: 0, opened: None, sealed: None, voice: None }
    }

    /// The chunk it waits for.
    pub const fn next_chunk(&self) -> u32 {
        self.next_chunk
    }

    /// What was known when the call was answered, once chunk 0 was heard.
    pub const fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// Hears the next chunk; appends windows that ended in it. A chunk heard before is skipped.
    pub fn chunk(
        &mut self,
        chunk: &Chunk,
        plan: WindowPlan,
        windows: &mut Vec<Window>,
    ) -> Result<(), ListenError> {
        if chunk.number < self.next_chunk {
            return Ok(());
        }
        if chunk.number > self.next_chunk {
            return Err(ListenError::Gap { wanted: self.next_chunk, got: chunk.number });
        }
        for entry in chunk.entries() {
            match entry? {
                Entry::Opened(opened) => self.opened = Some(opened),
                Entry::Frame(frame) => {
                    let voice = self.voice(plan)?;
                    voice.decoder.frame(&frame, &mut voice.decoded);
                    if voice.decoded.len() >= PIECE_SAMPLES {
                        voice.hear(windows)?;
                    }
                }
                Entry::Sealed(sealed) => {
                    let voice = self.voice(plan)?;
                    voice.decoder.finish(sealed.duration, &mut voice.decoded);
                    self.sealed = Some(sealed);
                }
                Entry::Digit { .. } => {}
            }
        }
        self.next_chunk += 1;
        let opened = self.opened.as_ref().ok_or(ListenError::NotOpened)?;
        if opened.recording != chunk.recording {
            return Err(ListenError::Foreign);
        }
        let Some(voice) = &mut self.voice else { return Ok(()) };
        voice.hear(windows)?;
        if self.sealed.is_some() { voice.end(windows) } else { Ok(()) }
    }

    fn voice(&mut self, plan: WindowPlan) -> Result<&mut Voice, ListenError> {
        let codec = self.opened.as_ref().ok_or(ListenError::NotOpened)?.codec;
        if self.voice.is_none() {
            self.voice = Some(Box::new(Voice::new(codec, plan)?));
        }
        self.voice.as_deref_mut().ok_or(ListenError::NotOpened)
    }

    /// The end: the MP3 and the length.
    pub fn finish(self) -> Result<HeardOut, ListenError> {
        let opened = self.opened.ok_or(ListenError::NotOpened)?;
        let (Some(sealed), Some(voice)) = (self.sealed, self.voice) else {
            return Err(ListenError::NotSealed);
        };
        let duration_ms = sealed.duration.to_millis(opened.codec.clock_hz());
        Ok(HeardOut { mp3: voice.mp3.finish()?, duration_ms })
    }
}

impl Default for Listening {
    fn default() -> Self {
        Self::new()
    }
}

/// G.711 is by far the most frequent, and the only one that is resampled.
static FROM_8K: LazyLock<ResamplerPool> =
    LazyLock::new(|| ResamplerPool::new(8_000, SAMPLE_RATE_HZ));

impl Voice {
    fn new(codec: Codec, plan: WindowPlan) -> Result<Self, ListenError> {
        let narrow = matches!(codec, Codec::Pcmu | Codec::Pcma);
        Ok(Self {
            decoder: FrameDecoder::new(codec)?,
            resampler: if narrow { Some(FROM_8K.take()?) } else { None },
            mp3: Mp3Encoder::new()?,
            cutter: Cutter::new(plan),
            decoded: Vec::new(),
            ready: Vec::new(),
        })
    }

    /// Takes what was decoded through the rest of the way.
    fn hear(&mut self, windows: &mut Vec<Window>) -> Result<(), ListenError> {
        match &mut self.resampler {
            Some(resampler) => resampler.push(&self.decoded, &mut self.ready),
            None => self.ready.append(&mut self.decoded),
        }
        self.decoded.clear();
        self.pass_on(windows)
    }

    /// Nothing more is decoded.
    fn end(&mut self, windows: &mut Vec<Window>) -> Result<(), ListenError> {
        if let Some(mut resampler) = self.resampler.take() {
            resampler.finish(&mut self.ready);
            FROM_8K.rest(resampler);
        }
        self.pass_on(windows)?;
        self.cutter.finish(windows);
        Ok(())
    }

    fn pass_on(&mut self, windows: &mut Vec<Window>) -> Result<(), ListenError> {
        self.mp3.push(&self.ready)?;
        self.cutter.push(&self.ready, windows);
        self.ready.clear();
        Ok(())
    }
}

/// Cuts windows out of sound that comes in pieces; keeps no more than they need.
#[derive(Debug)]
pub struct Cutter {
    detector: SpeechDetector,
    joiner: Joiner,
    blocker: DcBlocker,
    kept: KeptSound,
    spans: Vec<Range<u64>>,
}

impl Cutter {
    /// A cutter for one recording.
    pub fn new(plan: WindowPlan) -> Self {
        Self {
            detector: SpeechDetector::new(plan),
            joiner: Joiner::new(plan),
            blocker: DcBlocker::default(),
            kept: KeptSound::default(),
            spans: Vec::new(),
        }
    }

    /// Takes sound; appends windows that ended in it.
    pub fn push(&mut self, pcm: &[f32], windows: &mut Vec<Window>) {
        let blocker = &mut self.blocker;
        self.kept.extend(pcm.iter().map(|sample| blocker.next(*sample)));
        self.detector.push(pcm, &mut self.spans);
        self.cut(windows);
        let needed = self.detector.needed_from();
        self.joiner.come_to(needed, |span| windows.push(self.kept.window(span)));
        self.kept.forget_before(self.joiner.needed_from().map_or(needed, |held| held.min(needed)));
    }

    /// Ends the recording.
    pub fn finish(&mut self, windows: &mut Vec<Window>) {
        self.detector.finish(self.kept.end(), &mut self.spans);
        self.cut(windows);
        self.joiner.finish(|span| windows.push(self.kept.window(span)));
        self.kept = KeptSound::default();
    }

    fn cut(&mut self, windows: &mut Vec<Window>) {
        for span in self.spans.drain(..) {
            self.joiner.take(span, |span| windows.push(self.kept.window(span)));
        }
    }
}

impl KeptSound {
    fn window(&self, span: Range<u64>) -> Window {
        Window { pcm: self.copy(span.clone()), span }
    }
}

/// Takes a constant offset off the sound: one pole at 12 Hz.
#[derive(Debug, Default)]
struct DcBlocker {
    x: f32,
    y: f32,
}

impl DcBlocker {
    fn next(&mut self, x: f32) -> f32 {
        self.y = x - self.x + 0.995 * self.y;
        self.x = x;
        self.y
    }
}
