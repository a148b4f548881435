//! Where somebody speaks, and where the sound may be cut for the model.
//!
//! In: mono samples at 16 kHz as they come. Out: windows, each a stretch of speech between two
//! pauses with a little quiet around it, as long as the model likes. Silence, noise and tones
//! (ring-back, DTMF, fax) are no speech, nor is breath, which has no pitch; a whisper is not heard
//! either. It keeps no sound, only what it needs to decide.

use std::collections::VecDeque;
use std::ops::Range;

use crate::limits::{SAMPLES_PER_MS, WINDOW_SAMPLES_MAX};
use crate::tone::ToneMeter;
use crate::voice::VoiceMeter;

/// Samples in one step of the detector.
const STEP_SAMPLES: usize = 256;
/// Score from which on a step counts as speech, and below which it no longer does.
const SCORE_ON: f32 = 0.5;
const SCORE_OFF: f32 = 0.3;
/// A step so much quieter than the loudest of late (35 dB) is no speech, whatever its score.
const SPEECH_POWER_PART_MIN: f32 = 3e-4;
/// Steps of speech in a row that begin an utterance: 64 ms, shorter is a click.
const ONSET_STEPS: u64 = 4;
/// Quiet kept before and behind speech.
const LEAD_SAMPLES: u64 = 300 * SAMPLES_PER_MS as u64;
const TAIL_SAMPLES: u64 = 250 * SAMPLES_PER_MS as u64;
/// Quiet that ends a window which is long enough, and one that is not.
const PAUSE_STEPS: u64 = 20;
const LONG_PAUSE_STEPS: u64 = 50;
/// Speech that a window must hold: 128 ms.
const SPEECH_STEPS_MIN: u32 = 8;
/// A window with a greater part of tones is no speech.
const TONE_PART_MAX: f32 = 0.65;
/// A window with a smaller part of voiced steps is breath, wind or a keyboard: speech in noise has
/// 0.3 and more, these have next to none.
const VOICED_PART_MIN: f32 = 0.1;
/// Loud and quiet steps of a window differ at least by this factor of power (5 dB); in steady
/// noise they do not.
const LIVELINESS_MIN: f32 = 3.0;

/// How long windows are to be, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowPlan {
    /// From this length on the next pause ends the window.
    pub min_samples: usize,
    /// At this length it is cut at its quietest point.
    pub max_samples: usize,
    /// Windows are read together, up to `max_samples`, across pauses of at most this; 0: never.
    pub join_pause_samples: usize,
}

impl WindowPlan {
    /// A plan from milliseconds, within what any model hears.
    pub fn from_millis(min_ms: u32, max_ms: u32, join_pause_ms: u32) -> Self {
        let samples = |ms: u32| (ms as usize * SAMPLES_PER_MS).min(WINDOW_SAMPLES_MAX);
        Self {
            min_samples: samples(min_ms),
            max_samples: samples(max_ms).max(16 * STEP_SAMPLES),
            join_pause_samples: samples(join_pause_ms),
        }
    }
}

/// Listens to one recording.
pub struct SpeechDetector {
    plan: WindowPlan,
    vad: Box<earshot::Detector>,
    tones: ToneMeter,
    voice: VoiceMeter,
    filter: HighPass,
    level: Level,
    /// Samples that do not fill a step yet, filtered.
    waiting: Vec<f32>,
    step: [f32; STEP_SAMPLES],
    /// Steps heard.
    steps: u64,
    /// Steps of speech in a row, while no window is open.
    onset: u64,
    onset_tones: u32,
    onset_voiced: u32,
    window: Option<Open>,
    /// End of the last window: the next may not reach behind it.
    last_end: u64,
}

/// What a step of sound looks like, besides its score.
#[derive(Debug, Clone, Copy)]
struct Marks {
    tone: bool,
    voiced: bool,
}

/// A window under way; positions in samples, `last_speech` in steps.
struct Open {
    start: u64,
    last_speech: u64,
    speech_steps: u32,
    tone_steps: u32,
    voiced_steps: u32,
    /// Power of each step since the start, for the quietest point.
    powers: VecDeque<f32>,
    first_step: u64,
}

impl SpeechDetector {
    /// A detector for one recording.
    pub fn new(plan: WindowPlan) -> Self {
        Self {
            plan,
            vad: earshot::Detector::default_boxed(),
            tones: ToneMeter::new(),
            voice: VoiceMeter::new(),
            filter: HighPass::default(),
            level: Level::default(),
            waiting: Vec::with_capacity(STEP_SAMPLES),
            step: [0.0; STEP_SAMPLES],
            steps: 0,
            onset: 0,
            onset_tones: 0,
            onset_voiced: 0,
            window: None,
            last_end: 0,
        }
    }

