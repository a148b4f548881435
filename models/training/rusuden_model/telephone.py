"""Clean 16 kHz sound in, what the far end of a telephone call hears out.

Room, noise, level, microphone faults, codec, packet loss with concealment, in this order.
Refuses to know: text and features.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import oaconvolve

from . import codecs
from .noises import hum, noise
from .vocoder import RATE

PACKET_SECONDS = 0.02


@dataclass(frozen=True)
class Line:
    """One call's conditions. None or 0 leaves a fault out."""

    codec: str = "mu-law"  # mu-law, a-law, g722, opus-narrow, opus-wide or none
    level_db: float | None = -22.0  # None: as it comes
    snr_db: float | None = None
    loss: float = 0.0
    burst: float = 1.2
    room_seconds: float = 0.0
    room_gain: float = 0.0
    hum_gain: float = 0.0
    offset: float = 0.0
    clip_at: float | None = None
    low_cut: float | None = None
    high_cut: float | None = None
    opus_bit_rate: int = 16_000


CLEAN = Line()
NOISY = Line(snr_db=15.0)
LOSSY = Line(loss=0.03)
OPUS = Line(codec="opus-wide")


def training_line(rng: random.Random) -> Line:
    """A call as training hears it: seldom clean, mostly narrow."""
    chance = rng.random
    line = Line(
        codec=rng.choices(("mu-law", "a-law", "g722", "opus-narrow", "opus-wide", "none"), (44, 18, 6, 5, 7, 20))[0],
        level_db=rng.uniform(-36, -12),
        snr_db=rng.uniform(6, 40) if chance() < 0.75 else None,
        opus_bit_rate=rng.choice((8_000, 12_000, 16_000, 24_000)),
    )
    if chance() < 0.2:
        line = replace(line, room_seconds=rng.uniform(0.05, 0.35), room_gain=rng.uniform(0.01, 0.06))
    if chance() < 0.08:
        line = replace(line, hum_gain=rng.uniform(0.02, 0.3))
    if chance() < 0.08:
        line = replace(line, offset=rng.uniform(-0.05, 0.05))
    if chance() < 0.08:
        line = replace(line, clip_at=rng.uniform(1.5, 3))
    if chance() < 0.35:
        line = replace(line, low_cut=rng.uniform(120, 320), high_cut=rng.uniform(3000, 3900))
    if chance() < 0.25:
        line = replace(line, loss=rng.uniform(0.003, 0.06), burst=rng.uniform(1, 2.5))
    return line


def _speech_level(sound: np.ndarray) -> float:
    loud = sound[np.abs(sound) > np.abs(sound).max(initial=0) * 0.02]
    return float(loud.std()) + 1e-9 if len(loud) else 1.0


def _band(sound: np.ndarray, low: float, high: float, rate: int) -> np.ndarray:
    spectrum = np.fft.rfft(sound)
    frequency = np.maximum(np.arange(len(spectrum)) * rate / len(sound), 1.0)
    spectrum *= 1 / (1 + (low / frequency) ** 4) / (1 + (frequency / high) ** 12)
    return np.fft.irfft(spectrum, len(sound)).astype(np.float32)


def lose_packets(sound: np.ndarray, loss: float, burst: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Drops packets in bursts; the last good one is repeated ever more softly, as receivers do."""
    packet = int(PACKET_SECONDS * rate)
    heard = sound.copy()
    lost_before = 0
    for at in range(len(sound) // packet):
        chance = 1 - 1 / burst if lost_before else loss / burst / max(1 - loss, 0.1)
        if rng.random() >= chance:
            lost_before = 0
            continue
        lost_before += 1
        here = slice(at * packet, (at + 1) * packet)
        before = slice((at - 1) * packet, at * packet)
        heard[here] = heard[before] * (0.7 if lost_before < 4 else 0.0) if at else 0.0
    return heard


def _microphone(sound: np.ndarray, line: Line, rng: random.Random, source: np.random.Generator) -> np.ndarray:
    level = _speech_level(sound) if line.level_db is None else 10 ** (line.level_db / 20)
    sound = sound / _speech_level(sound) * level
    if line.room_seconds:
        length = int(line.room_seconds * RATE)
        response = source.standard_normal(length) * np.exp(-np.arange(length) / length * 6) * line.room_gain
        response[0] = 1
        sound = oaconvolve(sound, response)[: len(sound)]
    if line.snr_db is not None:
        sound = sound + noise(len(sound), source) * level * 10 ** (-line.snr_db / 20)
    if line.hum_gain:
        sound = sound + hum(len(sound), rng) * level * line.hum_gain
    if line.clip_at is not None:
        sound = np.clip(sound, -level * line.clip_at, level * line.clip_at)
    return np.clip(sound + line.offset, -1, 1).astype(np.float32)


def call(sound: np.ndarray, line: Line, rng: random.Random, source: np.random.Generator) -> np.ndarray:
    """The sound as recorded at the far end, 16 kHz, same length."""
    sound = _microphone(sound, line, rng, source)
    if line.codec in ("none", "g722", "opus-wide"):
        if line.codec == "g722":
            sound = codecs.through_ffmpeg(sound, "g722")
        elif line.codec == "opus-wide":
            sound = codecs.through_ffmpeg(sound, "libopus", line.opus_bit_rate)
        return lose_packets(sound, line.loss, line.burst, RATE, source) if line.loss else sound
    length = len(sound)
    small = codecs.narrow(sound)
    if line.low_cut and line.high_cut:
        small = _band(small, line.low_cut, line.high_cut, codecs.NARROW)
    if line.codec == "opus-narrow":
        small = codecs.through_ffmpeg(small, "libopus", line.opus_bit_rate, codecs.NARROW)
    else:
        small = codecs.mu_law(small) if line.codec == "mu-law" else codecs.a_law(small)
    if line.loss:
        small = lose_packets(small, line.loss, line.burst, codecs.NARROW, source)
    return np.clip(codecs.widen(small)[:length], -1, 1)
