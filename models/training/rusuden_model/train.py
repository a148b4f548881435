"""Shards and sentences in, checkpoints out: on any number of single-thread CPU ranks or one CUDA GPU.

Every rank does its own batch, gradients are averaged. The schedule counts steps, never time: warm
up, stay, then fall to nothing over the last steps. Stop it whenever you like; the same command
goes on from the last checkpoint.
"""

import argparse
import datetime
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, distributed

from .batches import Batch, Batches, Item, Shards
from .initial import start_from
from .losses import Weights, heard_losses, read_losses, total
from .network import Shape, Trainee
from .texts import load
from .vocabulary import Vocabulary

_FULL_FROM = 0.7  # share of the steps after which some batches are padded to 30 s
_FULL_EVERY = 25
_FULL_ITEMS = 3
_SMOOTHING = 0.97
_RANK = "RUSUDEN_MODEL_RANK"


@dataclass(frozen=True)
class Settings:
    """What one run is told."""

    work: Path
    run: str
    steps: int
    decay: int
    warm_up: int
    peak: float
    frame_limit: int
    batch_limit: int
    texts: int
    init: Path | None
    seed: int
    save_seconds: float
    ranks: int
    rank: int
    device: str
    encoder_layers: int
    decoder_layers: int
    width: int

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept."""
        return self.work / f"{self.run}.pt"


def learning_rate(step: int, settings: Settings) -> float:
    """Warm-up, plateau, linear fall."""
    rise = min(1.0, (step + 1) / max(1, settings.warm_up))
    fall = min(1.0, (settings.steps - step) / max(1, settings.decay))
    return settings.peak * min(rise, fall)


def optimisers(trainee: Trainee, peak: float) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for what is looked up, convolved, added or scaled."""
    layers, others, vectors = [], [], []
    for name, parameter in trainee.named_parameters():
        if parameter.dim() <= 1:
            vectors.append(parameter)
        elif parameter.dim() == 2 and ".layers." in name:
            layers.append(parameter)
        else:
            others.append(parameter)
    muon = torch.optim.Muon(layers, peak, weight_decay=0.02, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(
        [{"params": others, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}],
        peak,
        betas=(0.9, 0.98),
        fused=True,
    )
    return [muon, adam]


def _to(batch: Batch, device: str) -> Batch:
    moved = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return Batch(**{name: value.to(device) if isinstance(value, Tensor) else value for name, value in moved.items()})


class Run:
    """One rank's training."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.vocabulary = Vocabulary(settings.work / "model" / "tokenizer.json")
        torch.manual_seed(settings.seed)
        shape = Shape(
            self.vocabulary.size,
            width=settings.width,
            encoder_layers=settings.encoder_layers,
            decoder_layers=settings.decoder_layers,
        )
        self.trainee = Trainee(shape)
        self.step, self.seen, self.distance = 0, 0, 1.0
        self._restore_weights()
        self.trainee.to(settings.device)
        self.optimisers = optimisers(self.trainee, settings.peak)
        if self._kept is not None:
            for optimiser, state in zip(self.optimisers, self._kept["optimisers"], strict=True):
                optimiser.load_state_dict(state)
        self._kept = None
        self.shards = Shards(settings.work / "data")
        seed = settings.seed * 1_000_003 + self.step * 101 + settings.rank
        self.batches = Batches(self.shards, self.vocabulary, seed)
        self._order = random.Random(settings.seed * 7919 + self.step)
        self._own = random.Random(seed + 1)
        self.sentences = load(settings.work / "texts.jsonl")
        self._averages: dict[str, float] = {}

    def _restore_weights(self) -> None:
        self._kept = None
        if self.settings.checkpoint.exists():
            self._kept = torch.load(self.settings.checkpoint, map_location="cpu", weights_only=True)
            self.trainee.load_state_dict(self._kept["trainee"])
            self.step, self.seen = self._kept["step"], self._kept["seen"]
            self.distance = self._kept["distance"]
        elif self.settings.init is not None:
            unknown = start_from(self.trainee, self.settings.init, self.vocabulary)
            self.log(f"starting from {self.settings.init}, {unknown} tokens new to it")

    def log(self, text: str) -> None:
        """Says something, on the first rank only."""
        if self.settings.rank == 0:
            print(text, flush=True)

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        partial = self.settings.checkpoint.with_suffix(".partial")
        state = {
            "trainee": self.trainee.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "shape": vars(self.trainee.model.shape),
            "step": self.step,
            "seen": self.seen,
            "distance": self.distance,
        }
        torch.save(state, partial)
        partial.rename(self.settings.checkpoint)

    def _item_batches(self) -> Iterator[list[Item]]:
        """Batches of this rank for ever; all ranks agree on the shards and on the order."""
        while True:
            names = [self.shards.refresh()] if self.settings.rank == 0 else [None]
            if self.settings.ranks > 1:
                distributed.broadcast_object_list(names, 0)
            self.shards.refresh(names[0])
            self.log(f"{len(self.shards.items)} windows in {len(names[0])} shards")
            epoch = self.shards.epoch(self._order, self.settings.frame_limit, self.settings.batch_limit)
            ranks = self.settings.ranks
            for start in range(0, len(epoch) - ranks + 1, ranks):
                yield epoch[start + self.settings.rank]
                if self.step % 200 == 199 and self._new_shards():
                    break

    def _new_shards(self) -> bool:
        found = torch.zeros(1)
        if self.settings.rank == 0:
            listed = len(list((self.settings.work / "data").glob("shard-*.jsonl")))
            found[0] = listed > len(self.shards.refresh([])) * 1.1
        if self.settings.ranks > 1:
            distributed.broadcast(found, 0)
        return bool(found[0])

    def _gradients(self, items: list[Item]) -> dict[str, float]:
        settings, weights = self.settings, Weights()
        full = self.step % _FULL_EVERY == 0 and self.step > _FULL_FROM * settings.steps
        if full:
            items = self._own.sample(self.shards.items, _FULL_ITEMS)
        batch = _to(self.batches.heard(items, full=full), settings.device)
        with torch.autocast(torch.device(settings.device).type, torch.bfloat16):
            losses = heard_losses(self.trainee, batch)
        total(losses, weights).backward()
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        if settings.texts:
            batch = _to(self.batches.read(self._own.sample(self.sentences, settings.texts)), settings.device)
            with torch.autocast(torch.device(settings.device).type, torch.bfloat16):
                losses = read_losses(self.trainee, batch, self.distance)
            total(losses, weights).backward()
            values["text"] = float(losses["text"].detach())
        self.distance += 0.02 * (values["imitation"] - self.distance) if values["imitation"] else 0.0
        return values

    def _average_gradients(self) -> None:
        if self.settings.ranks == 1:
            return
        held = [p for p in self.trainee.parameters() if p.grad is not None]
        joined = torch.cat([p.grad.reshape(-1) for p in held])
        distributed.all_reduce(joined)
        joined /= self.settings.ranks
        at = 0
        for parameter in held:
            parameter.grad.copy_(joined[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()

    def _report(self, values: dict[str, float]) -> str:
        for name, value in values.items():
            self._averages[name] = _SMOOTHING * self._averages.get(name, value) + (1 - _SMOOTHING) * value
        return " ".join(f"{name} {value:.3f}" for name, value in self._averages.items())

    def train(self) -> None:
        """To the last step."""
        settings = self.settings
        for parameter in self.trainee.parameters():
            parameter.grad = torch.zeros_like(parameter)
        began = said = saved = time.monotonic()
        at_start = self.seen
        for items in self._item_batches():
            if self.step >= settings.steps:
                break
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate(self.step, settings)
                optimiser.zero_grad(set_to_none=False)
            report = self._report(self._gradients(items))
            self._average_gradients()
            norm = float(torch.nn.utils.clip_grad_norm_(self.trainee.parameters(), 1.0))
            if math.isfinite(norm):
                for optimiser in self.optimisers:
                    optimiser.step()
            self.step += 1
            self.seen += len(items) * settings.ranks
            now = time.monotonic()
            if now - said > 20 or self.step == settings.steps:
                pace = (self.seen - at_start) / (now - began)
                rate = learning_rate(self.step, settings)
                left = f"step {self.step}/{settings.steps} seen {self.seen} ({pace:.1f}/s)"
                self.log(f"{now - began:.0f} s {left} {report} norm {norm:.2f} rate {rate:.1e}")
                said = now
            if settings.rank == 0 and now - saved > settings.save_seconds:
                self.save()
                saved = now
        if settings.rank == 0:
            self.save()
            self.log(f"{settings.steps} steps done")


def parse() -> Settings:
    """The command line; a rank finds its number in the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--run", default="run")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--decay", type=int, default=0, help="steps at the end over which the rate falls to nothing")
    parser.add_argument("--warm-up", type=int, default=200)
    parser.add_argument("--peak", type=float, default=1e-3)
    parser.add_argument("--frame-limit", type=int, default=6000)
    parser.add_argument("--batch-limit", type=int, default=16)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-seconds", type=float, default=300)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder-layers", type=int, default=4)
    parser.add_argument("--decoder-layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--ranks", type=int, default=1)
    arguments = vars(parser.parse_args())
    return Settings(**arguments, rank=int(os.environ.get(_RANK, "0")))


