"""Features and tokens in, next-token scores out: Whisper's architecture, exactly.

Beside it the parts that only training needs: two heads that name phones, and an imitation of the
encoder that turns phones straight into what the encoder would have said, so that the decoder can
learn spelling from text alone. Refuses to know: losses, files.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .features import MELS
from .phones import PHONES

ENCODER_POSITIONS = 1500
DECODER_POSITIONS = 448


@dataclass(frozen=True)
class Shape:
    """Sizes of a model."""

    vocabulary: int
    width: int = 256
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 3


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's encoder positions."""
    rate = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angle = torch.arange(length)[:, None] * rate[None]
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Attention(nn.Module):
    """Multi-head attention with query, key and value apart from each other, as the export wants them."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor | None = None, *, causal: bool = False) -> tuple[Tensor, Tensor]:
        """The result and the attention weights (batch, heads, queries, keys)."""
        source = x if memory is None else memory
        query, key, value = self._split(self.query(x)), self._split(self.key(source)), self._split(self.value(source))
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if causal:
            size = scores.shape[-1]
            scores = scores + torch.full((size, size), -1e4, dtype=scores.dtype, device=x.device).triu(1)
        weights = scores.softmax(-1, dtype=scores.dtype)
        return self.out((weights @ value).transpose(1, 2).flatten(2)), weights


class Layer(nn.Module):
    """A pre-norm transformer layer, with cross-attention in the decoder."""

    def __init__(self, shape: Shape, *, cross: bool):
        super().__init__()
        self.self_norm = nn.LayerNorm(shape.width)
        self.self_attention = Attention(shape.width, shape.heads)
        self.cross_norm = nn.LayerNorm(shape.width) if cross else None
        self.cross_attention = Attention(shape.width, shape.heads) if cross else None
        self.feed_norm = nn.LayerNorm(shape.width)
        self.feed_in = nn.Linear(shape.width, 4 * shape.width)
        self.feed_out = nn.Linear(4 * shape.width, shape.width)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The result, and the cross-attention weights where there are any."""
        weights = None
        x = x + self.self_attention(self.self_norm(x), causal=memory is not None)[0]
        if self.cross_attention is not None:
            heard, weights = self.cross_attention(self.cross_norm(x), memory)
            x = x + heard
        return x + self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x)))), weights


class Encoder(nn.Module):
    """Log-mel features to one vector each 20 ms."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, shape.width, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(ENCODER_POSITIONS, shape.width), persistent=False)
        self.layers = nn.ModuleList(Layer(shape, cross=False) for _ in range(shape.encoder_layers))
        self.norm = nn.LayerNorm(shape.width)

    def forward(self, features: Tensor) -> Tensor:
        """(batch, 80, frames) to (batch, frames / 2, width)."""
        x = functional.gelu(self.conv1(features))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers:
            x, _ = layer(x)
        return self.norm(x)


class Decoder(nn.Module):
    """Tokens so far and the encoder's vectors to scores of the next token."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Parameter(torch.zeros(DECODER_POSITIONS, shape.width))
        self.layers = nn.ModuleList(Layer(shape, cross=True) for _ in range(shape.decoder_layers))
        self.norm = nn.LayerNorm(shape.width)

    def forward(self, tokens: Tensor, memory: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores (batch, length, vocabulary) and each layer's cross-attention weights."""
        x = self.embedding(tokens) + self.positions[: tokens.shape[1]]
        attended = []
        for layer in self.layers:
            x, weights = layer(x, memory)
            attended.append(weights)
        return functional.linear(self.norm(x), self.embedding.weight), attended


class Imitation(nn.Module):
    """Phones laid out in time to what the encoder would make of their sound."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.embedding = nn.Embedding(len(PHONES), shape.width // 2)
        self.first = nn.Conv1d(shape.width // 2, shape.width, 7, padding=3)
        self.second = nn.Conv1d(shape.width, shape.width, 5, padding=2)
        self.out = nn.Linear(shape.width, shape.width)
        self.register_buffer("positions", sinusoids(ENCODER_POSITIONS, shape.width), persistent=False)
        self.place = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, phones: Tensor) -> Tensor:
        """(batch, positions) phone numbers to (batch, positions, width)."""
        x = functional.gelu(self.first(self.embedding(phones).transpose(1, 2)))
        x = functional.gelu(self.second(x)).transpose(1, 2) + self.place(self.positions[: phones.shape[1]])
        return self.out(x)


class Whisper(nn.Module):
    """The model that is exported."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape)
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, 0, 0.05 if "conv" in name else 0.02)
        depth = 1 / math.sqrt(2 * (self.shape.encoder_layers + self.shape.decoder_layers))
        for layer in (*self.encoder.layers, *self.decoder.layers):
            layer.self_attention.out.weight.data *= depth
            layer.feed_out.weight.data *= depth


class Trainee(nn.Module):
    """The model with the parts that only training needs."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.model = Whisper(shape)
        self.phone_sequence = nn.Linear(shape.width, len(PHONES))
        self.phone_frames = nn.Linear(shape.width, len(PHONES))
        self.imitation = Imitation(shape)
