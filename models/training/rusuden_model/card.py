"""Measured figures in, the README of the model folder out.

Says what the model is for, how wrong it is and what to use instead. Refuses to know: how the
figures came about.
"""

import argparse
import json
from pathlib import Path

from .evaluate import RESULTS

_HEAD = """# The embedded speech model

A small Japanese Whisper ({megabytes:.1f} MB, CTranslate2, 8-bit), so that a fresh checkout transcribes without
fetching anything. It was trained only on synthetic telephone Japanese. It is for demonstrations and tests.
**Nothing here is a claim about human callers: in production configure real Whisper weights.**

## Use real weights instead

Give any CTranslate2 Whisper folder in the configuration, for example one made with
`ct2-transformers-converter --model openai/whisper-small --quantization int8 --copy_files tokenizer.json
preprocessor_config.json --output_dir whisper-small`. Folders without `rusuden.json` are read with 30 s of context,
as OpenAI trained them.

## Measured

Held-out sentences, names and voice settings (`models/training/heldout/`); character error rate after NFKC without
punctuation; greedy, one CPU thread. `make -C models/training eval-model` repeats it.

| | clips | character errors | exact | digit errors |
|---|---|---|---|---|
"""
_TAIL = """
* Where nobody speaks: words in {with_words} of {quiet_clips} clips by the model alone; the engine's speech detection
  and guards come on top.
* Time on one CPU thread: {load:.0f} ms to load, {ten:.0f} ms for 10 s; real-time factor {factor:.4f} on the
  sentences above.
* Same text through faster-whisper on the same folder: {same:.1%} of {same_clips} clips.

## What it heard in training

{story}

Text: templates of calls, free sentences built from nouns, particles and conjugated verbs, and senseless runs of words,
names and numbers; thousands of surnames, most of them made up from parts. Speech: two Open JTalk voices and every mix
between them outside the held-out band, varied in speed, pitch, timbre and length of throat, and espeak-ng's Japanese
voices. Lines: G.711, G.722, Opus, noise, rooms, hum, clipping, packet loss with concealment; and windows in which
nobody speaks. The recipe is in `models/training/`.

## Limits

Only Japanese; the tokens for English and translation are there because the format needs them. Only the characters of
the recipe's word lists can be written. Windows of 1 to 7 seconds, as `rusuden.json` tells the engine. Speech unlike
its synthesisers, and sentences unlike its grammar, come out wrong.

## Licences

The weights are made from: the HTS voice *nitech_jp_atr503_m001* (Nagoya Institute of Technology, HTS Working Group,
CC BY 3.0); the HTS voice *mei_normal* (MMDAgent Project Team, Nagoya Institute of Technology, CC BY 3.0); the
Open JTalk dictionary (NAIST Japanese Dictionary, BSD 3-clause); sound made by espeak-ng (GPL 3 or later covers the
program, not its output). All text was written for this project.
"""


def _row(name: str, scores: dict) -> str:
    digits = f"{scores['digit_error']:.1%} of {scores['digits']}" if scores["digits"] else "–"
    return f"| {name} | {scores['clips']} | {scores['cer']:.1%} | {scores['exact']:.1%} | {digits} |\n"


def card(results: dict, story: str) -> str:
    """The README's text."""
    rows = [_row(f"held-out, {name}", scores) for name, scores in results["conditions"].items()]
    rows.append(_row("written by hand, shapes the grammar lacks, G.711", results["off_grammar"]))
    tail = _TAIL.format(
        with_words=results["quiet"]["with_words"],
        quiet_clips=results["quiet"]["clips"],
        load=results["timing"]["load_cpu_ms"],
        ten=results["timing"]["ten_seconds_cpu_ms"],
        factor=results["conditions"]["G.711"]["real_time_factor"],
        same=results["faster_whisper"]["same"],
        same_clips=results["faster_whisper"]["clips"],
        story=story.strip(),
    )
    return _HEAD.format(megabytes=results["bytes"] / 1e6) + "".join(rows) + tail


def main() -> None:
    """Writes README.md into the model folder from its evaluation.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--story", type=Path, required=True, help="a text that says how long it was trained")
    arguments = parser.parse_args()
    results = json.loads((arguments.model / RESULTS).read_text(encoding="utf-8"))
    text = card(results, arguments.story.read_text(encoding="utf-8"))
    (arguments.model / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
