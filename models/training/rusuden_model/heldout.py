"""The files of `heldout/` in, what training must never see out.

Refuses to know: how training text or voices are made.
"""

import json
import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .lexicon import Word

FOLDER = Path(__file__).resolve().parents[1] / "heldout"
_IGNORED = re.compile(r"[\s、。，．,.?!？！・「」『』ー〜~\-]")


def normalise(text: str) -> str:
    """Text as errors are counted: NFKC, no punctuation, no spaces."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", text))


def _rows(name: str) -> tuple[Word, ...]:
    path = FOLDER / name
    if not path.exists():
        return ()
    rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return tuple(Word(*(row.split("\t") * 2)[:2]) for row in rows)


@dataclass(frozen=True)
class HeldOut:
    """Names, sentences and voice settings kept for evaluation."""

    named: tuple[Word, ...] = field(default_factory=lambda: _rows("names.txt"))
    sentences: tuple[Word, ...] = field(default_factory=lambda: _rows("sentences.txt"))
    off_grammar: tuple[Word, ...] = field(default_factory=lambda: _rows("off_grammar.txt"))

    @cached_property
    def names(self) -> frozenset[str]:
        """Held-out surnames as written."""
        return frozenset(word.shown for word in self.named)

    @cached_property
    def _keys(self) -> frozenset[str]:
        # Set phrases of a few characters belong to everybody; what is kept are sentences.
        words = (*self.sentences, *self.off_grammar)
        return frozenset(key for key in (normalise(word.shown) for word in words) if len(key) >= MIN_KEPT)

    def holds(self, shown: str) -> bool:
        """Whether a sentence is one of those kept for evaluation."""
        return normalise(shown) in self._keys


MIN_KEPT = 8


def voices() -> list[dict[str, float]]:
    """The held-out voice settings."""
    return json.loads((FOLDER / "voices.json").read_text(encoding="utf-8"))
