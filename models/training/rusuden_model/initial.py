"""An exported model folder in, a trainee that goes on from its weights out.

Tokens are matched by their spelling, so the vocabulary may have changed in between. Refuses to
know: checkpoints of a running training.
"""

import json
from pathlib import Path

import numpy as np
import torch

from .ct2_file import read_weights
from .network import Attention, Layer, Trainee
from .vocabulary import Vocabulary

_Weights = dict[str, np.ndarray]


def _copy(parameter: torch.nn.Parameter, value: np.ndarray) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(value)))


def _norm(module: torch.nn.LayerNorm, weights: _Weights, name: str) -> None:
    _copy(module.weight, weights[f"{name}/gamma"])
    _copy(module.bias, weights[f"{name}/beta"])


def _linear(module: torch.nn.Linear, weight: np.ndarray, bias: np.ndarray) -> None:
    _copy(module.weight, weight)
    if module.bias is not None:
        _copy(module.bias, bias)


def _attention(module: Attention, weights: _Weights, name: str, *, cross: bool) -> None:
    """CTranslate2 joins query, key and value in self-attention, key and value in cross-attention."""
    width = module.query.in_features
    first, last = ("linear_0", "linear_2") if cross else (None, "linear_1")
    joined = "linear_1" if cross else "linear_0"
    weight, bias = weights[f"{name}/{joined}/weight"], weights[f"{name}/{joined}/bias"]
    if first:
        _linear(module.query, weights[f"{name}/{first}/weight"], weights[f"{name}/{first}/bias"])
        rest = (module.key, module.value)
    else:
        rest = (module.query, module.key, module.value)
    for index, part in enumerate(rest):
        rows = slice(index * width, (index + 1) * width)
        _linear(part, weight[rows], bias[rows])
    _linear(module.out, weights[f"{name}/{last}/weight"], weights[f"{name}/{last}/bias"])


def _layer(layer: Layer, weights: _Weights, name: str) -> None:
    _norm(layer.self_norm, weights, f"{name}/self_attention/layer_norm")
    _attention(layer.self_attention, weights, f"{name}/self_attention", cross=False)
    if layer.cross_attention is not None:
        _norm(layer.cross_norm, weights, f"{name}/attention/layer_norm")
        _attention(layer.cross_attention, weights, f"{name}/attention", cross=True)
    _norm(layer.feed_norm, weights, f"{name}/ffn/layer_norm")
    for part, number in ((layer.feed_in, 0), (layer.feed_out, 1)):
        _linear(part, weights[f"{name}/ffn/linear_{number}/weight"], weights[f"{name}/ffn/linear_{number}/bias"])


def start_from(trainee: Trainee, folder: Path, vocabulary: Vocabulary) -> int:
    """Copies the folder's weights; returns how many tokens it did not know."""
    weights = read_weights(folder / "model.bin")
    model = trainee.model
    for part, name in ((model.encoder.conv1, "conv1"), (model.encoder.conv2, "conv2")):
        _copy(part.weight, weights[f"encoder/{name}/weight"])
        _copy(part.bias, weights[f"encoder/{name}/bias"])
    for side, module in (("encoder", model.encoder), ("decoder", model.decoder)):
        _norm(module.norm, weights, f"{side}/layer_norm")
        for index, layer in enumerate(module.layers):
            _layer(layer, weights, f"{side}/layer_{index}")
    _copy(model.decoder.positions, weights["decoder/position_encodings/encodings"])
    known = {token: row for row, token in enumerate(json.loads((folder / "vocabulary.json").read_text("utf-8")))}
    embeddings, unknown = weights["decoder/embeddings/weight"], 0
    with torch.no_grad():
        for number, token in enumerate(vocabulary.tokens()):
            if token in known:
                model.decoder.embedding.weight[number] = torch.from_numpy(embeddings[known[token]].copy())
            else:
                unknown += 1
    return unknown
