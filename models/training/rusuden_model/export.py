"""A checkpoint in, a CTranslate2 folder out that ct2rs and faster-whisper load.

Beside the weights: tokenizer, feature settings for other loaders, and `rusuden.json`, which tells
the engine how to cut and pad for this model. Refuses to know: how good the model is.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from ctranslate2.specs import common_spec
from ctranslate2.specs.whisper_spec import WhisperSpec
from torch import nn

from .features import FRAME, HOP, MELS
from .losses import GUIDED_HEADS, GUIDED_LAYERS
from .network import Attention, Layer, Shape, Trainee, Whisper
from .vocabulary import Vocabulary
from .vocoder import RATE

QUANTISATION = "int8_float16"  # half the size of the rest, 32 bits again once loaded on a CPU
CARD = {
    "name": "rusuden-default",
    "context_min_ms": 1280,
    "context_step_ms": 640,
    "window_min_ms": 1000,
    "window_max_ms": 7000,
    "join_pause_ms": 0,
    "timestamps": False,
    "prompts": False,
    "compression_ratio_max": 2.4,
    "logprob_min": -1.5,
    "no_speech_max": 0.6,
    "temperatures": [],
}
CHECKSUMS = "SHA256SUMS"


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().contiguous().numpy()


def _norm(spec: common_spec.LayerNormSpec, module: nn.LayerNorm) -> None:
    spec.gamma, spec.beta = _array(module.weight), _array(module.bias)


def _join(spec: common_spec.LinearSpec, *parts: nn.Linear) -> None:
    zeros = torch.zeros(parts[0].out_features)
    spec.weight = _array(torch.cat([part.weight for part in parts]))
    spec.bias = _array(torch.cat([zeros if part.bias is None else part.bias for part in parts]))


def _attention(spec: object, module: Attention, norm: nn.LayerNorm, *, cross: bool) -> None:
    if cross:
        _join(spec.linear[0], module.query)
        _join(spec.linear[1], module.key, module.value)
    else:
        _join(spec.linear[0], module.query, module.key, module.value)
    _join(spec.linear[-1], module.out)
    _norm(spec.layer_norm, norm)


def _layer(spec: object, layer: Layer) -> None:
    _attention(spec.self_attention, layer.self_attention, layer.self_norm, cross=False)
    if layer.cross_attention is not None:
        _attention(spec.attention, layer.cross_attention, layer.cross_norm, cross=True)
    _join(spec.ffn.linear_0, layer.feed_in)
    _join(spec.ffn.linear_1, layer.feed_out)
    _norm(spec.ffn.layer_norm, layer.feed_norm)


def specification(model: Whisper, vocabulary: Vocabulary) -> WhisperSpec:
    """The model as CTranslate2 describes it, not yet quantised."""
    shape = model.shape
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    for part, module in ((spec.encoder.conv1, model.encoder.conv1), (spec.encoder.conv2, model.encoder.conv2)):
        part.weight, part.bias = _array(module.weight), _array(module.bias)
    spec.encoder.position_encodings.encodings = _array(model.encoder.positions)
    spec.decoder.position_encodings.encodings = _array(model.decoder.positions)
    spec.decoder.embeddings.weight = _array(model.decoder.embedding.weight)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    for side, module in ((spec.encoder, model.encoder), (spec.decoder, model.decoder)):
        _norm(side.layer_norm, module.norm)
        for layer_spec, layer in zip(side.layer, module.layers, strict=True):
            _layer(layer_spec, layer)
    spec.register_vocabulary(vocabulary.tokens())
    first_guided = max(0, shape.decoder_layers - GUIDED_LAYERS)
    spec.config.suppress_ids = []
    # Never <|endoftext|> here, or silence would have to become words.
    spec.config.suppress_ids_begin = [vocabulary.space]
    spec.config.lang_ids = [vocabulary.japanese]
    spec.config.alignment_heads = [
        (layer, head) for layer in range(first_guided, shape.decoder_layers) for head in range(GUIDED_HEADS)
    ]
    return spec


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_checksums(folder: Path) -> None:
    """`SHA256SUMS` of every file that the engine reads."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".json"))
    sums = (f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / CHECKSUMS).write_text("".join(sums), encoding="utf-8")


def export(checkpoint: Path, tokenizer: Path, folder: Path) -> None:
    """Writes the folder; files of it that are not the model's stay."""
    kept = torch.load(checkpoint, map_location="cpu", weights_only=True)
    trainee = Trainee(Shape(**kept["shape"]))
    trainee.load_state_dict(kept["trainee"])
    spec = specification(trainee.model, Vocabulary(tokenizer))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        spec.validate()
        spec.optimize(quantization=QUANTISATION)
        spec.save(fresh)
        # CTranslate2 names it after its side; Whisper folders call it vocabulary.json.
        for path in Path(fresh).iterdir():
            shutil.move(path, folder / path.name.replace("shared_vocabulary", "vocabulary"))
    shutil.copy(tokenizer, folder / "tokenizer.json")
    _write_json(
        folder / "preprocessor_config.json",
        {
            "chunk_length": 30,
            "feature_extractor_type": "WhisperFeatureExtractor",
            "feature_size": MELS,
            "hop_length": HOP,
            "n_fft": FRAME,
            "n_samples": 30 * RATE,
            "nb_max_frames": 3000,
            "padding_side": "right",
            "padding_value": 0.0,
            "processor_class": "WhisperProcessor",
            "return_attention_mask": False,
            "sampling_rate": RATE,
        },
    )
    _write_json(folder / "rusuden.json", CARD)
    write_checksums(folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.1f} MB after {kept['seen']} windows")


def main() -> None:
    """Exports a checkpoint."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    export(arguments.checkpoint, arguments.tokenizer, arguments.out)


if __name__ == "__main__":
    main()
