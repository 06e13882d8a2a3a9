"""What tests of the ranking share: weights in files, and a scene with labels."""

from pathlib import Path

import numpy as np
import pytest
from fits import UTM, scene_values, write_scene
from rasters import write_raster
from safetensors.torch import save_file

from torchgeo_geosane.architectures import get_architecture

ARCHITECTURE = 'test_resnet'


@pytest.fixture
def seeing(tmp_path: Path) -> Path:
    """Weights that see something."""
    return write_weights(tmp_path / 'seeing.safetensors', 1)


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """Weights that see nothing."""
    return write_weights(tmp_path / 'blind.safetensors', 1, 0)


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Path, Path]:
    """A scene and its labels, which are what its first band shows."""
    values = scene_values(96, 288)
    images = write_scene(tmp_path / 'scene_20200615.tif', values)
    levels = np.digitize(values[0], np.quantile(values[0], [0.33, 0.66])) + 1
    labels = tmp_path / 'labels.tif'
    write_raster(labels, levels[None].astype(np.uint8), **UTM)
    return images, labels


def write_weights(path: Path, seed: int, scale: float = 1.0) -> Path:
    """A state dict for the four bands."""
    tensors = get_architecture(ARCHITECTURE, 4).initialise(seed)
    scaled = {
        name: (tensor * scale if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in tensors.items()
    }
    save_file(scaled, path)
    return path
