"""A batch and what the network made of it in, losses out.

Five of them: next token; phones in order (CTC); phone of each position; attention near the place
where a token is heard; and the imitation's distance from the encoder. The second to fourth make
alignment quick: without them the decoder recites. Refuses to know: optimisation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .batches import IGNORED, Batch
from .network import Trainee

GUIDED_LAYERS = 2
GUIDED_HEADS = 2
_NEAR = 25  # positions, half a second
_NOISE_LOW, _NOISE_HIGH = 0.5, 1.2  # share of the imitation's error


@dataclass(frozen=True)
class Weights:
    """How much each loss counts."""

    tokens: float = 0.8
    phone_sequence: float = 0.2
    phone_frames: float = 0.5
    attention: float = 0.3
    imitation: float = 0.3
    text: float = 0.6


def _token_loss(scores: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(scores.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def _sequence_loss(scores: Tensor, batch: Batch) -> Tensor:
    """CTC over phones. A mean over windows would let silent ones swamp it: each is scaled by its own length."""
    here = scores.device
    lengths = torch.tensor([len(row) for row in batch.phone_rows], device=here)
    phones = torch.tensor([phone for row in batch.phone_rows for phone in row], dtype=torch.long, device=here)
    loss = functional.ctc_loss(
        scores.float().log_softmax(-1).transpose(0, 1),
        phones,
        batch.lengths,
        lengths,
        zero_infinity=True,
        reduction="none",
    )
    return (loss / torch.maximum(lengths, batch.lengths / 4)).mean()


def _frame_loss(scores: Tensor, targets: Tensor) -> Tensor:
    if not (targets >= 0).any():
        return scores.float().sum() * 0
    return functional.cross_entropy(scores.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def _attention_loss(attended: list[Tensor], places: Tensor) -> Tensor:
    """Penalises guided heads for looking further than half a second from where a token is heard."""
    guided = places >= 0
    positions = torch.arange(attended[0].shape[-1], device=places.device)
    near = ((positions[None, None] - places[:, :, None]).abs() <= _NEAR).float()
    if not guided.any():
        return attended[-1].float().sum() * 0
    total = torch.zeros((), device=places.device)
    for weights in attended[-GUIDED_LAYERS:]:
        inside = (weights[:, :GUIDED_HEADS].float() * near[:, None]).sum(-1)
        total = total - ((inside + 1e-5).log() * guided[:, None]).sum() / (GUIDED_HEADS * guided.sum())
    return total / GUIDED_LAYERS


def _imitation_loss(trainee: Trainee, memory: Tensor, frame_phones: Tensor) -> Tensor:
    known = frame_phones >= 0
    if not known.any():
        return trainee.imitation.out.weight.sum() * 0
    guess = trainee.imitation(frame_phones.clamp(min=0))
    return (guess.float() - memory.detach().float())[known].square().mean()


def heard_losses(trainee: Trainee, batch: Batch) -> dict[str, Tensor]:
    """Losses of a batch of sound."""
    memory = trainee.model.encoder(batch.features)
    scores, attended = trainee.model.decoder(batch.tokens, memory)
    return {
        "tokens": _token_loss(scores, batch.targets),
        "phone_sequence": _sequence_loss(trainee.phone_sequence(memory), batch),
        "phone_frames": _frame_loss(trainee.phone_frames(memory), batch.frame_phones),
        "attention": _attention_loss(attended, batch.places),
        "imitation": _imitation_loss(trainee, memory, batch.frame_phones),
    }


def read_losses(trainee: Trainee, batch: Batch, distance: float) -> dict[str, Tensor]:
    """Loss of a batch of text; `distance` is the imitation's present error, added back as noise."""
    with torch.no_grad():
        memory = trainee.imitation(batch.laid_out)
        share = torch.empty(len(memory), 1, 1, device=memory.device).uniform_(_NOISE_LOW, _NOISE_HIGH)
        memory = memory + torch.randn_like(memory) * share * distance**0.5
    scores, attended = trainee.model.decoder(batch.tokens, memory)
    return {"text": _token_loss(scores, batch.targets) + 0.3 * _attention_loss(attended, batch.places)}


def total(losses: dict[str, Tensor], weights: Weights) -> Tensor:
    """The weighted sum."""
    return sum(getattr(weights, name) * loss for name, loss in losses.items())
