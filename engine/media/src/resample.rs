//! Sound at any rate to sound at another, most often 8 to 16 kHz.
//!
//! In: samples as they come. Out: samples at the other rate, the filter's delay taken off the
//! front, exactly as many as the same span of time holds. One resampler serves many recordings,
//! one after the other: its FFT plans are made once.

use std::sync::Mutex;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _};

/// Rates that cannot be resampled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// The library refuses these rates.
    #[error("sound at {from_hz} Hz cannot be brought to {to_hz} Hz: {why}")]
    Rates {
        /// Rate of what comes in.
        from_hz: u32,
        /// Rate wanted.
        to_hz: u32,
        /// What the library said.
        why: String,
    },
}

/// Rates that sound files really have.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Resamples one stream at a time.
pub struct Resampler {
    /// `None` when the rates are the same.
    fft: Option<Fft<f32>>,
    from_hz: u32,
    to_hz: u32,
    waiting: Vec<f32>,
    block: Vec<f32>,
    /// Output samples still to be dropped: the filter's delay.
    delay_left: usize,
    taken: u64,
    given: u64,
}

impl Resampler {
    /// A resampler between two rates.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, ResampleError> {
        let wrong = |why: String| ResampleError::Rates { from_hz, to_hz, why };
        if !RATES_HZ.contains(&from_hz) || !RATES_HZ.contains(&to_hz) {
            return Err(wrong(format!("rates must be {} to {} Hz", 4_000, 384_000)));
        }
        let fft = if from_hz == to_hz {
            None
        } else {
            // 20 ms a block: the packet's own length in every codec we take.
            let chunk = (from_hz / 50) as usize;
            let fft = Fft::new_custom(
                from_hz as usize,
                to_hz as usize,
                chunk,
                1,
                1,
                rubato::WindowFunction::BlackmanHarris2,
                FixedSync::Both,
            );
            Some(fft.map_err(|why| wrong(why.to_string()))?)
        };
        let block = vec![0.0; fft.as_ref().map_or(0, rubato::Resampler::output_frames_max)];
        let delay_left = fft.as_ref().map_or(0, rubato::Resampler::output_delay);
        let waiting = Vec::new();
        Ok(Self { fft, from_hz, to_hz, waiting, block, delay_left, taken: 0, given: 0 })
    }

    /// Takes samples; appends what is ready.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.taken += samples.len() as u64;
        let Some(needed) = self.fft.as_ref().map(rubato::Resampler::input_frames_next) else {
            self.given += samples.len() as u64;
            out.extend_from_slice(samples);
            return;
        };
        self.waiting.extend_from_slice(samples);
        let blocks = self.waiting.len() / needed;
        for n in 0..blocks {
            self.block(n * needed, needed, out);
        }
        self.waiting.drain(..blocks * needed);
    }

    /// Ends the stream: what is left comes out, then the resampler is as new.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let total = self.taken * u64::from(self.to_hz) / u64::from(self.from_hz);
        while self.given < total {
            let left = self.waiting.len();
            self.block(0, left, out);
            self.waiting.clear();
        }
        out.truncate(out.len() - (self.given - total) as usize);
        if let Some(fft) = &mut self.fft {
            fft.reset();
            self.delay_left = fft.output_delay();
        }
        self.waiting.clear();
        self.taken = 0;
        self.given = 0;
    }

    /// Runs one block of `count` waiting samples from `at`, filled up with silence.
    fn block(&mut self, at: usize, count: usize, out: &mut Vec<f32>) {
        let fft = self.fft.as_mut().expect("blocks run only when the rates differ");
        let frames = self.waiting.len();
        let input = InterleavedSlice::new(&self.waiting[..], 1, frames).expect("one channel fits");
        let room = self.block.len();
        let mut output =
            InterleavedSlice::new_mut(&mut self.block[..], 1, room).expect("one channel fits");
        let mut indexing = Indexing::new().input_offset(at);
        if count < fft.input_frames_next() {
            indexing = indexing.partial_len(count);
        }
        let (_, made) = fft
            .process_into_buffer(&input, &mut output, Some(&indexing))
            .expect("the buffers are as long as the resampler asked for");
        let skip = self.delay_left.min(made);
        self.delay_left -= skip;
        out.extend_from_slice(&self.block[skip..made]);
        self.given += (made - skip) as u64;
    }
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler")
            .field("from_hz", &self.from_hz)
            .field("to_hz", &self.to_hz)
            .finish_non_exhaustive()
    }
}

