"""A random source in, voice settings out, for training and for evaluation.

Training keeps out of a band of the mix between the two voices and of the longest and shortest
throats; evaluation takes its settings from there. Refuses to know: text and telephone lines.
"""

import json
import math
import random
from dataclasses import asdict

from .heldout import FOLDER, voices
from .voices import Voice

KEPT_MIX = (0.3, 0.5)
TRAINED_WARP = (0.88, 1.12)
_HELD_SEED = 20261122
_HELD_COUNT = 24


def _mix(rng: random.Random) -> float:
    """Either voice nearly alone, or a blend outside the held-out band."""
    choice = rng.random()
    if choice < 0.3:
        return rng.uniform(0, 0.1)
    if choice < 0.6:
        return rng.uniform(0.9, 1)
    return rng.uniform(0.1, KEPT_MIX[0]) if rng.random() < 0.35 else rng.uniform(KEPT_MIX[1], 0.9)


def _near(value: float, spread: float, rng: random.Random) -> float:
    return min(1.0, max(0.0, value + rng.uniform(-spread, spread)))


def _voice(mix: float, warp: float, rng: random.Random) -> Voice:
    half_tones = rng.uniform(-3, 4) * mix + rng.uniform(-5, 3) * (1 - mix) + 6 * math.log2(warp)
    return Voice(
        duration_mix=_near(mix, 0.3, rng),
        spectrum_mix=mix,
        pitch_mix=_near(mix, 0.2, rng),
        speed=rng.uniform(0.82, 1.45),
        half_tones=half_tones,
        spectrum_variance=rng.uniform(0.6, 1.2),
        pitch_variance=rng.uniform(0.4, 1.25),
        alpha=rng.uniform(0.52, 0.58),
        tract_warp=warp,
        voicing_cutoff=rng.uniform(2500, 6500),
        formant_gain=rng.uniform(-0.1, 0.3),
        jitter=rng.uniform(0, 0.03),
        tilt=rng.uniform(-0.35, 0.35),
        breath=rng.uniform(0.3, 1.2),
        pause=rng.uniform(0.1, 0.6),
    )


def training_voice(rng: random.Random) -> Voice:
    """A voice that training may use."""
    return _voice(_mix(rng), rng.uniform(*TRAINED_WARP), rng)


def held_out_voices() -> list[Voice]:
    """The voices of `heldout/voices.json`."""
    return [Voice(**setting) for setting in voices()]


def is_held_out(voice: Voice) -> bool:
    """Whether training never makes this voice."""
    return KEPT_MIX[0] < voice.spectrum_mix < KEPT_MIX[1] or not TRAINED_WARP[0] <= voice.tract_warp <= TRAINED_WARP[1]


def write_held_out() -> None:
    """Draws the held-out settings afresh; the file in the repository is what counts."""
    rng = random.Random(_HELD_SEED)
    drawn = []
    for index in range(_HELD_COUNT):
        if index % 2:
            voice = _voice(rng.uniform(0.31, 0.49), rng.uniform(0.9, 1.1), rng)
        else:
            warp = rng.choice((rng.uniform(0.85, 0.875), rng.uniform(1.125, 1.16)))
            voice = _voice(_mix(rng), warp, rng)
        drawn.append({name: round(value, 4) for name, value in asdict(voice).items()})
    (FOLDER / "voices.json").write_text(json.dumps(drawn, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_held_out()
