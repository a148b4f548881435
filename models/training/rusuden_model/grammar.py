"""A seed in, Japanese voicemail sentences out: as shown to a reader and as told to the synthesiser.

Three sources are mixed: templates of calls, free sentences built from nouns, particles and
conjugated verbs, and runs of words, names and numbers without sense, which keep a decoder from
reciting. Held-out names and sentences never come out. Refuses to know: sound.
"""

import random
import re
from collections.abc import Callable

from . import numbers
from .clauses import Clauses, joined, plain
from .heldout import HeldOut
from .lexicon import Word, bag, sentences, surnames, templates, words

_SLOT = re.compile(r"\{([a-z]+)\d?\}")


class Grammar:
    """An endless source of sentences; the same seed gives the same sentences."""

    def __init__(self, seed: int, held_out: HeldOut, *, use_held_out_names: bool = False):
        self._rng = random.Random(seed)
        self._held_out = held_out
        self._known, self._pairs = surnames(held_out.names)
        self._held_names = held_out.named if use_held_out_names else ()
        self._templates = templates()
        self._slots = self._slot_table()
        self._clauses = Clauses(self._rng, lambda name: self._slots[name]())

    def _slot_table(self) -> dict[str, Callable[[], Word]]:
        rng = self._rng
        pick = rng.choice
        return {
            "n": self.surname,
            "g": lambda: pick(words("given")),
            "c": self.company,
            "d": lambda: pick(words("departments")),
            "ti": lambda: pick(words("titles")),
            "p": lambda: pick(words("places")),
            "rel": lambda: pick(words("relatives")),
            "m": lambda: pick(bag("matters")),
            "i": lambda: pick(bag("things")),
            "w": lambda: pick(bag("general_words")),
            "dv": lambda: pick(bag("doings")),
            "dt": lambda: numbers.day(rng),
            "t": lambda: numbers.clock(rng),
            "ph": lambda: numbers.telephone(rng),
            "y": lambda: numbers.amount(rng),
            "q": lambda: numbers.count(rng),
            "qp": lambda: numbers.people(rng),
            "k": lambda: numbers.code(rng, pick((4, 5, 6, 6, 7, 8))),
            "pin": lambda: numbers.code(rng, 4),
            "room": lambda: numbers.code(rng, 3),
            "zip": lambda: numbers.postcode(rng),
            "mi": lambda: numbers.minutes(rng),
            "te": lambda: numbers.temperature(rng),
        }

    def surname(self) -> Word:
        """A surname: mostly a known one, often a made-up pair, a held-out one only where asked for."""
        if self._held_names and self._rng.random() < 0.5:
            return self._rng.choice(self._held_names)
        return self._rng.choice(self._known if self._rng.random() < 0.6 else self._pairs)

    def company(self) -> Word:
        """The name of a company, shop, school or surgery."""
        head = self.surname() if self._rng.random() < 0.2 else self._rng.choice(words("company_heads"))
        if self._rng.random() < 0.15:
            head = self._rng.choice(words("places"))
        tail = self._rng.choice(words("company_tails"))
        return Word(head.shown + tail.shown, head.said + tail.said)

    def fill(self, template: str) -> Word:
        """A template with every slot filled."""
        shown, said, end = [], [], 0
        for match in _SLOT.finditer(template):
            word = self._slots[match[1]]()
            between = template[end : match.start()]
            shown += [between, word.shown]
            said += [between, word.said]
            end = match.end()
        return Word("".join([*shown, template[end:]]), "".join([*said, template[end:]]))

    def from_group(self, group: str) -> Word:
        """A sentence of one group of templates."""
        return self.fill(self._rng.choice(self._templates[group]))

    def free(self) -> Word:
        """A sentence that no template holds."""
        return self._clauses.sentence()

    def babble(self) -> Word:
        """Words, names and numbers in a row: nothing to guess from, only to hear."""
        rng = self._rng
        kinds = ("w", "w", "w", "i", "m", "n", "n", "p", "g", "dt", "t", "c", "dv", "y", "k", "q", "ph", "ti", "rel")
        items = [self._slots[rng.choice(kinds)]() for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))]
        link = rng.choice(("、", "と", "の", "、"))
        tail = rng.choice(("。", "。", "です。", "ですか。", "ですね。", "でした。", "だよ。", "をお願いします。"))
        return joined([joined(items, link), plain(tail)])

    def sentence(self) -> Word:
        """One sentence of any source; held-out sentences are drawn again."""
        while True:
            word = self._any_sentence()
            if not self._held_out.holds(word.shown):
                return word

    def _any_sentence(self) -> Word:
        rng = self._rng
        choice = rng.random()
        if choice < 0.4:
            group = rng.choice(
                ("body",) * 8 + ("introduction",) * 4 + ("return",) * 3 + ("greeting", "apology", "closing")
            )
            word = self.from_group(group)
        elif choice < 0.43:
            word = rng.choice(sentences("general_sentences"))
        elif choice < 0.78:
            word = self.free()
        else:
            word = self.babble()
        if rng.random() < 0.08:
            word = joined([rng.choice(bag("fillers")), word])
        return word

    def message(self) -> list[Word]:
        """A whole message as a caller leaves it."""
        rng = self._rng
        groups = ["greeting"] * (rng.random() < 0.6) + ["introduction"] * (rng.random() < 0.75)
        groups += ["body"] * rng.choice((1, 1, 1, 2, 2)) + ["apology"] * (rng.random() < 0.12)
        groups += ["return"] * (rng.random() < 0.55) + ["closing"] * (rng.random() < 0.5)
        sentences = [
            self.free() if group == "body" and rng.random() < 0.2 else self.from_group(group) for group in groups
        ]
        return [sentence for sentence in sentences if not self._held_out.holds(sentence.shown)]
