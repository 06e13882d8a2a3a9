from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
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


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """Writes tensors into a file of the folder ``models``, in the format that its suffix says."""

    def save(name: str, tensors: object) -> Path:
        path = tmp_path / 'models' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == '.safetensors':
            save_file(tensors, path)
        else:
            torch.save(tensors, path)
        return path

    return save
