"""A random source in, free sentences out: somebody does something, and perhaps something else.

Nouns, particles and conjugated verbs are put together by rule, so nearly every sentence is new.
Refuses to know: what is usual in a voicemail.
"""

import random
from collections.abc import Callable

from .conjugation import conjugate
from .lexicon import Verb, Word, bag, forms, verbs, words

_PERSON_TAILS = ("さん", "さん", "様", "部長", "先生", "くん", "ちゃん")
_OWNERS = ("n", "rel", "p", "w", "c", "dt", "i")
_DOING_SHARE = 0.3
_COMPOUND_SHARE = 0.4


def plain(text: str) -> Word:
    """A word said as it is written."""
    return Word(text, text)


def joined(parts: list[Word], link: str = "") -> Word:
    """Words in a row."""
    return Word(link.join(part.shown for part in parts), link.join(part.said for part in parts))


class Clauses:
    """Free sentences; `slot` gives names, dates and the like by their short name."""

    def __init__(self, rng: random.Random, slot: Callable[[str], Word]):
        self._rng = rng
        self._slot = slot
        self._nouns = {"t": bag("things"), "m": bag("matters"), "p": words("places")}

    def sentence(self) -> Word:
        """One clause, or two."""
        parts = []
        if self._rng.random() < _COMPOUND_SHARE:
            parts.append(self._clause(forms("links")))
        return joined([*parts, self._clause(forms("endings"))])

    def _verb(self) -> Verb:
        if self._rng.random() < _DOING_SHARE:
            return Verb(self._rng.choice(bag("doings")).shown, "s", "を", self._rng.choice("tm"))
        return self._rng.choice(verbs())

    def _noun(self, kind: str) -> Word:
        rng = self._rng
        if kind == "h":
            noun = joined([self._slot("n"), plain(rng.choice(_PERSON_TAILS))])
        else:
            noun = rng.choice(self._nouns[kind] if rng.random() < 0.75 else bag("general_words"))
        choice = rng.random()
        if choice < 0.2:
            return joined([rng.choice(bag("adjectives")), noun])
        if choice < 0.35:
            return joined([self._slot(rng.choice(_OWNERS)), noun], "の")
        return noun

    def _clause(self, tails: tuple[tuple[str, str], ...]) -> Word:
        rng = self._rng
        verb = self._verb()
        parts: list[Word] = []
        if rng.random() < 0.3:
            parts += [
                self._slot(rng.choice(("dt", "dt", "t"))),
                plain(rng.choice(("に", "は", "、", "までに", "から"))),
            ]
        if rng.random() < 0.3:
            subject = self._noun("h") if rng.random() < 0.6 else self._slot("rel")
            parts += [subject, plain(rng.choice(("が", "は", "も", "と")))]
        if rng.random() < 0.25:
            parts.append(rng.choice(bag("adverbs")))
        if verb.kind != "-":
            parts += [self._noun(verb.kind), plain(verb.particle)]
        form, tail = rng.choice(tails)
        return joined([*parts, plain(conjugate(verb.plain, verb.group, form) + tail)])
