"""Speech to text: this engine beside faster-whisper and whisper.cpp, same weights, one thread.

Usage: bench_asr.py READ_FOLDER MODEL [ROUNDS]. READ_FOLDER is the built example of engine-media.
Makes a mix of voicemail, lets everybody read it in turn and prints tables. CASES picks some of
`embedded,base,small`: MODEL, of CLIPS clips (64) and ROUNDS rounds; random weights of Whisper's
sizes that write a fixed number of tokens a window, of CLIPS_RANDOM clips (24), small in one round.
"""

import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ggml
import peers
import weights
from mix import voicemail

CASES = [case for case in re.split(r"[ ,]+", os.environ.get("CASES", "embedded,base,small")) if case]
CLIPS = int(os.environ.get("CLIPS", "64"))
CLIPS_RANDOM = int(os.environ.get("CLIPS_RANDOM", "24"))
OURS, OURS_ALONE = "ours, short context", "ours, short, each window by itself"
PADDED, PADDED_ALONE = "ours, padded to 30 s", "ours, padded, each by itself"
FASTER, FASTER_BATCHED = "faster-whisper, WhisperModel", "faster-whisper, batched"
CPP, CPP_CUT = "whisper.cpp, padded to 30 s", "whisper.cpp, audio_ctx of the clip's length"
WORD = re.compile(r"t(\d{5})")


@dataclass(frozen=True)
class Mix:
    """What all read."""

    folder: Path
    clips: int
    seconds: float


def progress(text: str) -> None:
    """What runs now."""
    print(text, file=sys.stderr, flush=True)


def make_mix(folder: Path, clips: int) -> Mix:
    """As many clips as that."""
    folder.mkdir()
    return Mix(folder, clips, voicemail(folder, clips))


def padded(model: Path, copy: Path) -> Path:
    """The same model, told to hear 30 s always, with windows as foreign weights get them."""
    shutil.copytree(model, copy)
    (copy / "SHA256SUMS").unlink(missing_ok=True)
    card = copy / "rusuden.json"
    settings = json.loads(card.read_text()) if card.exists() else {}
    settings |= {"context_min_ms": 30_000, "window_min_ms": 15_000, "window_max_ms": 30_000, "join_pause_ms": 5_000}
    card.write_text(json.dumps(settings))
    return copy


def our_ways(program: str, model: Path, long: Path, mix: Path) -> dict[str, Callable[[], dict]]:
    """The engine with and without its two advantages."""
    return {
        OURS: lambda: peers.ours(program, model, mix),
        OURS_ALONE: lambda: peers.ours(program, model, mix, batch=1),
        PADDED: lambda: peers.ours(program, long, mix),
        PADDED_ALONE: lambda: peers.ours(program, long, mix, batch=1),
    }


def their_ways(model: Path, mix: Path, *, forced: bool) -> dict[str, Callable[[], dict]]:
    """faster-whisper."""
    return {
        FASTER: lambda: peers.theirs("faster", model, mix, forced=forced),
        FASTER_BATCHED: lambda: peers.theirs("batched", model, mix, forced=forced),
    }


def in_turn(case: str, ways: dict[str, Callable[[], dict]], rounds: int) -> dict[str, list[dict]]:
    """Everybody, then everybody again."""
    runs = {name: [] for name in ways}
    for turn in range(rounds):
        for number, (name, way) in enumerate(ways.items()):
            progress(f"[{turn * len(ways) + number + 1}/{rounds * len(ways)}] {case}: {name}")
            runs[name].append(way())
    return runs


def likeness(one: dict, other: dict) -> float:
    """One less edits between two runs' texts, per character."""
    edits = total = 0
    for name, text in one["texts"].items():
        heard = other["texts"][name]
        row = list(range(len(heard) + 1))
        for i, a in enumerate(text, 1):
            corner, row[0] = row[0], i
            for j, b in enumerate(heard, 1):
                corner, row[j] = row[j], min(corner + (a != b), row[j] + 1, row[j - 1] + 1)
        edits += row[-1]
        total += max(len(text), len(heard), 1)
    return 1 - edits / total


def amounts(name: str, run: dict) -> tuple[int, int]:
    """Windows and tokens of random weights' texts; refuses work that was not equal."""
    heard = [int(word) for text in run["texts"].values() for word in WORD.findall(text)]
    windows = heard.count(0)
    if heard != list(range(weights.TOKENS)) * windows:
        raise SystemExit(f"{name}: windows did not get {weights.TOKENS} tokens each: {heard[:64]}…")
    return windows, len(heard)


