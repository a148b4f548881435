"""Whisper's weights in the format that whisper.cpp loads, matrices in q8_0.

In: tensors under openai/whisper's names. Out: a file as whisper.cpp's `whisper_model_load` reads it
and its `quantize` writes it: blocks of 32 weights in 8 bits, convolutions in f16, the rest in f32.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

MAGIC = 0x67676D6C
F32, F16, Q8_0 = 0, 1, 8  # ggml_type
FILE_Q8_0 = 2_007  # quantisation's version 2, most tensors in q8_0 (ggml_ftype 7)
BLOCK = 32
FRAMES, MELS, FFT, RATE = 1_500, 80, 400, 16_000
FULL = ("encoder.positional_embedding", "decoder.positional_embedding")


@dataclass(frozen=True)
class Shape:
    """Both sides have as many layers and heads."""

    vocabulary: int
    layers: int
    width: int
    heads: int
    positions: int


def _q8_0(values: np.ndarray) -> np.ndarray:
    """A scale and 32 weights a block."""
    blocks = values.reshape(-1, BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127
    packed = np.empty(len(blocks), np.dtype([("scale", "<f2"), ("weights", "i1", BLOCK)]))
    packed["scale"] = scales[:, 0]
    packed["weights"] = np.rint(blocks / np.where(scales == 0, 1, scales))
    return packed


def _write_tensor(out: BinaryIO, name: str, values: np.ndarray) -> None:
    if name.startswith("encoder.conv") and name.endswith("bias"):
        values = values[:, None]
    if values.ndim == 3:
        kind, data = F16, values.astype("<f2")
    elif values.ndim == 2 and name not in FULL and not name.endswith("bias"):
        kind, data = Q8_0, _q8_0(values)
    else:
        kind, data = F32, values.astype("<f4")
    encoded = name.encode()
    out.write(struct.pack("<3i", values.ndim, len(encoded), kind))
    out.write(struct.pack(f"<{values.ndim}i", *reversed(values.shape)))
    out.write(encoded)
    out.write(data.tobytes())


def write(path: Path, shape: Shape, pieces: list[bytes], tensors: dict[str, np.ndarray]) -> None:
    """Writes the file; whisper.cpp names the tokens after `pieces` itself."""
    filters = FeatureExtractor.get_mel_filters(RATE, FFT, MELS).astype("<f4")
    side = (shape.width, shape.heads, shape.layers)
    with path.open("wb") as out:
        out.write(struct.pack("<2i", MAGIC, shape.vocabulary))
        out.write(struct.pack("<4i", FRAMES, *side))
        out.write(struct.pack("<4i", shape.positions, *side))
        out.write(struct.pack("<4i", MELS, FILE_Q8_0, *filters.shape))
        out.write(filters.tobytes())
        out.write(struct.pack("<i", len(pieces)))
        for piece in pieces:
            out.write(struct.pack("<i", len(piece)) + piece)
        for name, values in tensors.items():
            _write_tensor(out, name, values)
