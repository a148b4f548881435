"""A model folder in, its measured error out, as JSON beside the weights.

Character error rate after NFKC without punctuation, exact sentences, digits, words invented where
nobody speaks, time; and whether faster-whisper reads the same text from the same features.
Refuses to know: how the figures are presented.
"""

import argparse
import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import numpy as np
from rapidfuzz.distance import Levenshtein

from . import evaluation_sets as sets
from .evaluation_sets import Clip
from .features import FRAMES_A_SECOND, HOP, MELS, log_mel
from .heldout import normalise
from .vocabulary import Vocabulary
from .vocoder import RATE

_DEFAULT_STEP_MS = 640
_FULL = 3000
_MOST_TOKENS = 200
RESULTS = "evaluation.json"


@dataclass(frozen=True)
class Reading:
    """What a model made of a clip."""

    text: str
    no_speech: float


class Reader:
    """A CTranslate2 folder on one CPU thread, greedy, padded as the engine pads."""

    def __init__(self, folder: Path):
        self._model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=1)
        self._vocabulary = Vocabulary(folder / "tokenizer.json")
        card = folder / "rusuden.json"
        told = json.loads(card.read_text(encoding="utf-8")) if card.exists() else {}
        self._step = told.get("context_step_ms", _DEFAULT_STEP_MS) * FRAMES_A_SECOND // 1000
        self._least = told.get("context_min_ms", 2 * _DEFAULT_STEP_MS) * FRAMES_A_SECOND // 1000

    def read(self, clip: Clip, *, full: bool = False) -> Reading:
        """One clip, alone."""
        features = log_mel(clip.sound)
        frames = max(self._least, -(-len(features) // self._step) * self._step)
        frames = _FULL if full else min(_FULL, frames)
        padded = np.full((1, MELS, frames), features.max() - 2, np.float32)
        padded[0, :, : len(features)] = features.T[:, :frames]
        result = self._model.generate(
            ctranslate2.StorageView.from_array(padded),
            [self._vocabulary.prompt],
            beam_size=1,
            max_length=2 * _MOST_TOKENS,
            return_no_speech_prob=True,
        )[0]
        return Reading(self._vocabulary.decode(result.sequences_ids[0]), result.no_speech_prob)


def _digits(text: str) -> str:
    return "".join(character for character in normalise(text) if character.isdigit())


def score(clips: list[Clip], readings: list[Reading]) -> dict[str, float]:
    """Errors of readings against what was said."""
    errors = characters = exact = digit_errors = digit_count = 0
    for clip, reading in zip(clips, readings, strict=True):
        said, read = normalise(clip.shown), normalise(reading.text)
        errors += Levenshtein.distance(said, read)
        characters += len(said)
        exact += said == read
        if len(_digits(clip.shown)) >= 4:
            digit_errors += Levenshtein.distance(_digits(clip.shown), _digits(reading.text))
            digit_count += len(_digits(clip.shown))
    return {
        "clips": len(clips),
        "cer": errors / max(1, characters),
        "exact": exact / max(1, len(clips)),
        "digit_error": digit_errors / max(1, digit_count),
        "digits": digit_count,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timing(folder: Path) -> dict[str, float]:
    """CPU milliseconds to load, and to read 10 s of noisy speech-like sound with its features."""
    began = _cpu()
    reader = Reader(folder)
    loaded = _cpu() - began
    noise = np.random.default_rng(1).standard_normal(10 * RATE).astype(np.float32) * 0.05
    clip = Clip("", noise)
    reader.read(clip)
    began, wall = _cpu(), time.perf_counter()
    for _ in range(5):
        reader.read(clip)
    return {
        "load_cpu_ms": 1000 * loaded,
        "ten_seconds_cpu_ms": 200 * (_cpu() - began),
        "ten_seconds_wall_ms": 200 * (time.perf_counter() - wall),
    }


def read_all(reader: Reader, clips: list[Clip], *, full: bool = False) -> tuple[list[Reading], float]:
    """All readings and CPU seconds per second of sound."""
    began = _cpu()
    readings = [reader.read(clip, full=full) for clip in clips]
    return readings, (_cpu() - began) / max(1e-9, sum(clip.seconds for clip in clips))


def agreement(folder: Path, reader: Reader, clips: list[Clip]) -> dict[str, float]:
    """Share of clips that faster-whisper reads the same, given the same 30 s of features."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    same = 0
    for clip in clips:
        parts, _ = model.transcribe(
            _silence_to_full(clip.sound),
            language="ja",
            beam_size=1,
            temperature=0,
            without_timestamps=True,
            condition_on_previous_text=False,
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        heard = "".join(part.text for part in parts)
        ours = reader.read(Clip(clip.shown, _silence_to_full(clip.sound)), full=True)
        same += normalise(heard) == normalise(ours.text)
    return {"clips": len(clips), "same": same / max(1, len(clips))}


def _silence_to_full(sound: np.ndarray) -> np.ndarray:
    return np.pad(sound, (0, max(0, _FULL * HOP - len(sound))))


def evaluate(folder: Path, work: Path, limit: int | None, *, show: int) -> dict:
    """Every figure of the card."""
    reader = Reader(folder)
    results: dict = {"conditions": {}}
    for condition in sets.CONDITIONS:
        clips = sets.sentences(work, condition, limit)
        readings, factor = read_all(reader, clips)
        results["conditions"][condition] = {**score(clips, readings), "real_time_factor": factor}
        print(condition, _short(results["conditions"][condition]), flush=True)
        if condition == "G.711":
            _show(clips, readings, show)
    clips = sets.off_grammar(work, limit)
    readings, _ = read_all(reader, clips)
    results["off_grammar"] = score(clips, readings)
    print("off-grammar", _short(results["off_grammar"]), flush=True)
    _show(clips, readings, show)
    clips = sets.quiet(limit or 500)
    readings, _ = read_all(reader, clips)
    invented = sum(bool(normalise(reading.text)) for reading in readings)
    results["quiet"] = {"clips": len(clips), "with_words": invented, "share": invented / len(clips)}
    print("quiet", results["quiet"], flush=True)
    results["timing"] = timing(folder)
    results["faster_whisper"] = agreement(folder, reader, sets.sentences(work, "G.711", limit))
    results["bytes"] = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".bin", ".json"))
    print(results["timing"], results["faster_whisper"], flush=True)
    return results


def _short(scores: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in scores.items())


def _show(clips: list[Clip], readings: list[Reading], count: int) -> None:
    for clip, reading in list(zip(clips, readings, strict=True))[:: max(1, len(clips) // max(1, count))][:count]:
        print(f"  said {clip.shown}\n  read {reading.text}")


def main() -> None:
    """Evaluates a model folder and writes evaluation.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--show", type=int, default=5)
    arguments = parser.parse_args()
    results = evaluate(arguments.model, arguments.work / "lib", arguments.limit, show=arguments.show)
    out = arguments.out or arguments.model / RESULTS
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
