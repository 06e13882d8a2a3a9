"""Weights of which a foundry can learn something."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from torchgeo_geosane.collection import TrainedModel


def toy_state(seed: int) -> dict[str, torch.Tensor]:
    """A small network whose rows are sine waves, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    phases = torch.rand(48, 1, generator=generator) * 2 * math.pi
    waves = torch.sin(torch.arange(36) * 0.35 + phases)
    return {
        'stem.weight': waves[:24].reshape(24, 4, 3, 3),
        'stem.bias': torch.zeros(24),
        'fc.weight': waves[24:],
        'steps': torch.tensor(3),
    }


def model_of(path: Path, architecture: str | None = None) -> TrainedModel:
    """A model of a collection, whose weights a file holds."""
    return TrainedModel(
        name=f'toy/{path.stem}',
        package='toy',
        version='1',
        file=path.name,
        sha256=None,
        modality='general',
        task='none',
        licence='MIT',
        architecture=architecture,
        fetch=lambda: path,
    )


@dataclasses.dataclass(frozen=True)
class ToySource:
    """Three small models in a folder."""

    folder: Path
    name: str = 'toy'

    def models(self) -> Iterator[TrainedModel]:
        for seed, label in enumerate('abc'):
            path = self.folder / f'{label}.pt'
            if not path.exists():  # Other processes read it.
                torch.save(toy_state(seed), path)
            yield model_of(path)
