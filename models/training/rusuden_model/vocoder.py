"""Vocoder parameters in, 16 kHz sound out, with the speaker's throat made longer or shorter on the way.

Mixed excitation (pulses below a cut-off, noise above) is shaped frame by frame in the frequency
domain. Refuses to know: phones, text, telephone lines.
"""

from functools import lru_cache

import numpy as np
from scipy.signal import firwin, oaconvolve

from .voices import SPECTRUM_ORDER, Voice

RATE = 16000
HOP = 80  # 5 ms, the voices' frame
WINDOW = 160
FFT = 512
VOICE_RATE = 48000  # the cepstra describe sound of this rate
_TAPS = 31
_HANN = np.hanning(WINDOW + 1)[:WINDOW].astype(np.float32)


@lru_cache(maxsize=256)
def _envelope_basis(alpha: float, warp: float) -> np.ndarray:
    """Matrix from cepstra to log magnitude and phase on the FFT bins of `RATE`."""
    frequency = np.arange(FFT // 2 + 1) / FFT * RATE
    omega = np.minimum(2 * np.pi * (frequency / warp) / VOICE_RATE, np.pi)
    warped = omega + 2 * np.arctan2(alpha * np.sin(omega), 1 - alpha * np.cos(omega))
    angle = np.outer(np.arange(SPECTRUM_ORDER), warped)
    return np.concatenate([np.cos(angle), -np.sin(angle)], axis=1).astype(np.float32)


@lru_cache(maxsize=64)
def _split_filters(cutoff: int) -> tuple[np.ndarray, np.ndarray]:
    low = firwin(_TAPS, cutoff, fs=RATE).astype(np.float32)
    high = -low
    high[_TAPS // 2] += 1
    return low, high


def _pulses(f0: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """One band-limited pulse per period, its energy independent of the pitch."""
    phase = np.cumsum(f0 / RATE)
    cycle = np.floor(phase)
    at = np.nonzero(np.diff(cycle, prepend=0) > 0)[0]
    at = at[voiced[at] > 0]
    train = np.zeros(len(f0), np.float32)
    if len(at):
        fraction = np.clip((phase[at] - cycle[at]) / (f0[at] / RATE), 0, 1)
        height = np.sqrt(RATE / f0[at])
        np.add.at(train, at, height * (1 - fraction))
        np.add.at(train, np.maximum(at - 1, 0), height * fraction)
    return train


def _excitation(pitch: np.ndarray, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    frames = len(pitch)
    voiced = pitch > 0
    f0 = np.where(voiced, np.exp(pitch), 0)
    knots = np.arange(0, frames + 20, 20)
    f0 = f0 * np.exp(voice.jitter * np.interp(np.arange(frames), knots, rng.standard_normal(len(knots))))
    f0 = np.repeat(f0, HOP)
    mask = np.repeat(voiced, HOP).astype(np.float32)
    noise = rng.standard_normal(frames * HOP, dtype=np.float32)
    low, high = _split_filters(int(round(voice.voicing_cutoff / 250) * 250))
    tonal = oaconvolve(_pulses(f0, mask), low, mode="same")
    breath = oaconvolve(noise, high, mode="same") * voice.breath
    return (tonal + mask * breath + (1 - mask) * noise).astype(np.float32)


def synthesise(spectrum: np.ndarray, pitch: np.ndarray, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Sound of `len(pitch)` frames, `HOP` samples each, at no particular level."""
    frames = len(pitch)
    bins = FFT // 2 + 1
    cepstra = spectrum.copy()
    cepstra[:, 2:] *= 1 + voice.formant_gain
    envelope = cepstra @ _envelope_basis(round(voice.alpha, 3), round(voice.tract_warp, 3))
    shape = np.exp(envelope[:, :bins]) * np.exp(1j * envelope[:, bins:])
    source = np.concatenate([_excitation(pitch, voice, rng), np.zeros(WINDOW, np.float32)])
    pieces = np.lib.stride_tricks.sliding_window_view(source, WINDOW)[::HOP][:frames] * _HANN
    shaped = np.fft.irfft(np.fft.rfft(pieces, FFT) * shape, FFT).astype(np.float32)
    return _overlap_add(shaped, frames, voice.tilt)


def _overlap_add(shaped: np.ndarray, frames: int, tilt: float) -> np.ndarray:
    blocks = -(-FFT // HOP)
    padded = np.pad(shaped, ((0, 0), (0, blocks * HOP - FFT)))
    out = np.zeros((frames + blocks) * HOP, np.float32)
    for block in range(blocks):
        out[block * HOP : (block + frames) * HOP] += padded[:, block * HOP : (block + 1) * HOP].reshape(-1)
    out = out[: frames * HOP]
    out[1:] -= tilt * out[:-1]
    return out
