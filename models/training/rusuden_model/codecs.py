"""16 kHz sound in, the same sound after a telephone codec out.

G.711 is computed here; G.722 and Opus go through FFmpeg's libraries in this process.
Refuses to know: noise, levels, packet loss.
"""

import av
import numpy as np
from scipy.signal import resample_poly

from .vocoder import RATE

NARROW = 8000
_A = 87.6


def mu_law(sound: np.ndarray) -> np.ndarray:
    """G.711 µ-law, as a round trip of 8-bit values."""
    magnitude = np.log1p(255 * np.abs(np.clip(sound, -1, 1))) / np.log(256)
    steps = np.round(magnitude * 127) / 127
    return (np.sign(sound) * np.expm1(steps * np.log(256)) / 255).astype(np.float32)


def a_law(sound: np.ndarray) -> np.ndarray:
    """G.711 A-law, as a round trip of 8-bit values."""
    clipped = np.abs(np.clip(sound, -1, 1))
    scale = 1 + np.log(_A)
    magnitude = np.where(clipped < 1 / _A, _A * clipped, 1 + np.log(np.maximum(_A * clipped, 1))) / scale
    steps = np.round(magnitude * 127) / 127
    expanded = np.where(steps < 1 / scale, steps * scale / _A, np.exp(steps * scale - 1) / _A)
    return (np.sign(sound) * expanded).astype(np.float32)


def through_ffmpeg(sound: np.ndarray, codec: str, bit_rate: int | None = None, rate: int = RATE) -> np.ndarray:
    """A round trip through one of FFmpeg's codecs, `rate` samples a second; the length stays."""
    samples = np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "s16"
    if bit_rate:
        encoder.bit_rate = bit_rate
    encoder.open()
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = rate, "mono"
    step = encoder.frame_size or rate // 50
    samples = np.pad(samples, (0, -len(samples) % step))
    converter = av.AudioResampler("s16", "mono", rate)
    heard = []
    for start in range(0, len(samples), step):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + step], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in encoder.encode(frame):
            heard += [piece for decoded in decoder.decode(packet) for piece in converter.resample(decoded)]
    heard += converter.resample(None)
    joined = np.concatenate([piece.to_ndarray()[0] for piece in heard]) if heard else np.zeros(0, np.int16)
    joined = np.pad(joined, (0, max(0, len(sound) - len(joined))))[: len(sound)]
    return (joined / 32768).astype(np.float32)


def narrow(sound: np.ndarray) -> np.ndarray:
    """16 kHz to 8 kHz."""
    return resample_poly(sound, 1, 2).astype(np.float32)


def widen(sound: np.ndarray) -> np.ndarray:
    """8 kHz to 16 kHz."""
    return resample_poly(sound, 2, 1).astype(np.float32)
