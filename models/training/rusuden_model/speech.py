"""A sentence and a voice in, sound with the time of every phrase and phone out.

Open JTalk voices give exact times; espeak-ng gives only sound, as a stranger's accent.
Refuses to know: telephone lines, features.
"""

import io
import random
import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyopenjtalk
from scipy.signal import resample_poly

from .lexicon import Word
from .phones import is_pause, labels, number, phone_numbers, phone_of
from .vocoder import HOP, RATE, synthesise
from .voices import Voice, VoiceEngine

_EDGE = 0.04  # seconds of the synthesiser's silence kept at either end
_FRAMES_A_SECOND = RATE // HOP
_ESPEAK_VARIANTS = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5")


@dataclass(frozen=True)
class Phrase:
    """A stretch of written text and when it is heard."""

    shown: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """A spoken sentence. `phones` are (number, start, end); without times both are None."""

    sound: np.ndarray
    phrases: list[Phrase]
    phones: list[tuple[int, float | None, float | None]]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.sound) / RATE


def _level(sound: np.ndarray) -> np.ndarray | None:
    peak = np.abs(sound).max(initial=0)
    return sound / peak if np.isfinite(peak) and peak > 0 else None


def _phrases(word: Word, pauses: list[tuple[float, float]], end: float) -> list[Phrase]:
    """The sentence parted at its commas where the synthesiser paused at each of them, else whole."""
    parts = [part for part in word.shown.replace("、", "、\n").split("\n") if part]
    if len(parts) != len(pauses) + 1 or word.said.count("、") != len(pauses):
        return [Phrase(word.shown, _EDGE, end - _EDGE)]
    starts = [_EDGE, *(stop for _, stop in pauses)]
    ends = [*(start for start, _ in pauses), end - _EDGE]
    return [Phrase(part, start, stop) for part, start, stop in zip(parts, starts, ends, strict=True)]


class Speech:
    """Says sentences in any voice."""

    def __init__(self, work: Path):
        self._engine = VoiceEngine(work)

    def say(self, word: Word, voice: Voice, rng: np.random.Generator) -> Utterance | None:
        """None where the voice cannot say it."""
        lines = labels(word.said)
        generated = self._engine.generate(lines, voice)
        if generated is None:
            return None
        spectrum, pitch, durations = generated
        edges = np.concatenate([[0], np.cumsum(durations)])
        keep = int(_EDGE * _FRAMES_A_SECOND)
        first = max(0, int(edges[1]) - keep)
        last = min(len(pitch), int(edges[-2]) + keep)
        sound = _level(synthesise(spectrum, pitch, voice, rng)[first * HOP : last * HOP])
        if sound is None:
            return None
        times = (edges - first) / _FRAMES_A_SECOND
        phones = [
            (number(phone), float(times[at]), float(times[at + 1]))
            for at, phone in enumerate(map(phone_of, lines))
            if phone is not None
        ]
        pauses = [(float(times[at]), float(times[at + 1])) for at, line in enumerate(lines) if is_pause(line)]
        return Utterance(sound, _phrases(word, pauses, len(sound) / RATE), phones)


def say_with_espeak(word: Word, rng: random.Random) -> Utterance | None:
    """The sentence in one of espeak-ng's Japanese voices, phones without times."""
    kana = pyopenjtalk.g2p(word.said, kana=True)
    command = [
        "espeak-ng",
        f"-vja{rng.choice(_ESPEAK_VARIANTS)}",
        f"-s{rng.randint(110, 190)}",
        f"-p{rng.randint(20, 80)}",
        "--stdout",
        kana,
    ]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    with wave.open(io.BytesIO(spoken)) as reader:
        raw = np.frombuffer(reader.readframes(reader.getnframes()), np.int16).astype(np.float32)
        rate = reader.getframerate()
    if not len(raw):
        return None
    sound = resample_poly(raw, 320, 441).astype(np.float32) if rate == 22050 else resample_poly(raw, RATE, rate)
    loud = np.nonzero(np.abs(sound) > np.abs(sound).max() * 0.02)[0]
    if not len(loud):
        return None
    margin = int(_EDGE * RATE)
    sound = _level(sound[max(0, loud[0] - margin) : loud[-1] + margin])
    if sound is None:
        return None
    phrase = Phrase(word.shown, _EDGE, len(sound) / RATE - _EDGE)
    return Utterance(sound, [phrase], [(phone, None, None) for phone in phone_numbers(word.said)])
