"""Random weights in Whisper's shapes that write a fixed number of tokens about any sound.

Whatever reads a window with them writes TOKENS pieces of text and ends, without being told to: the
embedding of each position in the decoder points along the token to be written there, far longer
than what the other weights, small and random, add to it. So every window costs the same decoding,
and the text tells how many windows were read. Out: a CTranslate2 folder, and the tensors, which
ggml.py writes for whisper.cpp. torch is not needed. Refuses to know: what any sound says.
"""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
import numpy as np
import tokenizers
from ctranslate2.specs.whisper_spec import WhisperSpec

TOKENS = 32  # a window
PROMPT = ("<|startoftranscript|>", "<|ja|>", "<|transcribe|>", "<|notimestamps|>")
MELS, FRAMES, POSITIONS = 80, 3_000, 448
EMBEDDING, WEIGHT, STEER = 0.05, 0.005, 8.0
FIRST_PIECE = 256  # bytes come before
CARD = {
    "context_min_ms": 1_000,
    "context_step_ms": 500,
    "window_min_ms": 15_000,
    "join_pause_ms": 5_000,
    "window_max_ms": 30_000,
    "timestamps": False,
    "prompts": False,
    "temperatures": [],
    "logprob_min": -100,
    "compression_ratio_max": 1_000,
    "no_speech_max": 1.0,
}
LANGUAGES = re.findall(
    r"\w+",
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su",
)


@dataclass(frozen=True)
class Size:
    """One of Whisper's sizes; as many layers read as write, as many heads too."""

    layers: int
    width: int

    @property
    def heads(self) -> int:
        """Each is 64 wide."""
        return self.width // 64


SIZES = {"base": Size(6, 512), "small": Size(12, 768)}


def pieces() -> list[bytes]:
    """Text tokens by id: the bytes, then words that can be told apart, and Whisper's empty one."""
    words = [f" t{number:05}".encode() for number in range(50_256 - FIRST_PIECE)]
    return [bytes([byte]) for byte in range(256)] + words + [b""]


def specials() -> list[str]:
    """Whisper's own tokens, which follow the text."""
    languages = [f"<|{language}|>" for language in LANGUAGES]
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    times = [f"<|{number * 0.02:.2f}|>" for number in range(1_501)]
    return ["<|endoftext|>", PROMPT[0], *languages, *(f"<|{task}|>" for task in tasks), *times]


def written() -> list[int]:
    """What every window says."""
    return list(range(FIRST_PIECE, FIRST_PIECE + TOKENS))


