"""16 kHz sound in, Whisper's log-mel features out, 100 frames a second.

The same numbers as openai-whisper and faster-whisper (a test compares). Refuses to know: padding
to 30 s, which is the caller's business.
"""

from functools import cache

import numpy as np

from .vocoder import RATE

MELS = 80
FRAME = 400
HOP = 160
FRAMES_A_SECOND = RATE // HOP
_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)


def _to_hertz(mel: np.ndarray) -> np.ndarray:
    linear = mel * 200 / 3
    return np.where(mel >= 15, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)), linear)


@cache
def mel_filters() -> np.ndarray:
    """Slaney's triangular filters of unit area, (80, 201)."""
    bins = np.linspace(0, RATE / 2, FRAME // 2 + 1)
    top = 15 + np.log(RATE / 2 / 1000) / (np.log(6.4) / 27)
    edges = _to_hertz(np.linspace(0, top, MELS + 2))
    slopes = edges[:, None] - bins[None]
    widths = np.diff(edges)
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return (filters * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def log_mel(sound: np.ndarray) -> np.ndarray:
    """(frames, 80) features of the whole sound, scaled as Whisper does over this sound."""
    padded = np.pad(sound.astype(np.float32), FRAME // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP][: len(sound) // HOP]
    power = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)) ** 2
    logs = np.log10(np.maximum(power.astype(np.float32) @ mel_filters().T, 1e-10))
    return ((np.maximum(logs, logs.max() - 8) + 4) / 4).astype(np.float32)
