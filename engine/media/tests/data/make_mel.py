"""Writes mel.json: short sounds and the log-mel that faster-whisper computes for them.

Run with faster-whisper 1.2 installed:  python3 make_mel.py
"""

import base64
import json
from pathlib import Path

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor


def sounds():
    rng = np.random.default_rng(7)
    t = np.arange(4_000) / 16_000
    sweep = 0.4 * np.sin(2 * np.pi * (100 + 7_000 * t) * t)
    noise = 0.05 * rng.standard_normal(3_217)
    steps = np.repeat([0.0, 0.5, -0.25, 0.0], 500)
    return {"sweep": sweep, "noise": noise, "steps": steps}


def pack(values):
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def main():
    cases = []
    for mels in (80, 128):
        extractor = FeatureExtractor(feature_size=mels)
        for name, pcm in sounds().items():
            pcm = pcm.astype(np.float32)
            frames = -(-len(pcm) // 160) + 5
            padded = np.concatenate([pcm, np.zeros(frames * 160 - len(pcm), np.float32)])
            mel = extractor(padded)[:, :frames]
            cases.append({"name": name, "mels": mels, "frames": frames,
                          "pcm": pack(pcm), "mel": pack(mel)})
    Path(__file__).with_name("mel.json").write_text(json.dumps(cases, indent=0) + "\n")


if __name__ == "__main__":
    main()