    /// Takes sound; appends the windows that ended in it, in samples since the start.
    pub fn push(&mut self, pcm: &[f32], windows: &mut Vec<Range<u64>>) {
        for sample in pcm {
            self.waiting.push(self.filter.next(*sample));
            if self.waiting.len() == STEP_SAMPLES {
                self.step.copy_from_slice(&self.waiting);
                self.waiting.clear();
                self.step(windows);
            }
        }
    }

    /// The recording ended at `total` samples: an open window ends there too.
    pub fn finish(&mut self, total: u64, windows: &mut Vec<Range<u64>>) {
        if !self.waiting.is_empty() {
            self.step.fill(0.0);
            self.step[..self.waiting.len()].copy_from_slice(&self.waiting);
            self.waiting.clear();
            self.step(windows);
        }
        if let Some(open) = self.window.take() {
            let end = ((open.last_speech + 1) * STEP_SAMPLES as u64 + TAIL_SAMPLES).min(total);
            self.close(&open, end, windows);
        }
        for window in windows.iter_mut() {
            window.end = window.end.min(total);
        }
    }

    /// The first sample that a window to come may still need.
    pub fn needed_from(&self) -> u64 {
        match &self.window {
            Some(open) => open.start,
            None => self.lead_from(self.steps - self.onset.min(self.steps)),
        }
    }

    fn lead_from(&self, step: u64) -> u64 {
        (step * STEP_SAMPLES as u64).saturating_sub(LEAD_SAMPLES).max(self.last_end)
    }

    fn step(&mut self, windows: &mut Vec<Range<u64>>) {
        let power = self.step.iter().map(|s| s * s).sum::<f32>() / STEP_SAMPLES as f32;
        let tone = self.tones.hear(&self.step);
        let voiced = self.voice.hear(&self.step);
        let gain = self.level.gain(power);
        for sample in &mut self.step {
            *sample = (*sample * gain).clamp(-1.0, 1.0);
        }
        let mut score = self.vad.predict_f32(&self.step);
        if power < self.level.peak * SPEECH_POWER_PART_MIN {
            // The detector hears speech on into the gaps of keyed tones.
            score = 0.0;
        }
        let now = self.steps;
        self.steps += 1;
        match &mut self.window {
            None => self.quiet(now, score, Marks { tone, voiced }, power),
            Some(open) => {
                open.powers.push_back(power);
                if score >= SCORE_OFF {
                    open.last_speech = now;
                    open.speech_steps += 1;
                    open.tone_steps += u32::from(tone);
                    open.voiced_steps += u32::from(voiced);
                }
                self.check_end(windows);
            }
        }
    }

    /// No window is open: a few steps of speech in a row open one.
    fn quiet(&mut self, now: u64, score: f32, marks: Marks, power: f32) {
        if score < SCORE_ON {
            (self.onset, self.onset_tones, self.onset_voiced) = (0, 0, 0);
            return;
        }
        self.onset += 1;
        self.onset_tones += u32::from(marks.tone);
        self.onset_voiced += u32::from(marks.voiced);
        if self.onset < ONSET_STEPS {
            return;
        }
        let first_step = now + 1 - self.onset;
        self.window = Some(Open {
            start: self.lead_from(first_step),
            last_speech: now,
            speech_steps: self.onset as u32,
            tone_steps: self.onset_tones,
            voiced_steps: self.onset_voiced,
            powers: std::iter::repeat_n(power, self.onset as usize).collect(),
            first_step,
        });
        (self.onset, self.onset_tones, self.onset_voiced) = (0, 0, 0);
    }

    /// Ends the open window at a pause, or cuts it when it is full.
    fn check_end(&mut self, windows: &mut Vec<Range<u64>>) {
        let Some(open) = &self.window else { return };
        let now = self.steps * STEP_SAMPLES as u64;
        let speech_end = (open.last_speech + 1) * STEP_SAMPLES as u64;
        let pause = self.steps - 1 - open.last_speech;
        let long_enough = (speech_end - open.start) as usize >= self.plan.min_samples;
        if pause >= if long_enough { PAUSE_STEPS } else { LONG_PAUSE_STEPS } {
            let end = (speech_end + TAIL_SAMPLES).min(now);
            let open = self.window.take().expect("it was there a moment ago");
            self.close(&open, end, windows);
        } else if (now - open.start) as usize + STEP_SAMPLES > self.plan.max_samples {
            let mut open = self.window.take().expect("it was there a moment ago");
            let cut = open.quietest_step();
            let at = cut * STEP_SAMPLES as u64;
            self.close(&open, at, windows);
            open.go_on_from(cut);
            self.window = Some(open);
        }
    }

