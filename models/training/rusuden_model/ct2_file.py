"""A CTranslate2 `model.bin` in, its weights as 32-bit floats out.

Lets training go on from an exported folder when no checkpoint is at hand. Refuses to know: what
the weights are for.
"""

import struct
from pathlib import Path

import numpy as np

_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_SCALE = "_scale"


class _Reader:
    def __init__(self, data: bytes):
        self._data = data
        self._at = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from("<" + code, self._data, self._at)
        self._at += struct.calcsize("<" + code)
        return value

    def text(self) -> str:
        length = self.number("H")
        value = self._data[self._at : self._at + length - 1].decode()
        self._at += length
        return value

    def array(self, kind: type, count: int) -> np.ndarray:
        value = np.frombuffer(self._data, kind, count, self._at)
        self._at += value.nbytes
        return value


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Every variable by name; 8-bit rows are multiplied out by their scales."""
    reader = _Reader(path.read_bytes())
    version = reader.number("I")
    if version < 6:
        raise ValueError(f"{path} has binary version {version}; convert it again with CTranslate2 4.")
    reader.text()
    reader.number("I")
    raw: dict[str, np.ndarray] = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        kind = _TYPES[reader.number("B")]
        size = reader.number("I")
        raw[name] = reader.array(kind, size // np.dtype(kind).itemsize).reshape(shape)
    aliases = {}
    for _ in range(reader.number("I")):
        alias = reader.text()
        aliases[alias] = reader.text()
    weights = {}
    for name, value in raw.items():
        if name.endswith(_SCALE) and name.removesuffix(_SCALE) in raw:
            continue
        scale = raw.get(name + _SCALE)
        full = value.astype(np.float32)
        weights[name] = full if scale is None else full / scale.astype(np.float32).reshape(-1, *[1] * (full.ndim - 1))
    weights.update({alias: weights[name] for alias, name in aliases.items() if name in weights})
    return weights