def start_ranks(settings: Settings) -> int:
    """Starts every rank as a process of its own with one thread; returns the worst exit status.

    Threads inside an operator lose on shared cores; ranks with a thread each do not.
    """
    (settings.work / f"{settings.run}.meeting").unlink(missing_ok=True)
    command = [sys.executable, "-m", "rusuden_model.train", *sys.argv[1:]]
    alone = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    ranks = [subprocess.Popen(command, env={**os.environ, **alone, _RANK: str(rank)}) for rank in range(settings.ranks)]
    try:
        return max(abs(rank.wait()) for rank in ranks)
    finally:
        for rank in ranks:
            rank.terminate()


def main() -> None:
    """Starts the ranks, or is one of them."""
    settings = parse()
    if settings.ranks > 1 and _RANK not in os.environ:
        sys.exit(start_ranks(settings))
    torch.set_num_threads(1)
    if settings.ranks > 1:
        meeting = settings.work / f"{settings.run}.meeting"
        distributed.init_process_group(
            "gloo",
            init_method=f"file://{meeting}",
            rank=settings.rank,
            world_size=settings.ranks,
            timeout=datetime.timedelta(days=2),
        )
    if settings.rank == 0:
        told = {name: str(value) for name, value in vars(settings).items()}
        (settings.work / f"{settings.run}.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    Run(settings).train()


if __name__ == "__main__":
    main()