    fn close(&mut self, open: &Open, end: u64, windows: &mut Vec<Range<u64>>) {
        self.last_end = end;
        let part = |steps: u32| steps as f32 / open.speech_steps.max(1) as f32;
        let voice = part(open.tone_steps) <= TONE_PART_MAX
            && part(open.voiced_steps) >= VOICED_PART_MIN
            && open.liveliness() >= LIVELINESS_MIN;
        if open.speech_steps >= SPEECH_STEPS_MIN && voice && end > open.start {
            windows.push(open.start..end);
        }
    }
}

impl std::fmt::Debug for SpeechDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpeechDetector").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Open {
    /// The quietest step of the window's last third: where a cut hurts least.
    fn quietest_step(&self) -> u64 {
        let from = self.powers.len() * 2 / 3;
        let smooth = |at: usize| {
            let near = at.saturating_sub(1)..(at + 2).min(self.powers.len());
            self.powers.range(near).sum::<f32>()
        };
        let at = (from..self.powers.len())
            .min_by(|a, b| smooth(*a).total_cmp(&smooth(*b)))
            .unwrap_or(from);
        self.first_step + at as u64
    }

    /// How much louder the loudest tenth of its steps is than the quietest tenth.
    fn liveliness(&self) -> f32 {
        let mut powers: Vec<f32> = self.powers.iter().copied().collect();
        powers.sort_by(f32::total_cmp);
        let tenth = powers.len() / 10;
        match (powers.get(tenth), powers.get(powers.len() - 1 - tenth)) {
            (Some(quiet), Some(loud)) => loud / quiet.max(1e-12),
            _ => 0.0,
        }
    }

    /// The window was cut before step `cut`: what is behind belongs to the next.
    fn go_on_from(&mut self, cut: u64) {
        let gone = ((cut - self.first_step) as usize).min(self.powers.len());
        self.powers.drain(..gone);
        self.first_step = cut;
        self.start = cut * STEP_SAMPLES as u64;
        let left = self.powers.len() as u32;
        let all = self.speech_steps.max(1) as f32;
        self.speech_steps = left.min(self.speech_steps);
        let kept = |steps: u32| (steps as f32 / all * self.speech_steps as f32) as u32;
        (self.tone_steps, self.voiced_steps) = (kept(self.tone_steps), kept(self.voiced_steps));
        self.last_speech = self.last_speech.max(cut);
    }
}

/// Takes off DC and hum below 80 Hz: a second-order Butterworth high-pass.
#[derive(Debug, Default)]
struct HighPass {
    x: [f32; 2],
    y: [f32; 2],
}

impl HighPass {
    /// Coefficients for 80 Hz at 16 kHz.
    const B: f32 = 0.978_030_5;
    const A: [f32; 2] = [-1.955_578_2, 0.956_543_7];

    fn next(&mut self, x: f32) -> f32 {
        let y = Self::B * (x - 2.0 * self.x[0] + self.x[1])
            - Self::A[0] * self.y[0]
            - Self::A[1] * self.y[1];
        self.x = [x, self.x[0]];
        self.y = [y, self.y[0]];
        y
    }
}

/// Brings quiet and loud callers to one level before detection.
#[derive(Debug, Default)]
struct Level {
    /// Slowly falling maximum of the step power.
    peak: f32,
}

impl Level {
    /// Power of speech that the detector likes best: −23 dBFS.
    const TARGET: f32 = 0.005;
    /// Below this nothing is speech: −66 dBFS.
    const FLOOR: f32 = 2.5e-7;
    const GAIN_MAX: f32 = 20.0;
    /// Falls to half in about 2 s.
    const FALL: f32 = 0.994_5;

    fn gain(&mut self, power: f32) -> f32 {
        self.peak = (self.peak * Self::FALL).max(power);
        if self.peak < Self::FLOOR {
            return 1.0;
        }
        (Self::TARGET / self.peak).sqrt().clamp(0.25, Self::GAIN_MAX)
    }
}
