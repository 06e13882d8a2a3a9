"""Tasks of TorchGeo train for a step from generated weights, on files laid out as their data sets are.

Of the tasks that no example has: instance segmentation, pixelwise regression, and ways of learning
without labels; and detection on other backbones.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from miniatures import reflectance, write_eurosat, write_raster, write_vhr10
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchgeo import trainers
from torchgeo.datamodules import EuroSATDataModule, VHR10DataModule
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import RandomBatchGeoSampler

from torchgeo_geosane import tasks
from torchgeo_geosane.architectures import flat_name, get_architecture
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.spec import Spec

pytestmark = [
    pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning'),
    pytest.mark.filterwarnings('ignore:.*self.log'),
]


class Height(RasterDataset):
    """A continuous map, as canopy heights or biomass come."""

    filename_glob = 'height*.tif'
    is_image = False
    dtype = torch.float32  # type: ignore[assignment]


class Reflectance(RasterDataset):
    """Four bands of Sentinel-2."""

    filename_glob = 'image*.tif'


def detections(folder: Path) -> VHR10DataModule:
    write_vhr10(folder)
    return VHR10DataModule(root=folder, batch_size=2, patch_size=64, checksum=False)


def patches(folder: Path) -> EuroSATDataModule:
    write_eurosat(folder)
    return EuroSATDataModule(root=folder, batch_size=4)


class Heights(LightningDataModule):
    """Patches of both, as TorchGeo intersects and samples files."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        image = reflectance(4, seed=0, size=128).astype(np.float32)
        write_raster(folder / 'image.tif', image)
        write_raster(folder / 'height.tif', image[:1] / 100)
        self._folder = folder

    def train_dataloader(self) -> DataLoader[Any]:
        dataset = Reflectance(self._folder) & Height(self._folder)
        sampler = RandomBatchGeoSampler(dataset, size=64, batch_size=2, length=4)
        return DataLoader(dataset, batch_sampler=sampler, collate_fn=stack_samples)

    val_dataloader = train_dataloader


def train(task: LightningModule, data: Any, folder: Path, backbone: nn.Module, spec: Spec) -> None:
    """Train for a step and validate: it starts from the generated tensors, and learns."""
    assert_holds(backbone.state_dict(), spec)
    stem = next(p for p in backbone.parameters() if p.requires_grad)
    before = stem.detach().clone()
    trainer = Trainer(
        accelerator='cpu',
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        enable_progress_bar=False,
        logger=False,
        callbacks=[ModelCheckpoint(folder, save_last=True, save_weights_only=True)],
    )
    trainer.fit(task, data)
    assert trainer.global_step > 0
    logged = trainer.callback_metrics
    assert any(not name.startswith('val') for name in logged)
    assert all(math.isfinite(value) for value in logged.values())
    assert not torch.equal(stem, before)


def assert_holds(held: Mapping[str, Tensor], spec: Spec) -> None:
    """Every generated tensor that the backbone has a place for is in it, the stem among them."""
    generated = {flat_name(name): tensor for name, tensor in generate(spec).tensors.items()}
    known = [name for name in held if flat_name(name) in generated]
    assert len(known) > 0.8 * len(generated)
    assert any(
        flat_name(name) in map(flat_name, get_architecture(spec.architecture).stems)
        for name in known
    )
    for name in known:
        assert torch.equal(held[name], generated[flat_name(name)]), name


@pytest.mark.parametrize('model', ['faster-rcnn', 'fcos', 'retinanet', 'mask-rcnn'])
@pytest.mark.parametrize('architecture', ['resnet50', 'test_convnext'])
def test_detection_and_instances(folder: Path, model: str, architecture: str) -> None:
    spec = Spec(architecture, 'rgb', ('random',))
    instances = model == 'mask-rcnn'
    task_class = (
        tasks.GeoSANEInstanceSegmentationTask if instances else tasks.GeoSANEObjectDetectionTask
    )
    task = task_class(model, architecture, spec.url, in_channels=3, num_classes=11, lr=1e-4)
    train(task, detections(folder), folder, task.model.backbone.body, spec)
    # What it saved is read again, without the weights.
    again = task_class.load_from_checkpoint(folder / 'last.ckpt')
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert set(again.eval().model(list(images))[0]) >= {'boxes', 'labels', 'scores'}


@pytest.mark.parametrize('by_name', [False, True])
@pytest.mark.parametrize('model', ['unet', 'deeplabv3+', 'upernet'])
def test_pixelwise_regression(folder: Path, model: str, by_name: bool) -> None:
    spec = Spec('resnet18', 'sentinel2_4', ('random',))
    chosen: dict[str, Any] = (
        {'backbone': f'tu-{timm_name(spec)}', 'weights': True}
        if by_name
        else {'backbone': 'resnet18', 'weights': spec.url}
    )
    task = trainers.PixelwiseRegressionTask(model=model, in_channels=4, lr=1e-3, **chosen)
    encoder = task.model.encoder
    train(task, Heights(folder), folder, getattr(encoder, 'model', encoder), spec)


@pytest.mark.parametrize('by_name', [False, True])
@pytest.mark.parametrize('name', ['SimCLRTask', 'MoCoTask', 'BYOLTask'])
def test_learning_without_labels(folder: Path, name: str, by_name: bool) -> None:
    architecture = 'test_convnext' if by_name and name != 'BYOLTask' else 'resnet18'
    bands = 'B1,B2,B3,B4,B5,B6,B7,B8,B9,B10,B11,B12,B8A'
    spec = Spec(architecture, f'sentinel2_all[{bands}]', ('random',))
    chosen: dict[str, Any] = (
        {'model': timm_name(spec), 'weights': True}
        if by_name
        else {'model': architecture, 'weights': spec.url}
    )
    sizes = {} if name == 'BYOLTask' else {'size': 64, 'hidden_dim': 16, 'output_dim': 8}
    task = getattr(trainers, name)(in_channels=13, lr=1e-3, **chosen, **sizes)
    if name == 'BYOLTask':
        backbone = task.model.backbone.model
        # Its first pass, of zeros, has moved running statistics on.
        kinds = ('running_mean', 'running_var', 'num_batches_tracked')
        tensors = generate(spec).tensors
        moved = {key: value for key, value in tensors.items() if key.endswith(kinds)}
        backbone.load_state_dict(moved, strict=False)
    else:
        backbone = task.backbone
    train(task, patches(folder), folder, backbone, spec)


@pytest.mark.parametrize('by_name', [False, True])
def test_masked_autoencoder(folder: Path, by_name: bool) -> None:
    if not hasattr(tasks, 'MAETask'):
        pytest.skip('TorchGeo 0.8 and 0.9 have no masked autoencoder')
    bands = 'B1,B2,B3,B4,B5,B6,B7,B8,B9,B10,B11,B12,B8A'
    spec = Spec('test_vit', f'sentinel2_all[{bands}]', ('random',))
    chosen: dict[str, Any] = (
        {'model': timm_name(spec), 'weights': True}
        if by_name
        else {'model': 'test_vit', 'weights': spec.url}
    )
    task = tasks.MAETask(
        in_channels=13, size=160, decoder_dim=32, decoder_num_heads=2, warmup_epochs=0, **chosen
    )
    train(task, patches(folder), folder, task.backbone.vit, spec)
