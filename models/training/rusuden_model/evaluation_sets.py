"""The held-out files in, the windows that every evaluation hears out: the same ones each time.

Refuses to know: models, scores.
"""

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from .corpus import Window, join
from .heldout import HeldOut
from .lexicon import Word
from .noises import not_speech
from .speakers import held_out_voices
from .speech import Phrase, Speech
from .telephone import CLEAN, LOSSY, NOISY, OPUS, Line, call
from .vocoder import RATE

_SEED = 4242
_MARGIN = 0.3  # seconds of quiet the engine leaves around speech
CONDITIONS: dict[str, Line] = {
    "G.711": CLEAN,
    "G.711, 15 dB": NOISY,
    "G.711, 3 % loss": LOSSY,
    "Opus": OPUS,
}


@dataclass(frozen=True)
class Clip:
    """Sound and what was said in it."""

    shown: str
    sound: np.ndarray

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.sound) / RATE


@cache
def _spoken(work: Path, rows: tuple[Word, ...]) -> tuple[Window, ...]:
    """Each row in the next of the held-out voices that can say it."""
    speech, voices = Speech(work), held_out_voices()
    source = np.random.default_rng(_SEED)
    windows = []
    for index, word in enumerate(rows):
        for attempt in range(len(voices)):
            utterance = speech.say(word, voices[(index + attempt) % len(voices)], source)
            if utterance is not None:
                windows.append(replace(join([utterance], [_MARGIN, _MARGIN]), phrases=[_whole(word)]))
                break
        else:
            raise RuntimeError(f"no held-out voice can say {word.shown}")
    return tuple(windows)


def _whole(word: Word) -> Phrase:
    return Phrase(word.shown, 0.0, 0.0)


def _through(windows: tuple[Window, ...], line: Line) -> list[Clip]:
    rng, source = random.Random(_SEED), np.random.default_rng(_SEED)
    return [Clip(window.phrases[0].shown, call(window.sound, line, rng, source)) for window in windows]


def sentences(work: Path, condition: str, limit: int | None = None) -> list[Clip]:
    """The held-out sentences on one kind of line."""
    return _through(_spoken(work, HeldOut().sentences[:limit]), CONDITIONS[condition])


def off_grammar(work: Path, limit: int | None = None) -> list[Clip]:
    """Sentences written by hand, on a clean line."""
    return _through(_spoken(work, HeldOut().off_grammar[:limit]), CONDITIONS["G.711"])


def quiet(count: int = 500) -> list[Clip]:
    """Clips in which nobody speaks, 1 to 10 s."""
    rng, source = random.Random(_SEED + 1), np.random.default_rng(_SEED + 1)
    clips = []
    for _ in range(count):
        sound = not_speech(int(rng.uniform(1, 10) * RATE), rng, source) * 10 ** (rng.uniform(-35, 0) / 20)
        clips.append(Clip("", call(sound, Line(level_db=None), rng, source)))
    return clips
