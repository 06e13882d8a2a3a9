"""Latents of whole models, layers and windows: what a foundry's encoder makes of a collection."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchgeo_geosane.collection import ManifestEntry
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.training.store import OpenedModel, TokenBatch
from torchgeo_geosane.training.windows import EvenWindows


@dataclass(frozen=True)
class Points:
    """Pooled latents of some parts of some models.

    Attributes:
        latents: float32 ``[n, 2 * latent_dim]``: mean and standard deviation over the tokens of the
            part. Weights have a mean near zero, so the mean alone would say little.
        models: Number of the model of each point.
        names: What each point is, e.g. the name of a layer.
        depths: How deep in its model each part lies: 0 at the input, 1 at the output.
    """

    latents: Tensor
    models: tuple[int, ...]
    names: tuple[str, ...]
    depths: tuple[float, ...]

    def __len__(self) -> int:
        """Number of points."""
        return len(self.models)


@dataclass(frozen=True)
class CollectionLatents:
    """Latents of a collection at three scales.

    Attributes:
        entries: What the manifest says of each model.
        models: One point a model.
        layers: One point a layer that the windows reach.
        windows: One point a window.
    """

    entries: tuple[ManifestEntry, ...]
    models: Points
    layers: Points
    windows: Points


@torch.inference_mode()
def encode_collection(
    model: WeightAutoencoder, opened: Sequence[OpenedModel], windows: int
) -> CollectionLatents:
    """Encode up to ``windows`` evenly spaced windows of each model, and pool the latents.

    Args:
        model: The foundry's autoencoder.
        opened: The models of the collection.
        windows: How many of each model; memory and time grow with them, not with the models.
    """
    wholes, layers, parts = _Pool(), _Pool(), _Pool()
    for number, each in enumerate(opened):
        layout = each.reader.layout
        even = EvenWindows([each], model.config, windows)
        latents, tensors = [], []
        for index, start in enumerate(even.starts):
            batch = even[index]
            real = batch['mask'].any(-1)
            stop = start + int(real.sum())
            encoded = _encode(model, batch)[real]
            tensor = layout.positions(start, stop)[:, 1]
            parts.add(
                encoded, number, f'tokens {start}–{stop - 1}', _depth(tensor, layout.segments)
            )
            latents.append(encoded)
            tensors.append(tensor)
        everything, tensor = torch.cat(latents), torch.cat(tensors)
        for index in sorted(set(tensor.tolist())):
            of_layer = tensor == index
            depth = _depth(tensor[of_layer], layout.segments)
            layers.add(everything[of_layer], number, layout.segments[index].weight, depth)
        wholes.add(everything, number, 'whole model', 0.5)
    entries = tuple(each.entry for each in opened)
    return CollectionLatents(entries, wholes.points(), layers.points(), parts.points())


class _Pool:
    """Points under construction."""

    def __init__(self) -> None:
        self._rows: list[tuple[Tensor, int, str, float]] = []

    def add(self, latents: Tensor, model: int, name: str, depth: float) -> None:
        """Pool the latents ``[n, latent_dim]`` of one part."""
        pooled = torch.cat([latents.mean(0), latents.std(0, correction=0)])
        self._rows.append((pooled.float().cpu(), model, name, depth))

    def points(self) -> Points:
        latents, models, names, depths = zip(*self._rows, strict=True)
        return Points(torch.stack(latents), models, names, depths)


def _encode(model: WeightAutoencoder, batch: TokenBatch) -> Tensor:
    device = next(model.parameters()).device
    tokens, positions, kinds = (
        batch[name][None].to(device) for name in ('tokens', 'positions', 'kinds')
    )
    return model.encode(tokens, positions, kinds)[0]


def _depth(tensors: Tensor, segments: Sequence[object]) -> float:
    return tensors.double().mean().item() / max(len(segments) - 1, 1)
