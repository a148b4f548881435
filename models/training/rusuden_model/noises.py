"""A random source in, sounds that are not speech out: noise, tones, clicks, music of a kind.

Refuses to know: speech, levels on the line.
"""

import random

import numpy as np

from .vocoder import RATE

_SLOPES = (0.0, -0.5, -1.0, -0.25)
_LOW, _HIGH = (697, 770, 852, 941), (1209, 1336, 1477)


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit power: white, pink, brown or in between, sometimes coming and going."""
    white = rng.standard_normal(count)
    slope = _SLOPES[rng.integers(len(_SLOPES))]
    if slope:
        spectrum = np.fft.rfft(white)
        bins = np.arange(len(spectrum))
        spectrum *= np.maximum(bins, 1.0) ** slope
        spectrum[: max(1, count * 60 // RATE)] *= 0.05
        white = np.fft.irfft(spectrum, count)
    if rng.random() < 0.25:
        knots = np.exp(rng.normal(0, 0.7, count // 4000 + 2))
        white = white * np.interp(np.arange(count), np.linspace(0, count, len(knots)), knots)
    return (white / (white.std() + 1e-9)).astype(np.float32)


def hum(count: int, rng: random.Random) -> np.ndarray:
    """Mains hum with harmonics, peak about one."""
    time = np.arange(count) / RATE
    base = rng.choice((50, 60))
    return sum(np.sin(2 * np.pi * base * part * time + part) / part for part in (1, 2, 3, 5)).astype(np.float32) / 1.6


def _beat(time: np.ndarray, period: float, share: float) -> np.ndarray:
    return ((time % period) < share).astype(np.float32)


def _keys(count: int, rng: random.Random) -> np.ndarray:
    sound = np.zeros(count, np.float32)
    length = int(0.2 * RATE)
    time = np.arange(length) / RATE
    for start in range(0, count - length, int(0.35 * RATE)):
        low, high = rng.choice(_LOW), rng.choice(_HIGH)
        sound[start : start + length] = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
    return sound


def _music(count: int, rng: random.Random) -> np.ndarray:
    sound = np.zeros(count, np.float32)
    length = int(rng.uniform(0.15, 0.5) * RATE)
    for start in range(0, count, length):
        time = np.arange(min(length * 2, count - start)) / RATE
        for _ in range(rng.choice((1, 1, 2, 3))):
            pitch = 110 * 2 ** (rng.randint(0, 36) / 12)
            tone = sum(np.sin(2 * np.pi * pitch * part * time) / part for part in (1, 2, 3, 4))
            sound[start : start + len(time)] += tone * np.exp(-time * rng.uniform(1, 6))
    return sound


def _fax(count: int, rng: random.Random) -> np.ndarray:
    time = np.arange(count) / RATE
    bits = np.repeat([rng.choice((1300, 2100, 1650, 1850)) for _ in range(count // 53 + 1)], 53)[:count]
    call = np.sin(2 * np.pi * 1100 * time) * _beat(time, 3.5, 0.5)
    return (call if rng.random() < 0.4 else np.sin(2 * np.pi * np.cumsum(bits) / RATE)).astype(np.float32)


def tone(count: int, rng: random.Random) -> np.ndarray:
    """Beeps, ring-back, busy, keys, fax or a tune, peak one."""
    time = np.arange(count) / RATE
    kind = rng.choice(("beep", "busy", "ring", "keys", "fax", "music", "music"))
    if kind == "beep":
        sound = np.sin(2 * np.pi * rng.choice((400, 425, 440, 480, 800, 1000, 1400)) * time)
    elif kind == "busy":
        sound = np.sin(2 * np.pi * 400 * time) * _beat(time, 1.0, 0.5)
    elif kind == "ring":
        sound = np.sin(2 * np.pi * 400 * time) * (1 + 0.8 * np.sin(2 * np.pi * 16 * time)) * _beat(time, 3.0, 1.0)
    else:
        sound = {"keys": _keys, "fax": _fax, "music": _music}[kind](count, rng)
    return (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)


def clicks(count: int, rng: random.Random, source: np.random.Generator) -> np.ndarray:
    """Knocks, breaths and handling noise."""
    sound = np.zeros(count, np.float32)
    for _ in range(rng.randint(1, 14)):
        length = min(count - 1, int(rng.choice((rng.uniform(0.004, 0.12), rng.uniform(0.2, 0.6))) * RATE))
        start = rng.randint(0, count - length - 1)
        fade = np.exp(-np.arange(length) / length * rng.uniform(2, 8))
        sound[start : start + length] += noise(length, source) * fade * rng.uniform(0.1, 1)
    return sound / (np.abs(sound).max() + 1e-9)


def not_speech(count: int, rng: random.Random, source: np.random.Generator) -> np.ndarray:
    """Anything a line carries when nobody speaks; peak at most about one."""
    kind = rng.random()
    if kind < 0.12:
        return np.zeros(count, np.float32)
    if kind < 0.42:
        return noise(count, source) * rng.uniform(0.02, 0.3)
    if kind < 0.7:
        sound = np.zeros(count, np.float32)
        length = min(count, int(rng.uniform(0.3, 6) * RATE))
        start = rng.randint(0, count - length)
        sound[start : start + length] = tone(length, rng)
        return sound
    if kind < 0.8:
        return hum(count, rng)
    return clicks(count, rng, source)