/// Resamples a whole sound.
pub fn resample_all(pcm: &[f32], from_hz: u32, to_hz: u32) -> Result<Vec<f32>, ResampleError> {
    let mut resampler = Resampler::new(from_hz, to_hz)?;
    let mut out = Vec::with_capacity(pcm.len() * to_hz as usize / from_hz as usize + 1);
    resampler.push(pcm, &mut out);
    resampler.finish(&mut out);
    Ok(out)
}

/// Resamplers that rest between recordings, so that plans and buffers are made once.
#[derive(Debug)]
pub struct ResamplerPool {
    resting: Mutex<Vec<Resampler>>,
    from_hz: u32,
    to_hz: u32,
}

/// More than this do not rest: memory for a peak is given back.
const RESTING_MAX: usize = 256;

impl ResamplerPool {
    /// A pool for one pair of rates.
    pub const fn new(from_hz: u32, to_hz: u32) -> Self {
        Self { resting: Mutex::new(Vec::new()), from_hz, to_hz }
    }

    /// A resampler as new.
    pub fn take(&self) -> Result<Resampler, ResampleError> {
        let rested = self.resting.lock().expect("no holder of this lock can panic").pop();
        rested.map_or_else(|| Resampler::new(self.from_hz, self.to_hz), Ok)
    }

    /// Gives one back after [`Resampler::finish`].
    pub fn rest(&self, resampler: Resampler) {
        debug_assert_eq!(resampler.taken, 0, "a resampler rests after its stream is finished");
        let mut resting = self.resting.lock().expect("no holder of this lock can panic");
        if resting.len() < RESTING_MAX {
            resting.push(resampler);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, rate_hz: u32, count: usize) -> Vec<f32> {
        let step = std::f32::consts::TAU * hz / rate_hz as f32;
        (0..count).map(|n| 0.5 * (n as f32 * step).sin()).collect()
    }

    #[test]
    fn length_is_exact_and_delay_is_taken_off() {
        for (from, to) in [(8_000, 16_000), (48_000, 16_000), (44_100, 16_000), (16_000, 8_000)] {
            for count in [1, 159, 160, 161, from as usize / 3, from as usize] {
                let out = resample_all(&tone(440.0, from, count), from, to).unwrap();
                assert_eq!(out.len(), count * to as usize / from as usize, "{from} → {to}");
            }
            let out = resample_all(&tone(440.0, from, from as usize), from, to).unwrap();
            let middle = to as usize / 4..to as usize * 3 / 4;
            let expected = tone(440.0, to, to as usize);
            let worst = middle.map(|n| (out[n] - expected[n]).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-3, "{from} → {to}: {worst}");
        }
    }

    #[test]
    fn a_stream_in_pieces_equals_the_whole_and_the_next_stream_starts_clean() {
        let input = tone(1_000.0, 8_000, 8_123);
        let whole = resample_all(&input, 8_000, 16_000).unwrap();
        let mut resampler = Resampler::new(8_000, 16_000).unwrap();
        for _ in 0..2 {
            let mut out = Vec::new();
            for piece in input.chunks(77) {
                resampler.push(piece, &mut out);
            }
            resampler.finish(&mut out);
            assert_eq!(out, whole);
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_hold_is_filtered_out() {
        let out = resample_all(&tone(7_000.0, 16_000, 16_000), 16_000, 8_000).unwrap();
        assert!(out[1_000..7_000].iter().all(|s| s.abs() < 1e-3));
    }

    #[test]
    fn senseless_rates_are_refused() {
        assert!(Resampler::new(0, 16_000).is_err());
        assert!(Resampler::new(3_999, 16_000).is_err());
        assert!(Resampler::new(4_000, 16_000).is_ok());
    }
}