def _printable() -> list[str]:
    """GPT-2's letters for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + at) for at, byte in enumerate(rest)}
    return [letters[byte] for byte in range(256)]


def vocabulary() -> list[str]:
    """All tokens by id, as tokenizers write them."""
    letters = _printable()
    return ["".join(letters[byte] for byte in piece) for piece in pieces()] + specials()


def _sinusoids(width: int) -> np.ndarray:
    """Positions of the encoder, as Whisper has them."""
    steps = np.exp(-np.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(FRAMES // 2)[:, None] * steps[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _positions(dice: np.random.Generator, embedding: np.ndarray) -> np.ndarray:
    """Positions of the decoder: each points along what is written there."""
    end = len(pieces())
    tokens = np.full(POSITIONS, end)
    last = len(PROMPT) - 1  # what follows the prompt is written at its last token
    tokens[last : last + TOKENS] = written()
    noise = dice.standard_normal((POSITIONS, embedding.shape[1]), dtype=np.float32) * EMBEDDING
    return embedding[tokens] * STEER + noise


def tensors(size: Size, seed: int = 6) -> dict[str, np.ndarray]:
    """All weights under openai/whisper's names."""
    dice = np.random.default_rng(seed)
    width, found = size.width, {}

    def linear(name: str, *shape: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = dice.standard_normal(shape, dtype=np.float32) * WEIGHT
        if bias:
            found[f"{name}.bias"] = np.zeros(shape[0], np.float32)

    def norm(name: str) -> None:
        found[f"{name}.weight"] = np.ones(width, np.float32)
        found[f"{name}.bias"] = np.zeros(width, np.float32)

    linear("encoder.conv1", width, MELS, 3)
    linear("encoder.conv2", width, width, 3)
    found["encoder.positional_embedding"] = _sinusoids(width)
    norm("encoder.ln_post")
    words = len(pieces()) + len(specials())
    embedding = dice.standard_normal((words, width), dtype=np.float32) * EMBEDDING
    found["decoder.token_embedding.weight"] = embedding
    found["decoder.positional_embedding"] = _positions(dice, embedding)
    norm("decoder.ln")
    for side, attentions in (("encoder", ["attn"]), ("decoder", ["attn", "cross_attn"])):
        for layer in range(size.layers):
            at = f"{side}.blocks.{layer}"
            for attention in attentions:
                norm(f"{at}.{attention}_ln")
                for part in ("query", "key", "value", "out"):
                    linear(f"{at}.{attention}.{part}", width, width, bias=part != "key")
            norm(f"{at}.mlp_ln")
            linear(f"{at}.mlp.0", 4 * width, width)
            linear(f"{at}.mlp.2", width, 4 * width)
    return found


def _specification(size: Size, found: dict[str, np.ndarray]) -> WhisperSpec:
    """The weights as CTranslate2 describes them."""
    spec = WhisperSpec(size.layers, size.heads, size.layers, size.heads)

    def join(part: object, *names: str) -> None:
        zeros = np.zeros(size.width, np.float32)
        part.weight = np.concatenate([found[f"{name}.weight"] for name in names])
        part.bias = np.concatenate([found.get(f"{name}.bias", zeros) for name in names])

    def norm(part: object, name: str) -> None:
        part.gamma, part.beta = found[f"{name}.weight"], found[f"{name}.bias"]

    def attend(part: object, at: str, *joined: tuple[str, ...]) -> None:
        for linear, names in zip(part.linear, joined, strict=True):
            join(linear, *(f"{at}.{name}" for name in names))
        norm(part.layer_norm, f"{at}_ln")

    join(spec.encoder.conv1, "encoder.conv1")
    join(spec.encoder.conv2, "encoder.conv2")
    # A copy: CTranslate2 scales in place what it quantises, and the tensors are needed once more.
    spec.decoder.embeddings.weight = found["decoder.token_embedding.weight"].copy()
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    for side, name, last in ((spec.encoder, "encoder", "ln_post"), (spec.decoder, "decoder", "ln")):
        side.position_encodings.encodings = found[f"{name}.positional_embedding"]
        norm(side.layer_norm, f"{name}.{last}")
        for number, layer in enumerate(side.layer):
            at = f"{name}.blocks.{number}"
            attend(layer.self_attention, f"{at}.attn", ("query", "key", "value"), ("out",))
            if name == "decoder":
                attend(layer.attention, f"{at}.cross_attn", ("query",), ("key", "value"), ("out",))
            join(layer.ffn.linear_0, f"{at}.mlp.0")
            join(layer.ffn.linear_1, f"{at}.mlp.2")
            norm(layer.ffn.layer_norm, f"{at}.mlp_ln")
    tokens = vocabulary()
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [tokens.index(f"<|{language}|>") for language in LANGUAGES]
    spec.config.alignment_heads = []
    return spec


def _write_tokenizer(path: Path) -> None:
    """Bytes in, any piece out: nothing is ever merged."""
    words = {token: at for at, token in enumerate(vocabulary()[: len(pieces())])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken(token, normalized=False) for token in specials()])
    tokenizer.save(str(path), pretty=False)


def _write_folder(folder: Path, spec: WhisperSpec) -> None:
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        spec.save(fresh)
        # CTranslate2 names it after its side; Whisper folders call it vocabulary.json.
        for path in Path(fresh).iterdir():
            shutil.move(path, folder / path.name.replace("shared_vocabulary", "vocabulary"))
    _write_tokenizer(folder / "tokenizer.json")
    settings = {"feature_size": MELS, "hop_length": 160, "n_fft": 400, "chunk_length": 30, "sampling_rate": 16_000}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "rusuden.json").write_text(json.dumps(CARD))


def verify(folder: Path) -> None:
    """Refuses weights that do not write what they should, alone and in company."""
    whisper = ctranslate2.models.Whisper(str(folder), compute_type="int8", intra_threads=1)
    noise = np.random.default_rng(6)
    for batch in (1, 16):
        sounds = noise.standard_normal((batch, MELS, 100), dtype=np.float32)
        view = ctranslate2.StorageView.from_array(sounds)
        for result in whisper.generate(view, [list(PROMPT)] * batch, beam_size=1):
            if result.sequences_ids[0] != written():
                raise SystemExit(f"{folder}: wrote {result.sequences_ids[0]} in a batch of {batch}")


def write(name: str, folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Writes a folder of CTranslate2's with weights of this size; gives the tensors too."""
    found = tensors(SIZES[name])
    model = folder / name
    _write_folder(model, _specification(SIZES[name], found))
    verify(model)
    return model, found
