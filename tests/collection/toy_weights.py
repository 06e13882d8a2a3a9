"""Models of a few thousand values."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

SaveModel = Callable[..., Path]


def weights(seed: int) -> dict[str, Tensor]:
    """A small network: 8160 values."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        'conv.weight': (40, 4, 3, 3),
        'conv.bias': (40,),
        'fc.weight': (64, 80),
        'head.weight': (10, 156),
    }
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
