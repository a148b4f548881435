"""Whoever reads the mix, each in a process of its own, on one thread.

In: a model and a folder of WAV files. Out, as JSON: seconds by the clock and of the processor,
waits in milliseconds, texts by name. `peers.py faster|batched|ggml|ggml-cut MODEL SOUNDS FORCED`
is the process itself; FORCED is 1 for weights that write a fixed number of tokens (weights.py).
"""

import json
import math
import resource
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

RATE = 16_000
PIECE = 30 * RATE
STEP_S, LEAST_S, POSITIONS_A_SECOND = 0.5, 1.0, 50


def ours(program: str, model: Path, sounds: Path, batch: int = 16, pause: int = 0) -> dict:
    """The engine; it says itself what it used."""
    command = [program, str(model), str(sounds), str(batch), str(pause)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def theirs(kind: str, model: Path, sounds: Path, *, forced: bool) -> dict:
    """Somebody else."""
    command = [sys.executable, __file__, kind, str(model), str(sounds), str(int(forced))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _faster_whisper(model: str, *, batched: bool, forced: bool) -> Callable[[Path], str]:
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    whisper = WhisperModel(
        model, device="cpu", compute_type="int8", cpu_threads=1, num_workers=1, local_files_only=True
    )
    options = {
        "language": "ja",
        "beam_size": 1,
        "temperature": [0.0, 0.4, 0.8],
        "without_timestamps": True,
        "condition_on_previous_text": False,
        "vad_filter": True,
    }
    if forced:
        doubts = ("log_prob_threshold", "compression_ratio_threshold", "no_speech_threshold")
        options |= dict.fromkeys(doubts) | {"temperature": 0.0}
    ask = whisper.transcribe
    if batched:
        ask, options["batch_size"] = BatchedInferencePipeline(model=whisper).transcribe, 16
    return lambda path: "".join(segment.text for segment in ask(str(path), **options)[0]).strip()


def _whisper_cpp(model: str, *, cut: bool) -> Callable[[Path], str]:
    from pywhispercpp.model import Model

    whisper = Model(
        model,
        redirect_whispercpp_logs_to=None,
        context_params={"use_gpu": False},
        n_threads=1,
        language="ja",
        greedy={"best_of": 1},
        temperature=0.0,
        temperature_inc=0.0,
        entropy_thold=-1.0,
        logprob_thold=-1_000.0,
        no_speech_thold=1.0,
        no_timestamps=True,
        no_context=True,
        print_progress=False,
    )

    def read(path: Path) -> str:
        with wave.open(str(path)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_768
        texts = []
        for begin in range(0, len(sound), PIECE):
            piece = sound[begin : begin + PIECE]
            steps = math.ceil(max(len(piece) / RATE, LEAST_S) / STEP_S)
            context = int(steps * STEP_S * POSITIONS_A_SECOND) if cut else 0
            texts += [segment.text for segment in whisper.transcribe(piece, audio_ctx=context)]
        return " ".join(texts).strip()

    return read


def _used() -> float:
    """Processor seconds of this process and of its children."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main(kind: str, model: str, sounds: str, forced: str) -> None:
    """Reads one file to warm up, then all."""
    if kind.startswith("ggml"):
        read = _whisper_cpp(model, cut=kind == "ggml-cut")
    else:
        read = _faster_whisper(model, batched=kind == "batched", forced=bool(int(forced)))
    files = sorted(Path(sounds).glob("*.wav"))
    read(files[1])
    texts, waits = {}, []
    begin, before = time.monotonic(), _used()
    for path in files:
        since = time.monotonic()
        texts[path.name] = read(path)
        waits.append((time.monotonic() - since) * 1_000)
    wall, cpu = time.monotonic() - begin, _used() - before
    print(json.dumps({"wall": wall, "cpu": cpu, "waits_ms": waits, "texts": texts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
