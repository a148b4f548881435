"""Shards and sentences in, training batches out.

What varies from one look at a window to the next is decided here: masks, padding, the features'
floor, timestamps or none. Refuses to know: the network and its losses.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .features import FRAMES_A_SECOND, MELS
from .texts import Sentence, lay_out
from .vocabulary import Vocabulary

POSITIONS_A_SECOND = FRAMES_A_SECOND // 2
FULL_FRAMES = 3000
IGNORED = -100
_LONGEST_TARGET = 200
_FRAME_STEP = 64
_TOKEN_STEP = 8
_FEWEST_FRAMES = 40
_TIMESTAMP_SHARE = 0.25
_MASK_SHARE = 0.5


@dataclass(frozen=True)
class Item:
    """A window of a shard."""

    shard: int
    offset: int
    frames: int
    phrases: list[tuple[str, float, float]]
    phones: list[tuple[int, float | None, float | None]]


@dataclass(frozen=True)
class Batch:
    """Inputs and targets. `places` says where in the sound each target is heard, -1 where nowhere."""

    tokens: Tensor
    targets: Tensor
    places: Tensor
    features: Tensor | None = None
    lengths: Tensor | None = None
    phone_rows: list[list[int]] | None = None
    frame_phones: Tensor | None = None
    laid_out: Tensor | None = None


class Shards:
    """All finished shards of a folder; more may appear while training runs."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._maps: list[np.memmap] = []
        self._names: list[str] = []
        self.items: list[Item] = []

    def refresh(self, names: list[str] | None = None) -> list[str]:
        """Loads new shards: those named, or all there are. Returns the names of all loaded."""
        found = names if names is not None else sorted(path.stem for path in self._folder.glob("shard-*.jsonl"))
        for name in found:
            if name not in self._names:
                self._load(name)
        return self._names

    def _load(self, name: str) -> None:
        path = self._folder / name
        self._maps.append(np.memmap(path.with_suffix(".mel"), np.float16, "r").reshape(-1, MELS))
        self._names.append(name)
        for line in path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["frames"] >= _FEWEST_FRAMES:
                self.items.append(
                    Item(len(self._maps) - 1, row["offset"], row["frames"], row["phrases"], row["phones"])
                )

    def features(self, item: Item) -> np.ndarray:
        """(80, frames), a copy."""
        return self._maps[item.shard][item.offset : item.offset + item.frames].T.astype(np.float32)

    def epoch(self, rng: random.Random, frame_limit: int, size_limit: int) -> list[list[Item]]:
        """Every item once, in batches of one bucket each, in random order.

        Few distinct shapes, because CPU kernels are compiled anew for every shape.
        """
        buckets: dict[int, list[Item]] = {}
        for item in self.items:
            buckets.setdefault(bucket(item.frames), []).append(item)
        batches = []
        for frames, items in sorted(buckets.items()):
            size = max(1, min(size_limit, frame_limit // frames))
            rng.shuffle(items)
            batches += [items[start : start + size] for start in range(0, len(items), size)]
        rng.shuffle(batches)
        return batches


def bucket(frames: int) -> int:
    """The padded length of a window."""
    return min(FULL_FRAMES, -(-frames // _FRAME_STEP) * _FRAME_STEP)


class Targets:
    """Written text as token rows with the place where each is heard."""

    def __init__(self, vocabulary: Vocabulary):
        self._vocabulary = vocabulary

    def row(self, phrases: list[tuple[str, float, float]], *, timestamps: bool) -> tuple[list[int], list[float]]:
        """Tokens from start to end; places in encoder positions."""
        names = self._vocabulary
        row, places = [names.start, names.japanese, names.transcribe], [-1.0] * 3
        if not phrases:
            return [*row, names.first_timestamp if timestamps else names.no_timestamps, names.end], [-1.0] * 5
        if not timestamps:
            row.append(names.no_timestamps)
            places.append(-1.0)
        for text, start, end in phrases:
            tokens = names.encode(text)
            heard = [(start + (index + 0.5) / len(tokens) * (end - start)) for index in range(len(tokens))]
            if timestamps:
                tokens = [self._timestamp(start), *tokens, self._timestamp(end)]
                heard = [start, *heard, end]
            row += tokens
            places += [second * POSITIONS_A_SECOND for second in heard]
        row, places = row[:_LONGEST_TARGET], places[:_LONGEST_TARGET]
        return [*row, names.end], [*places, phrases[-1][2] * POSITIONS_A_SECOND]

    def _timestamp(self, second: float) -> int:
        return self._vocabulary.first_timestamp + min(1500, round(second / 0.02))

    def tensors(self, rows: list[tuple[list[int], list[float]]], silent: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs, targets and places of a batch."""
        names = self._vocabulary
        length = -(-(max(len(row) for row, _ in rows) - 1) // _TOKEN_STEP) * _TOKEN_STEP
        tokens = torch.full((len(rows), length), names.end)
        targets = torch.full((len(rows), length), IGNORED)
        places = torch.full((len(rows), length), -1.0)
        for index, ((row, heard), quiet) in enumerate(zip(rows, silent, strict=True)):
            here = len(row) - 1
            tokens[index, :here] = torch.tensor(row[:-1])
            target = torch.tensor(row[1:])
            target[0] = names.no_speech if quiet else names.japanese
            target[1] = IGNORED
            if row[3] == names.no_timestamps:
                target[2] = IGNORED
            targets[index, :here] = target
            places[index, :here] = torch.tensor(heard[1:])
        return tokens, targets, places


def _mask(features: np.ndarray, floor: float, rng: random.Random) -> None:
    frames = features.shape[1]
    for _ in range(2):
        width, start = rng.randint(0, 10), rng.randint(0, MELS - 10)
        features[start : start + width] = floor if rng.random() < 0.5 else features.mean()
        width = rng.randint(0, min(20, frames // 10))
        start = rng.randint(0, frames - width)
        features[:, start : start + width] = floor


def _frame_phones(item: Item, positions: int) -> np.ndarray:
    """The phone of every position; ignored throughout where times are unknown."""
    row = np.full(positions, IGNORED)
    if item.phones and item.phones[0][1] is None:
        return row
    row[: item.frames // 2] = 0
    for phone, start, end in item.phones:
        first = max(0, round(start * POSITIONS_A_SECOND - 0.5))
        row[first : min(item.frames // 2, round(end * POSITIONS_A_SECOND - 0.5))] = phone
    return row


class Batches:
    """Makes batches; one random source decides everything."""

    def __init__(self, shards: Shards, vocabulary: Vocabulary, seed: int):
        self._shards = shards
        self._targets = Targets(vocabulary)
        self._rng = random.Random(seed)
        self._source = np.random.default_rng(seed)

    def _padded(self, item: Item, frames: int, *, vary: bool) -> np.ndarray:
        rng = self._rng
        features = self._shards.features(item)
        floor = float(features.max()) - 2
        fill = floor
        if vary and rng.random() < 0.3:
            lifted = max(-1.5, floor + rng.uniform(-1, 0.2))
            features[features <= floor + 2e-3] = lifted
            fill = lifted
        if vary and rng.random() < 0.35:
            fill = rng.choice((0.0, rng.uniform(-1.5, 0.2)))
        if vary and rng.random() < _MASK_SHARE:
            _mask(features, floor, rng)
        padded = np.full((MELS, frames), fill, np.float32)
        padded[:, : features.shape[1]] = features
        return padded

    def heard(self, items: list[Item], *, full: bool = False, vary: bool = True) -> Batch:
        """A batch of sound; `full` pads to Whisper's 30 s."""
        rng = self._rng
        extra = _FRAME_STEP * rng.choice((0, 0, 0, 0, 0, 1, 3)) if vary else 0
        frames = FULL_FRAMES if full else bucket(max(item.frames for item in items) + extra)
        rows = [self._targets.row(item.phrases, timestamps=vary and rng.random() < _TIMESTAMP_SHARE) for item in items]
        tokens, targets, places = self._targets.tensors(rows, [not item.phrases for item in items])
        return Batch(
            tokens=tokens,
            targets=targets,
            places=places,
            features=torch.from_numpy(np.stack([self._padded(item, frames, vary=vary) for item in items])),
            lengths=torch.tensor([item.frames // 2 for item in items]),
            phone_rows=[[phone for phone, _, _ in item.phones] for item in items],
            frame_phones=torch.from_numpy(np.stack([_frame_phones(item, frames // 2) for item in items])),
        )

    def read(self, sentences: list[Sentence]) -> Batch:
        """A batch of sentences without sound."""
        laid = [lay_out(sentence, self._source) for sentence in sentences]
        positions = bucket(2 * max(len(row) for row, _, _ in laid)) // 2
        phones = np.zeros((len(laid), positions), np.int64)
        rows = []
        for index, (sentence, (row, start, end)) in enumerate(zip(sentences, laid, strict=True)):
            phones[index, : len(row)] = row
            spoken = (sentence.shown, start / POSITIONS_A_SECOND, end / POSITIONS_A_SECOND)
            rows.append(self._targets.row([spoken], timestamps=self._rng.random() < _TIMESTAMP_SHARE))
        tokens, targets, places = self._targets.tensors(rows, [False] * len(rows))
        return Batch(tokens=tokens, targets=targets, places=places, laid_out=torch.from_numpy(phones))
