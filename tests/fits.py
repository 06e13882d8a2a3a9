"""Fits for tests: three classes, told apart by a small network on four bands; scenes for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rasterio.transform import from_origin
from rasters import write_raster
from torchgeo.trainers import PixelwiseRegressionTask, SemanticSegmentationTask

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.predict.scenes import Scene, scenes_of

BANDS = ('B2', 'B3', 'B4', 'B8')
STACK = f'sentinel2_all[{",".join(BANDS)}]'
CLASSES = {'water': 1, 'forest': 2, 'urban': 3}
PATCH = 32
UTM = {'crs': 'EPSG:32632', 'transform': from_origin(600_000, 5_800_020, 10, 10)}


@dataclass(frozen=True)
class Fit:
    """What a fit leaves behind.

    Attributes:
        config: Its config.
        checkpoint: Its checkpoint.
    """

    config: Path
    checkpoint: Path


def scene_values(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth reflectance x 10,000 in four bands, uint16, above 0."""
    generator = np.random.default_rng(seed)
    coarse = generator.normal(0, 1, (4, height // 8 + 2, width // 8 + 2))
    smooth = np.kron(coarse, np.ones((8, 8)))[:, :height, :width]
    return (1500 + 300 * smooth + generator.normal(0, 50, smooth.shape)).clip(1).astype(np.uint16)


def write_scene(path: Path, values: np.ndarray, **profile: Any) -> Path:
    """Write a scene of the four bands."""
    write_raster(path, values, **{**UTM, 'nodata': 0, **profile})
    return path


def network(task: Any) -> torch.nn.Module:
    """Give a task weights that tell something: random ones, so large that answers differ."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in task.model.parameters():
            scale = 1.5 / max(parameter[0].numel(), 1) ** 0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return task.model


def write_fit(folder: Path, values: np.ndarray, **changes: Any) -> Fit:
    """Write config and checkpoint of a fit on a scene."""
    regression = changes.pop('regression', False)
    arguments: dict[str, Any] = {'model': 'fcn', 'in_channels': 4, 'num_filters': 8}
    if regression:
        task: Any = PixelwiseRegressionTask(**arguments, num_outputs=1)
        arguments['num_outputs'] = 1
    else:
        arguments |= {'num_classes': 3, **changes.pop('task', {})}
        task = SemanticSegmentationTask(**arguments)
    images = write_scene(folder / 'training' / 'scene_20200615.tif', values)
    data = {
        'images': {STACK: str(images)},
        'classes': CLASSES,
        'patch_size': PATCH,
        'batch_size': 4,
    }
    if regression:
        del data['classes']
    content = {
        'model': {'class_path': f'torchgeo.trainers.{type(task).__name__}', 'init_args': arguments},
        'data': {
            'class_path': 'torchgeo_geosane.datamodules.ImageryDataModule',
            'init_args': {**data, **changes},
        },
        'trainer': {'max_epochs': 3},
    }
    config = folder / 'config.yaml'
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    network(task)
    checkpoint = folder / 'checkpoints' / 'best.ckpt'
    checkpoint.parent.mkdir(exist_ok=True)
    path = content['model']['class_path']
    parameters = {**task.hparams, '_class_path': path}
    torch.save({'state_dict': task.state_dict(), 'hyper_parameters': parameters}, checkpoint)
    return Fit(config, checkpoint)


def scene_of(path: Path) -> Scene:
    """A file as a scene."""
    return scenes_of(Imagery({STACK: path}))[0]
