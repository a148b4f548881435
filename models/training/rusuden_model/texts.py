"""A seed in, a pool of sentences with their phones out, for training the decoder without sound.

One line a sentence: the written text, then phone numbers with -1 where the speaker pauses.
Refuses to know: how long phones last.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .grammar import Grammar
from .heldout import HeldOut
from .phones import is_pause, labels, number, phone_of

PAUSE = -1
_SEED = 90_000
# Mean positions of 20 ms by phone class; what matters is that no two sentences keep the same pace.
_VOWELS = frozenset(number(phone) for phone in ("a", "i", "u", "e", "o", "N"))
_LONG = frozenset(number(phone) for phone in ("cl", "s", "sh", "ch", "ts", "h", "k", "t"))


@dataclass(frozen=True)
class Sentence:
    """Written text and the phones it is said with."""

    shown: str
    phones: list[int]


def phones_with_pauses(said: str) -> list[int]:
    """Phone numbers of a sentence, `PAUSE` between phrases."""
    found = []
    for label in labels(said):
        phone = phone_of(label)
        if phone is not None:
            found.append(number(phone))
        elif is_pause(label):
            found.append(PAUSE)
    return found


def lay_out(sentence: Sentence, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
    """A phone number for every 20 ms, and where the speech starts and ends."""
    pace = rng.uniform(0.75, 1.3)
    before, after = rng.integers(3, 30, 2)
    pieces = [np.zeros(before, np.int64)]
    for phone in sentence.phones:
        if phone == PAUSE:
            pieces.append(np.zeros(rng.integers(5, 30), np.int64))
            continue
        mean = 3.9 if phone in _VOWELS else 3.4 if phone in _LONG else 2.5
        length = max(1, int(mean * pace * rng.lognormal(0, 0.3) + rng.random()))
        shown = rng.integers(1, 41) if rng.random() < 0.02 else phone
        pieces.append(np.full(length, shown, np.int64))
    laid = np.concatenate([*pieces, np.zeros(after, np.int64)])
    return laid, int(before), len(laid) - int(after)


def load(path: Path) -> list[Sentence]:
    """The pool."""
    with path.open(encoding="utf-8") as lines:
        return [Sentence(*json.loads(line)) for line in lines]


def main() -> None:
    """Writes the pool unless it is there."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40_000)
    arguments = parser.parse_args()
    if arguments.out.exists():
        return
    grammar = Grammar(_SEED, HeldOut())
    partial = arguments.out.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as sink:
        for done in range(arguments.count):
            word = grammar.sentence()
            sink.write(json.dumps([word.shown, phones_with_pauses(word.said)], ensure_ascii=False) + "\n")
            if done % 5000 == 0:
                print(f"{done} of {arguments.count} sentences", flush=True)
    partial.rename(arguments.out)


if __name__ == "__main__":
    main()
