"""Seeds in, shards of training windows out: features, text with times, phones with times.

A shard is a pair of files, `NAME.mel` (16-bit floats, 80 a frame) and `NAME.jsonl` (one window a
line); the second appears only when both are whole, so a run may be killed at any time.
Windows last 1 to about 7 seconds and are cut at pauses, as the engine cuts calls.
"""

import argparse
import json
import random
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from .features import log_mel
from .grammar import Grammar
from .heldout import HeldOut
from .lexicon import Word
from .noises import not_speech, tone
from .speakers import training_voice
from .speech import Phrase, Speech, Utterance, say_with_espeak
from .telephone import Line, call, training_line
from .vocoder import RATE

WINDOW_SECONDS = 6.5
LONGEST_SECONDS = 12.0
_GRID = 320  # samples of one encoder position
_SILENT_SHARE = 0.06
_ESPEAK_SHARE = 0.12
_VIEWS = 2  # telephone lines each spoken window goes through


@dataclass(frozen=True)
class Window:
    """Sound with what is said in it; no phrases where nobody speaks."""

    sound: np.ndarray
    phrases: list[Phrase]
    phones: list[tuple[int, float | None, float | None]]


def _shift(utterance: Utterance, by: float) -> tuple[list[Phrase], list[tuple[int, float | None, float | None]]]:
    phrases = [Phrase(phrase.shown, phrase.start + by, phrase.end + by) for phrase in utterance.phrases]
    phones = [(phone, a if a is None else a + by, b if b is None else b + by) for phone, a, b in utterance.phones]
    return phrases, phones


def join(utterances: list[Utterance], gaps: list[float]) -> Window:
    """Utterances in a row; gaps[0] before the first, one after each."""
    pieces = [np.zeros(int(gaps[0] * RATE), np.float32)]
    phrases, phones, at = [], [], len(pieces[0])
    for utterance, gap in zip(utterances, gaps[1:], strict=True):
        said, heard = _shift(utterance, at / RATE)
        phrases.append(Phrase("".join(phrase.shown for phrase in said), said[0].start, said[-1].end))
        phones += heard
        pieces += [utterance.sound, np.zeros(int(gap * RATE), np.float32)]
        at += len(pieces[-2]) + len(pieces[-1])
    sound = np.concatenate(pieces)
    return Window(np.pad(sound, (0, -len(sound) % _GRID)), phrases, phones)


def cut_at_pauses(utterance: Utterance, limit: float) -> list[Utterance]:
    """The utterance in pieces of whole phrases, each at most `limit` seconds where its pauses allow."""
    groups: list[list[Phrase]] = [[utterance.phrases[0]]]
    for phrase in utterance.phrases[1:]:
        if phrase.end - groups[-1][0].start > limit:
            groups.append([])
        groups[-1].append(phrase)
    if len(groups) == 1:
        return [utterance]
    edges = [0.0, *((a[-1].end + b[0].start) / 2 for a, b in pairwise(groups)), utterance.seconds]
    pieces = []
    for group, start, end in zip(groups, edges, edges[1:], strict=False):
        phrases = [Phrase(phrase.shown, phrase.start - start, phrase.end - start) for phrase in group]
        inside = [(p, a - start, b - start) for p, a, b in utterance.phones if a is not None and start <= a < end]
        pieces.append(Utterance(utterance.sound[int(start * RATE) : int(end * RATE)], phrases, inside))
    return pieces


