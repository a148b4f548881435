"""Speech to text: this engine beside faster-whisper, same weights, same library, one thread.

Usage: bench_asr.py READ_FOLDER MODEL [ROUNDS]. READ_FOLDER is the built example of engine-media.
Makes a mix of voicemail from the repository's sounds, lets everybody read it in turn, ROUNDS times,
and prints clips a CPU second, ratios, how alike the texts are, and waits at given arrival rates.
"""

import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE = 16_000
CLIPS = int(os.environ.get("CLIPS", "64"))


def load(path):
    """Mono samples."""
    raw = subprocess.run(
        ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", path, "-ac", "1", "-ar", str(RATE)]
        + ["-f", "s16le", "-"],
        check=True,
        capture_output=True,
    ).stdout
    return numpy.frombuffer(raw, numpy.int16).astype(numpy.float32) / 32_768


def voicemail(folder):
    """Writes the mix: messages of 1 to 60 s, one in eight without a word. Gives its seconds."""
    dice = random.Random(6)
    noise = numpy.random.default_rng(6)
    data = ROOT / "engine/media/tests/data"
    voices = [load(path) for path in sorted((ROOT / "assets/messages").glob("*.wav"))]
    voices += [load(data / "message.flac"), load(data / "sorry.flac")]
    seconds = 0.0
    for number in range(CLIPS):
        length = int(RATE * min(60, max(1, dice.lognormvariate(2.4, 0.8))))
        if number % 8 == 0:
            level = dice.choice([0.0, 0.003, 0.03])
            sound = (noise.standard_normal(length) * level).astype(numpy.float32)
        else:
            parts = []
            while sum(map(len, parts)) < length:
                parts += [dice.choice(voices), numpy.zeros(dice.randint(4_000, 24_000), "f4")]
            sound = numpy.concatenate(parts)[:length]
            sound = sound + (noise.standard_normal(length) * 0.001).astype(numpy.float32)
        seconds += length / RATE
        with wave.open(str(folder / f"{number:03}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, length, "NONE", ""))
            file.writeframes((numpy.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return seconds


def padded(model, folder):
    """The same model, told to hear 30 s always."""
    copy = folder / "padded"
    shutil.copytree(model, copy)
    (copy / "SHA256SUMS").unlink(missing_ok=True)
    card = copy / "rusuden.json"
    settings = json.loads(card.read_text()) if card.exists() else {}
    card.write_text(json.dumps(settings | {"context_min_ms": 30_000}))
    return copy


def ours(program, model, sounds, batch=16, pause=0):
    """The engine, in a process of its own."""
    command = [program, str(model), str(sounds), str(batch), str(pause)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def theirs(model, sounds, batched):
    """faster-whisper in a process of its own."""
    command = [sys.executable, __file__, "--peer", str(model), str(sounds), str(int(batched))]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def peer(model, sounds, batched):
    """What the process does."""
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
    ask = whisper.transcribe
    if int(batched):
        ask, options["batch_size"] = BatchedInferencePipeline(model=whisper).transcribe, 16
    texts, waits = {}, []
    files = sorted(pathlib.Path(sounds).glob("*.wav"))
    list(ask(str(files[1]), **options)[0])
    used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    begin, before = time.monotonic(), used()
    for path in files:
        since = time.monotonic()
        segments, _ = ask(str(path), **options)
        texts[path.name] = "".join(segment.text for segment in segments).strip()
        waits.append((time.monotonic() - since) * 1_000)
    wall, cpu = time.monotonic() - begin, used() - before
    print(json.dumps({"wall": wall, "cpu": cpu, "waits_ms": waits, "texts": texts}))


def likeness(one, other):
    """Edits between two runs' texts, per character."""
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


def main(program, model, rounds=3):
    """Everybody in turn."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sounds = folder / "mix"
        sounds.mkdir()
        seconds = voicemail(sounds)
        long = padded(model, folder)
        ways = {
            "ours": lambda: ours(program, model, sounds),
            "ours, each window by itself": lambda: ours(program, model, sounds, batch=1),
            "ours, padded to 30 s": lambda: ours(program, long, sounds),
            "ours, padded, each by itself": lambda: ours(program, long, sounds, batch=1),
            "faster-whisper, WhisperModel": lambda: theirs(model, sounds, False),
            "faster-whisper, batched": lambda: theirs(model, sounds, True),
        }
        runs = {name: [] for name in ways}
        for _ in range(int(rounds)):
            for name, way in ways.items():
                runs[name].append(way())
        best = min(statistics.median(r["cpu"] for r in runs[n]) for n in ways if "faster" in n)
        print(f"{CLIPS} clips, {seconds:.0f} s of sound, medians of {rounds} rounds, one thread\n")
        print("| | clips a CPU s | CPU s for 1 s of sound | × faster-whisper's better mode | text |")
        print("|---|---|---|---|---|")
        for name, all_runs in runs.items():
            cpu = statistics.median(run["cpu"] for run in all_runs)
            alike = likeness(runs["ours"][0], all_runs[0])
            row = f"{CLIPS / cpu:.1f} | {cpu / seconds:.4f} | {best / cpu:.2f} | {alike:.0%}"
            print(f"| {name} | {row} |")
        capacity = CLIPS / statistics.median(run["wall"] for run in runs["ours"])
        print(f"\nWaits of ours, whole files handed in ({capacity:.1f} clips a second at most):")
        for part in (0.25, 0.5, 0.75):
            pause = int(1_000 / (capacity * part))
            waits = sorted(ours(program, model, sounds, pause=pause)["waits_ms"])
            middle, late = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
            print(f"at {part:.0%} of that: p50 {middle:.0f} ms, p99 {late:.0f} ms")


if __name__ == "__main__":
    peer(*sys.argv[2:]) if sys.argv[1] == "--peer" else main(*sys.argv[1:])
