"""A mix of voicemail from the repository's sounds, the same every time.

In: how many clips. Out: WAV files of 1 to 60 s in a folder. Knows nothing of who reads them.
"""

import random
import subprocess
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RATE = 16_000


def load(path: Path) -> np.ndarray:
    """Mono samples."""
    raw = subprocess.run(
        ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"],
        check=True,
        capture_output=True,
    ).stdout
    return np.frombuffer(raw, np.int16).astype(np.float32) / 32_768


def voicemail(folder: Path, clips: int) -> float:
    """Writes the mix: messages of 1 to 60 s, one in eight without a word. Gives its seconds."""
    dice = random.Random(6)
    noise = np.random.default_rng(6)
    data = ROOT / "engine/media/tests/data"
    voices = [load(path) for path in sorted((ROOT / "assets/messages").glob("*.wav"))]
    voices += [load(data / "message.flac"), load(data / "sorry.flac")]
    seconds = 0.0
    for number in range(clips):
        length = int(RATE * min(60, max(1, dice.lognormvariate(2.4, 0.8))))
        if number % 8 == 0:
            level = dice.choice([0.0, 0.003, 0.03])
            sound = (noise.standard_normal(length) * level).astype(np.float32)
        else:
            parts = []
            while sum(map(len, parts)) < length:
                parts += [dice.choice(voices), np.zeros(dice.randint(4_000, 24_000), "f4")]
            sound = np.concatenate(parts)[:length]
            sound = sound + (noise.standard_normal(length) * 0.001).astype(np.float32)
        seconds += length / RATE
        with wave.open(str(folder / f"{number:03}.wav"), "wb") as file:
            file.setparams((1, 2, RATE, length, "NONE", ""))
            file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return seconds