class WindowMaker:
    """Draws spoken and silent windows, the same for the same seed."""

    def __init__(self, seed: int, work: Path):
        self._rng = random.Random(seed)
        self._source = np.random.default_rng(seed)
        self._grammar = Grammar(seed, HeldOut())
        self._speech = Speech(work)

    def _gap(self) -> float:
        return self._rng.choice((self._rng.uniform(0, 0.15), self._rng.uniform(0.1, 0.6)))

    def _group(self, pieces: list[Utterance], pause: float) -> list[Window]:
        """Pieces packed into windows, now and then alone."""
        windows, pack, gaps, length = [], [], [self._gap()], 0.0
        for piece in pieces:
            if pack and (length + piece.seconds > WINDOW_SECONDS or self._rng.random() < 0.25):
                windows.append(join(pack, gaps))
                pack, gaps, length = [], [self._gap()], 0.0
            gap = self._rng.uniform(0.4, 1.6) * pause
            pack.append(piece)
            gaps.append(gap)
            length += piece.seconds + gap
        gaps[-1] = self._gap()
        return [*windows, join(pack, gaps)]

    def spoken(self) -> list[Window]:
        """The windows of one sentence or one message, said by one voice."""
        rng = self._rng
        words = self._grammar.message() if rng.random() < 0.25 else [self._grammar.sentence()]
        voice = training_voice(rng)
        strange = rng.random() < _ESPEAK_SHARE
        pieces: list[Utterance] = []
        for word in words:
            said = self._say_strangely(word) if strange else self._speech.say(word, voice, self._source)
            if said is not None and said.seconds < LONGEST_SECONDS:
                limit = WINDOW_SECONDS if rng.random() < 0.75 else rng.uniform(1, WINDOW_SECONDS)
                pieces += cut_at_pauses(said, limit)
        windows = self._group(pieces, voice.pause) if pieces else []
        return [window for window in windows if len(window.sound) <= LONGEST_SECONDS * RATE]

    def _say_strangely(self, word: Word) -> Utterance | None:
        return say_with_espeak(word, self._rng)

    def silent(self) -> Window:
        """A window in which nobody speaks."""
        count = int(self._rng.uniform(1, 9) * RATE / _GRID) * _GRID
        return Window(not_speech(count, self._rng, self._source), [], [])

    def through_a_line(self, window: Window) -> np.ndarray:
        """The window as one call's far end hears it."""
        rng = self._rng
        if not window.phrases:
            gain = 10 ** (rng.uniform(-35, 0) / 20)
            return call(window.sound * gain, _as_it_is(rng), rng, self._source)
        sound = window.sound
        if rng.random() < 0.06 and window.phrases[0].start > 0.25:
            beep = tone(int((window.phrases[0].start - 0.1) * RATE), rng) * rng.uniform(0.05, 0.5)
            sound = sound.copy()
            sound[: len(beep)] += beep
        return call(sound, training_line(rng), rng, self._source)

    def draw(self) -> list[tuple[Window, np.ndarray]]:
        """Some windows with the sound of each."""
        if self._rng.random() < _SILENT_SHARE:
            window = self.silent()
            return [(window, self.through_a_line(window))]
        return [(window, self.through_a_line(window)) for window in self.spoken() for _ in range(_VIEWS)]


def _as_it_is(rng: random.Random) -> Line:
    """A line that keeps the level of what comes in."""
    line = training_line(rng)
    return Line(codec=line.codec, level_db=None, low_cut=line.low_cut, high_cut=line.high_cut, loss=line.loss)


def describe(window: Window, offset: int, frames: int) -> dict:
    """One line of a shard's second file."""
    return {
        "offset": offset,
        "frames": frames,
        "phrases": [[phrase.shown, round(phrase.start, 2), round(phrase.end, 2)] for phrase in window.phrases],
        "phones": [[p, a if a is None else round(a, 3), b if b is None else round(b, 3)] for p, a, b in window.phones],
    }


def write_shard(folder: Path, seed: int, count: int) -> None:
    """Makes one shard of at least `count` windows unless it is there."""
    name = folder / f"shard-{seed:05d}"
    if name.with_suffix(".jsonl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    maker = WindowMaker(seed, folder.parent / "lib")
    rows, offset = [], 0
    with name.with_suffix(".partial").open("wb") as features:
        while len(rows) < count:
            for window, sound in maker.draw():
                mel = log_mel(sound).astype(np.float16)
                features.write(mel.tobytes())
                rows.append(describe(window, offset, len(mel)))
                offset += len(mel)
    name.with_suffix(".partial").rename(name.with_suffix(".mel"))
    listing = name.with_suffix(".listing")
    listing.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    listing.rename(name.with_suffix(".jsonl"))


def main() -> None:
    """Makes shards `first`, `first + step`, … until there are `shards` of them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    arguments = parser.parse_args()
    for seed in range(arguments.first, arguments.shards, arguments.step):
        started = time.time()
        write_shard(arguments.folder, seed, arguments.windows)
        print(f"shard {seed}: {arguments.windows} windows in {time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
