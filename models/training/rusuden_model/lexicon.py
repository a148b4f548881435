"""The word lists of `lexicon/` in, typed collections out.

Refuses to know: how words become sentences.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "lexicon"


@dataclass(frozen=True)
class Word:
    """What a reader sees and what the synthesiser is told to say."""

    shown: str
    said: str


@dataclass(frozen=True)
class Verb:
    """A verb with the particle before it and the kind of noun that goes there."""

    plain: str
    group: str
    particle: str
    kind: str


def _lines(name: str) -> list[str]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


@cache
def words(name: str) -> tuple[Word, ...]:
    """A list with one entry a line: the word, then its reading where it is needed."""
    found = {}
    for line in _lines(f"{name}.txt"):
        shown, _, said = line.partition(" ")
        found.setdefault(shown, Word(shown, said or shown))
    return tuple(found.values())


@cache
def bag(name: str) -> tuple[Word, ...]:
    """A list parted by spaces, read as it is written."""
    return tuple(Word(token, token) for token in dict.fromkeys(" ".join(_lines(f"{name}.txt")).split()))


@cache
def templates() -> dict[str, tuple[str, ...]]:
    """Sentence templates by group."""
    groups: dict[str, list[str]] = {}
    for line in _lines("templates.txt"):
        if line.startswith("["):
            groups[line.strip("[]")] = current = []
        else:
            current.append(line)
    return {name: tuple(dict.fromkeys(lines)) for name, lines in groups.items()}


@cache
def sentences(name: str) -> tuple[Word, ...]:
    """A list with one sentence a line, read as it is written."""
    return tuple(Word(line, line) for line in _lines(f"{name}.txt"))


@cache
def forms(name: str) -> tuple[tuple[str, str], ...]:
    """A list of verb forms, each with what follows it."""
    return tuple((line.split(" ")[0], line.split(" ")[1]) for line in _lines(f"{name}.txt"))


@cache
def verbs() -> tuple[Verb, ...]:
    """The verbs of the free sentences."""
    return tuple(Verb(*line.split()) for line in _lines("verbs.txt"))


def _split_part(part: str) -> Word:
    kana = next(index for index, letter in enumerate(part) if "\u3041" <= letter <= "\u3096")
    return Word(part[:kana], part[kana:])


@cache
def surnames(held_out: frozenset[str]) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """Known surnames and made-up pairs of parts, both without the held-out ones."""
    known = tuple(word for word in words("surnames") if word.shown not in held_out)
    parts = {line.split()[0]: [_split_part(part) for part in line.split()[1:]] for line in _lines("surname_parts.txt")}
    seen = {word.shown for word in known} | held_out
    pairs = []
    for first, second in product(parts["first"], parts["second"]):
        name = first.shown + second.shown
        if first.shown != second.shown and name not in seen:
            seen.add(name)
            pairs.append(Word(name, first.said + second.said))
    return known, tuple(pairs)
