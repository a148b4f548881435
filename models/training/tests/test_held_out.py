"""What evaluation uses never enters training."""

import random

from rusuden_model.grammar import Grammar
from rusuden_model.heldout import HeldOut, normalise
from rusuden_model.lexicon import surnames
from rusuden_model.speakers import held_out_voices, is_held_out, training_voice

_DRAWS = 20_000


def test_training_text_never_holds_a_held_out_sentence():
    held = {normalise(word.shown) for word in (*HeldOut().sentences, *HeldOut().off_grammar)}
    grammar = Grammar(5, HeldOut())
    drawn = {normalise(grammar.sentence().shown) for _ in range(_DRAWS)}
    drawn |= {normalise(sentence.shown) for _ in range(_DRAWS // 10) for sentence in grammar.message()}
    assert {text for text in held & drawn if len(text) >= 8} == set()


def test_training_surnames_are_not_the_held_out_ones():
    held = HeldOut().names
    known, pairs = surnames(held)
    assert len(held) == 20
    assert len(known) + len(pairs) > 5000
    assert held.isdisjoint(word.shown for word in (*known, *pairs))


def test_held_out_files_are_as_large_as_promised():
    assert len(HeldOut().sentences) == 250
    assert len(HeldOut().off_grammar) == 100
    assert len({word.shown for word in HeldOut().off_grammar}) == 100


def test_no_training_voice_is_a_held_out_voice():
    rng = random.Random(3)
    assert all(is_held_out(voice) for voice in held_out_voices())
    assert not any(is_held_out(training_voice(rng)) for _ in range(2000))


def test_the_same_seed_draws_the_same_text():
    first, second = Grammar(9, HeldOut()), Grammar(9, HeldOut())
    assert [first.sentence() for _ in range(50)] == [second.sentence() for _ in range(50)]