def table(mix: Mix, runs: dict[str, list[dict]], *, forced: bool) -> None:
    """A row a way, then where ratios come from."""
    cpu = {name: statistics.median(run["cpu"] for run in all_runs) for name, all_runs in runs.items()}
    best = min(cpu[FASTER], cpu[FASTER_BATCHED])
    last = "windows read | tokens | CPU s a window" if forced else "text like ours"
    print(f"| | clips a CPU s | CPU s for 1 s of sound | × faster-whisper's better mode | {last} |")
    print("|---" * (last.count("|") + 5) + "|")
    for name, all_runs in runs.items():
        if forced:
            windows, tokens = amounts(name, all_runs[0])
            end = f"{windows} | {tokens} | {cpu[name] / max(1, windows):.3f}"
        else:
            end = f"{likeness(runs[OURS][0], all_runs[0]):.0%}"
        row = f"{mix.clips / cpu[name]:.2f} | {cpu[name] / mix.seconds:.4f} | {best / cpu[name]:.2f} | {end}"
        print(f"| {name} | {row} |")
    length = (cpu[PADDED] / cpu[OURS], cpu[PADDED_ALONE] / cpu[OURS_ALONE])
    batch = (cpu[OURS_ALONE] / cpu[OURS], cpu[PADDED_ALONE] / cpu[PADDED])
    print(f"\nLength (padded / short): × {length[0]:.2f} in batches, × {length[1]:.2f} each by itself.")
    print(f"Batching (1 / up to 16): × {batch[0]:.2f} short, × {batch[1]:.2f} padded.")
    print(f"Ours padded beside faster-whisper's better mode: × {best / cpu[PADDED]:.2f}.")
    if forced:
        print(f"whisper.cpp's audio_ctx: × {cpu[CPP] / cpu[CPP_CUT]:.2f}.\n")
        better = min((FASTER, FASTER_BATCHED), key=cpu.get)
        read = {name: amounts(name, runs[name][0])[0] for name in (OURS, better, CPP)}
        print("**Not equal work:** " if len(set(read.values())) > 1 else "Equal work: ", end="")
        print(", ".join(f"{windows} windows by {name.split(',')[0]}" for name, windows in read.items()) + ".")
        print("Windows: ours are filled up to 30 s at pauses, theirs wherever 30 s are full. Each writes")
        print("as many tokens, so more windows mean more decoding than real weights would do.")


def waits(program: str, model: Path, mix: Mix, runs: list[dict]) -> None:
    """How long a file waits at given arrival rates."""
    capacity = mix.clips / statistics.median(run["wall"] for run in runs)
    print(f"\nWaits of ours, whole files handed in ({capacity:.1f} clips a second at most):")
    for part in (0.25, 0.5, 0.75):
        progress(f"waits at {part:.0%}")
        pause = int(1_000 / (capacity * part))
        found = sorted(peers.ours(program, model, mix.folder, pause=pause)["waits_ms"])
        middle, late = found[len(found) // 2], found[int(len(found) * 0.99)]
        print(f"at {part:.0%} of that: p50 {middle:.0f} ms, p99 {late:.0f} ms")
    print()


def embedded(program: str, model: Path, rounds: int, folder: Path) -> None:
    """The model that is served, with the texts it gives."""
    mix = make_mix(folder / "mix", CLIPS)
    long = padded(model, folder / "padded")
    ways = our_ways(program, model, long, mix.folder) | their_ways(model, mix.folder, forced=False)
    runs = in_turn("embedded", ways, rounds)
    print(f"## {model}: {mix.clips} clips, {mix.seconds:.0f} s of sound, medians of {rounds} rounds, one thread\n")
    table(mix, runs, forced=False)
    print("The embedded model was trained on 1 to 7 s: in windows up to 30 s its text suffers, whoever reads them.")
    waits(program, model, mix, runs[OURS])


def make_weights(name: str, folder: Path) -> tuple[Path, Path]:
    """The same random weights for CTranslate2 and for whisper.cpp."""
    progress(f"{name}: making random weights")
    model, tensors = weights.write(name, folder)
    size, file = weights.SIZES[name], folder / f"{name}.ggml"
    words = len(weights.vocabulary())
    shape = ggml.Shape(words, size.layers, size.width, size.heads, weights.POSITIONS)
    ggml.write(file, shape, weights.pieces(), tensors)
    return model, file


def random_weights(program: str, name: str, rounds: int, folder: Path) -> None:
    """Weights of a size of Whisper's, for the speed alone."""
    mix = make_mix(folder / "mix", CLIPS_RANDOM)
    model, file = make_weights(name, folder)
    long = padded(model, folder / "padded")
    ways = our_ways(program, model, long, mix.folder) | their_ways(model, mix.folder, forced=True)
    ways[CPP] = lambda: peers.theirs("ggml", file, mix.folder, forced=True)
    ways[CPP_CUT] = lambda: peers.theirs("ggml-cut", file, mix.folder, forced=True)
    runs = in_turn(name, ways, rounds)
    print(f"## {name}, random weights: {mix.clips} clips, {mix.seconds:.0f} s, medians of {rounds}, one thread\n")
    table(mix, runs, forced=True)
    print(f"Every window wrote {weights.TOKENS} tokens, by the weights. The others run int8 on CTranslate2;")
    print("whisper.cpp runs q8_0, has no speech detection here and so reads silent clips too, cut every 30 s.")
    from pywhispercpp.model import Model

    built = Model.system_info().split("CPU : ")[-1].strip()
    print(f"PyPI's build of it has only these (CTranslate2 picks what the processor has): {built}\n", flush=True)


def main(program: str, model: str, rounds: str = "3") -> None:
    """All cases, one after the other."""
    for case in CASES:
        if case != "embedded" and case not in weights.SIZES:
            raise SystemExit(f"CASES: no case {case}, only embedded, {', '.join(weights.SIZES)}")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            if case == "embedded":
                embedded(program, Path(model), int(rounds), Path(folder))
            else:
                random_weights(program, case, 1 if case == "small" else int(rounds), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
