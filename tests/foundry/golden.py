"""What several tests of the foundry share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.foundry import Foundry

DATA = Path(__file__).parent / 'data'

MakeModel = Callable[..., WeightAutoencoder]


@dataclass(frozen=True)
class Golden:
    """What the official code gave for a miniature ResNet."""

    foundry: Foundry
    prompt: dict[str, Tensor]
    expected: dict[str, Tensor]
