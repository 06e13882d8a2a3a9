"""How well a foundry gives weights back: relative errors for each model and kind of layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.sampling import KDE
from torchgeo_geosane.training.linear import Moments
from torchgeo_geosane.training.metrics import KINDS
from torchgeo_geosane.training.store import OpenedModel, TokenBatch
from torchgeo_geosane.training.windows import EvenWindows


@dataclass(frozen=True)
class ModelReport:
    """Errors on one model, each ``|y - x| / |x|`` over real entries of scaled rows.

    Attributes:
        name: ``source/model``.
        split: ``trained`` or ``held_out``.
        reconstruction: Error of ``decode(encode(x))``.
        generation: Error with the default sampler's noise (KDE, seed 0) added to the latents.
        kinds: Error of reconstruction for each kind of layer.
    """

    name: str
    split: str
    reconstruction: float
    generation: float
    kinds: dict[str, float]


def report(
    model: WeightAutoencoder, models: Sequence[OpenedModel], windows: int
) -> list[ModelReport]:
    """Measure a foundry on up to ``windows`` evenly spaced windows of each model."""
    return [_measure(model, opened, windows) for opened in models]


@torch.inference_mode()
def latent_moments(
    model: WeightAutoencoder, models: Sequence[OpenedModel], windows: int
) -> Moments:
    """Moments of the latents of up to ``windows`` evenly spaced windows of each model."""
    moments = Moments(model.config.latent_dim)
    for opened in models:
        for _, batch in _windows(opened, model, windows):
            moments.add(_encode(model, batch)[batch['mask'].any(-1)])
    return moments


@torch.inference_mode()
def _measure(model: WeightAutoencoder, opened: OpenedModel, windows: int) -> ModelReport:
    sampler = KDE()
    # Rows: reconstruction, generation, the targets themselves.
    squares = torch.zeros(3, len(KINDS), dtype=torch.float64)
    for start, batch in _windows(opened, model, windows):
        latents = _encode(model, batch)
        sampled = sampler.sample(latents[None], start, seed=0)
        outputs = (_decode(model, latents, batch), _decode(model, sampled, batch))
        for row, values in enumerate([output - batch['tokens'] for output in outputs]):
            squared = (values.square() * batch['mask']).sum(-1)
            squares[row].index_add_(0, batch['kinds'], squared.double())
        squares[2].index_add_(0, batch['kinds'], batch['size'].double())
    reconstruction, generation, size = squares
    return ModelReport(
        name=opened.entry.name,
        split=opened.entry.split,
        reconstruction=_relative(reconstruction.sum(), size.sum()),
        generation=_relative(generation.sum(), size.sum()),
        kinds={
            kind: _relative(reconstruction[i], size[i])
            for i, kind in enumerate(KINDS)
            if size[i] > 0
        },
    )


def _windows(
    opened: OpenedModel, model: WeightAutoencoder, windows: int
) -> Iterator[tuple[int, TokenBatch]]:
    even = EvenWindows([opened], model.config, windows)
    for index, start in enumerate(even.starts):
        yield start, even[index]


def _encode(model: WeightAutoencoder, batch: TokenBatch) -> Tensor:
    return model.encode(*_inputs(model, batch['tokens'], batch))[0].cpu()


def _decode(model: WeightAutoencoder, latents: Tensor, batch: TokenBatch) -> Tensor:
    return model.decode(*_inputs(model, latents, batch))[0].cpu()


def _inputs(model: WeightAutoencoder, values: Tensor, batch: TokenBatch) -> list[Tensor]:
    """One window as a batch on the model's device."""
    device = model.tokenizer.weight.device
    return [tensor[None].to(device) for tensor in (values, batch['positions'], batch['kinds'])]


def _relative(error: Tensor, size: Tensor) -> float:
    return round(float((error / size).sqrt()), 4)
