"""Batches, vocabulary and weights fit each other."""

import json

import numpy as np
import pytest
import torch

from rusuden_model.batches import IGNORED, Batches, Shards, Targets, bucket
from rusuden_model.conjugation import conjugate
from rusuden_model.corpus import write_shard
from rusuden_model.export import export
from rusuden_model.initial import start_from
from rusuden_model.losses import Weights, heard_losses, read_losses, total
from rusuden_model.network import Shape, Trainee
from rusuden_model.texts import Sentence
from rusuden_model.vocabulary import Vocabulary, build

_WIDTH = 64


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
    path.write_text(json.dumps(build(), ensure_ascii=False), encoding="utf-8")
    return Vocabulary(path), path


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "data"
    write_shard(folder, 3, 12)
    loaded = Shards(folder)
    loaded.refresh()
    return loaded


def _trainee(vocabulary):
    torch.manual_seed(1)
    return Trainee(Shape(vocabulary.size, width=_WIDTH, encoder_layers=1, decoder_layers=2))


def test_text_survives_the_vocabulary(vocabulary):
    names, _ = vocabulary
    for text in ("お電話は090-1234-5678です。", "鬱蒼 A", "午後3時半？"):
        assert names.decode(names.encode(text)) == text
    assert len(names.encode("折り返し")) == 4


def test_special_tokens_lie_where_whisper_has_them(vocabulary):
    names, _ = vocabulary
    tokens = names.tokens()
    assert tokens[names.end - 1] == ""
    assert names.no_speech - names.start - 5 == 2
    assert names.first_timestamp == names.no_timestamps + 1
    assert tokens[-1] == "<|30.00|>"


def test_silence_asks_for_no_speech_and_an_end(vocabulary):
    names, _ = vocabulary
    targets = Targets(names)
    _, wanted, places = targets.tensors([targets.row([], timestamps=False)], [True])
    assert wanted[0, 0] == names.no_speech
    assert wanted[0, 3] == names.end
    assert (wanted[0, 4:] == IGNORED).all() and (places < 0).all()


def test_tokens_are_heard_inside_their_phrase(vocabulary):
    names, _ = vocabulary
    row, places = Targets(names).row([("佐藤です。", 1.0, 2.0)], timestamps=True)
    heard = [place for place in places if place >= 0]
    assert len(row) == len(places)
    assert heard == sorted(heard) and heard[0] == 50 and heard[-1] == 100


def test_lengths_fall_into_few_buckets():
    assert bucket(64) == 64
    assert bucket(65) == 128
    assert bucket(5000) == 3000


def test_both_kinds_of_batches_give_finite_losses_and_gradients(vocabulary, shards):
    names, _ = vocabulary
    trainee, batches = _trainee(names), Batches(shards, names, 1)
    losses = heard_losses(trainee, batches.heard(shards.items[:6]))
    losses |= read_losses(trainee, batches.read([Sentence("佐藤です。", [33, 1, -1, 34])]), 1.0)
    total(losses, Weights()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert trainee.model.encoder.conv1.weight.grad.abs().sum() > 0


def test_a_batch_of_silence_alone_is_no_trouble(vocabulary, shards):
    names, _ = vocabulary
    quiet = [item for item in shards.items if not item.phrases] or [
        type(shards.items[0])(0, 0, shards.items[0].frames, [], [])
    ]
    losses = heard_losses(_trainee(names), Batches(shards, names, 1).heard(quiet))
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_an_exported_folder_gives_the_weights_back(vocabulary, tmp_path):
    names, path = vocabulary
    trainee = _trainee(names)
    kept = {"trainee": trainee.state_dict(), "shape": vars(trainee.model.shape), "seen": 0}
    torch.save(kept, tmp_path / "run.pt")
    export(tmp_path / "run.pt", path, tmp_path / "folder")
    torch.manual_seed(2)
    again = Trainee(trainee.model.shape)
    assert start_from(again, tmp_path / "folder", names) == 0
    for (name, first), second in zip(trainee.model.named_parameters(), again.model.parameters(), strict=True):
        spread = float(first.detach().abs().max())
        assert float((first - second).detach().abs().max()) <= spread / 100 + 1e-6, name
    sums = (tmp_path / "folder" / "SHA256SUMS").read_text(encoding="utf-8")
    assert {"model.bin", "rusuden.json", "tokenizer.json"} <= {line.split()[1] for line in sums.splitlines()}


def test_ctranslate2_computes_what_the_network_computes(vocabulary, tmp_path):
    import ctranslate2

    names, path = vocabulary
    trainee = _trainee(names)
    torch.save({"trainee": trainee.state_dict(), "shape": vars(trainee.model.shape), "seen": 0}, tmp_path / "run.pt")
    export(tmp_path / "run.pt", path, tmp_path / "folder")
    model = ctranslate2.models.Whisper(str(tmp_path / "folder"), compute_type="float32", intra_threads=1)
    assert model.is_multilingual
    features = np.random.default_rng(1).standard_normal((1, 80, 128)).astype(np.float32)
    theirs = np.array(model.encode(ctranslate2.StorageView.from_array(features)))
    with torch.no_grad():
        ours = trainee.model.encoder(torch.from_numpy(features)).numpy()
    assert np.abs(ours - theirs).max() < 0.1


@pytest.mark.parametrize(
    ("plain", "group", "form", "wanted"),
    [
        ("書く", "5", "te", "書いて"),
        ("行く", "5", "te", "行って"),
        ("読む", "5", "ta", "読んだ"),
        ("払う", "5", "nai", "払わ"),
        ("届ける", "1", "will", "届けよう"),
        ("確認", "s", "can", "確認でき"),
        ("待つ", "5", "masu", "待ち"),
    ],
)
def test_verbs_are_conjugated(plain, group, form, wanted):
    assert conjugate(plain, group, form) == wanted
