"""The characters of our text in, a Whisper-shaped `tokenizer.json` out.

Byte-level BPE whose merges only build characters: one token a character, bytes for the rest, then
the empty token (CTranslate2 takes it as the sign of a multilingual model), Whisper's special
tokens and its timestamps. Refuses to know: training.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from tokenizers import Tokenizer

from .grammar import Grammar
from .heldout import HeldOut
from .lexicon import FOLDER as LEXICON

END = "<|endoftext|>"
START = "<|startoftranscript|>"
JAPANESE = "<|ja|>"
TRANSCRIBE = "<|transcribe|>"
NO_SPEECH = "<|nospeech|>"
NO_TIMESTAMPS = "<|notimestamps|>"
SPECIAL = (
    END, START, "<|en|>", JAPANESE, "<|translate|>", TRANSCRIBE, "<|startoflm|>", "<|startofprev|>",
    NO_SPEECH, NO_TIMESTAMPS,
)  # fmt: skip
TIMESTAMPS = tuple(f"<|{index * 0.02:.2f}|>" for index in range(1501))
_ALWAYS = "ー・「」々〜？！…％円＋－"
_SAMPLE = 40_000


def _byte_symbols() -> dict[int, str]:
    """GPT-2's printable stand-in for every byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in plain}
    hidden = (byte for byte in range(256) if byte not in symbols)
    symbols.update({byte: chr(256 + index) for index, byte in enumerate(hidden)})
    return symbols


def characters() -> list[str]:
    """Every character beyond ASCII that our text can hold, in code order."""
    held_out = HeldOut()
    found = Counter(chr(code) for code in (*range(0x3041, 0x3097), *range(0x30A1, 0x30FB)))
    found.update(_ALWAYS)
    for path in sorted(LEXICON.glob("*.txt")):
        found.update(path.read_text(encoding="utf-8"))
    for word in (*held_out.named, *held_out.sentences, *held_out.off_grammar):
        found.update(word.shown)
    grammar = Grammar(0, held_out)
    for _ in range(_SAMPLE):
        found.update(grammar.sentence().shown)
    return sorted(character for character in found if ord(character) > 127)


def build() -> dict:
    """The content of `tokenizer.json`."""
    symbols = _byte_symbols()
    vocabulary = {symbols[byte]: byte for byte in range(256)}
    merges: list[list[str]] = []

    def add(left: str, right: str) -> None:
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append([left, right])

    spelled = [[symbols[byte] for byte in character.encode()] for character in characters()]
    for pieces in spelled:
        add(pieces[0], pieces[1])
    for pieces in spelled:
        if len(pieces) == 3:
            add(pieces[0] + pieces[1], pieces[2])
    vocabulary[""] = len(vocabulary)
    added = [
        {
            "id": len(vocabulary) + index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": index < len(SPECIAL),
        }
        for index, token in enumerate((*SPECIAL, *TIMESTAMPS))
    ]
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "add_prefix_space": False},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


class Vocabulary:
    """Text to token numbers and back, with Whisper's special numbers by name."""

    def __init__(self, path: Path):
        self._tokenizer = Tokenizer.from_file(str(path))
        number = self._tokenizer.token_to_id
        self.size = self._tokenizer.get_vocab_size()
        self.end, self.start = number(END), number(START)
        self.japanese, self.transcribe = number(JAPANESE), number(TRANSCRIBE)
        self.no_speech, self.no_timestamps = number(NO_SPEECH), number(NO_TIMESTAMPS)
        self.first_timestamp = number(TIMESTAMPS[0])
        self.space = number("Ġ")
        self.prompt = [self.start, self.japanese, self.transcribe, self.no_timestamps]

    def encode(self, text: str) -> list[int]:
        """Token numbers of plain text."""
        return self._tokenizer.encode(text).ids

    def decode(self, tokens: list[int]) -> str:
        """Plain text of token numbers, special ones left out."""
        return self._tokenizer.decode([token for token in tokens if token < self.end])

    def tokens(self) -> list[str]:
        """Every token in order."""
        return [self._tokenizer.id_to_token(number) for number in range(self.size)]


def main() -> None:
    """Writes tokenizer.json unless it is there."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    path = parser.parse_args().out
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(build(), ensure_ascii=False), encoding="utf-8")
    print(f"{Vocabulary(path).size} tokens")


if __name__ == "__main__":
    main()
