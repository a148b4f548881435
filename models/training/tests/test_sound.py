"""Speech, lines and features behave as the rest relies on."""

import random

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from rusuden_model.corpus import cut_at_pauses, join
from rusuden_model.features import log_mel
from rusuden_model.lexicon import Word
from rusuden_model.speakers import held_out_voices
from rusuden_model.speech import Speech, say_with_espeak
from rusuden_model.telephone import Line, call, lose_packets
from rusuden_model.vocoder import RATE


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    speech = Speech(tmp_path_factory.mktemp("lib"))
    word = Word("もしもし、佐藤です。", "もしもし、佐藤です。")
    return speech.say(word, held_out_voices()[0], np.random.default_rng(1))


def test_features_equal_those_of_faster_whisper(said):
    theirs = FeatureExtractor()(said.sound, padding=0).T
    ours = log_mel(said.sound)
    assert np.abs(ours - theirs[: len(ours)]).max() < 1e-4


def test_a_sentence_is_parted_at_its_pauses(said):
    assert [phrase.shown for phrase in said.phrases] == ["もしもし、", "佐藤です。"]
    assert said.phrases[0].end < said.phrases[1].start
    first, second = cut_at_pauses(said, 0.1)
    assert first.phrases[0].shown == "もしもし、"
    assert len(first.phones) + len(second.phones) == len(said.phones)
    assert abs(first.seconds + second.seconds - said.seconds) < 0.01


def test_phones_lie_within_the_sound_in_order(said):
    starts = [start for _, start, _ in said.phones]
    assert starts == sorted(starts)
    assert starts[0] >= 0 and said.phones[-1][2] <= said.seconds + 0.05


def test_joined_utterances_keep_their_times(said):
    window = join([said, said], [0.5, 0.25, 0.1])
    assert window.phrases[1].start == pytest.approx(0.75 + said.seconds + said.phrases[0].start, abs=0.01)
    assert len(window.sound) % 320 == 0


@pytest.mark.parametrize("codec", ["mu-law", "a-law", "g722", "opus-narrow", "opus-wide", "none"])
def test_every_codec_keeps_length_and_likeness(said, codec):
    heard = call(said.sound, Line(codec=codec), random.Random(1), np.random.default_rng(1))
    assert len(heard) == len(said.sound)
    lag = np.correlate(heard, said.sound[300:-300], "valid")
    likeness = lag.max() / np.linalg.norm(heard) / np.linalg.norm(said.sound)
    assert likeness > 0.6


def test_lost_packets_are_as_many_as_asked_for():
    sound = np.ones(RATE * 200, np.float32)
    heard = lose_packets(sound, 0.05, 1.5, RATE, np.random.default_rng(1))
    packets = heard.reshape(-1, RATE // 50)
    assert 0.03 < float((packets[:, 0] < 1).mean()) < 0.07


def test_espeak_speaks_without_times():
    said = say_with_espeak(Word("お電話ください。", "お電話ください。"), random.Random(1))
    assert said.seconds > 0.5
    assert said.phones and said.phones[0][1] is None
