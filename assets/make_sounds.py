#!/usr/bin/env python3
"""Makes the sounds that callers hear and the messages that the demo and the tests speak.

Japanese: Open JTalk (pyopenjtalk-plus, voice "mei"); English: espeak-ng. Everything is written as
16 kHz mono 16-bit WAV. Needs `pip install -r assets/requirements.txt` and `apt-get install
espeak-ng sox`. The results are committed; run this only after changing a text.

    python3 assets/make_sounds.py
"""

import json
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import pyopenjtalk
from scipy.signal import resample_poly

HERE = Path(__file__).parent
RATE_HZ = 16_000
PAUSE_S = 0.9
PEAK = 0.6

JAPANESE = {
    "greeting": ["ただいま、電話に出ることができません。", "ピーという音のあとに、お名前とご用件をお話しください。"],
    "closing": ["録音時間が終わりました。", "お電話ありがとうございました。"],
}
ENGLISH = {
    "greeting": "I can't take your call right now. Please leave your name and message after the tone.",
    "closing": "The recording time is over. Thank you for calling.",
}


def speak_japanese(sentences):
    """One sound from sentences, a pause behind each but the last."""
    parts = []
    for sentence in sentences:
        sound, rate_hz = pyopenjtalk.tts(sentence)
        assert rate_hz == 48_000
        parts += [trim(resample_poly(sound / 32_768, 1, 3)), np.zeros(int(PAUSE_S * RATE_HZ))]
    return np.concatenate(parts[:-1])


def speak_english(text):
    """espeak-ng's voice at telephone speed."""
    with tempfile.TemporaryDirectory() as folder:
        raw, sound = Path(folder, "raw.wav"), Path(folder, "sound.wav")
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", raw, text], check=True)
        subprocess.run(["sox", raw, "-r", str(RATE_HZ), "-c", "1", "-b", "16", sound], check=True)
        with wave.open(str(sound)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return trim(samples / 32_768)


def trim(sound, threshold=0.003, margin_s=0.06):
    """Without the silence around it, but for a margin."""
    loud = np.flatnonzero(np.abs(sound) > threshold)
    margin = int(margin_s * RATE_HZ)
    return sound[max(0, loud[0] - margin) : loud[-1] + margin]


def write(path, sound):
    """16-bit WAV, peak at PEAK."""
    samples = np.round(sound / np.abs(sound).max() * PEAK * 32_767).astype(np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
    print(f"{path.relative_to(HERE)}: {len(samples) / RATE_HZ:.2f} s")


def main():
    """All sounds, then all messages."""
    for name, sentences in JAPANESE.items():
        write(HERE / "sounds" / f"{name}.ja.wav", speak_japanese(sentences))
    for name, text in ENGLISH.items():
        write(HERE / "sounds" / f"{name}.en.wav", speak_english(text))
    messages = json.loads((HERE / "messages" / "messages.json").read_text(encoding="utf-8"))
    for name, sentences in messages.items():
        write(HERE / "messages" / f"{name}.wav", speak_japanese(sentences))


if __name__ == "__main__":
    main()
