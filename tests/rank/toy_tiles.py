"""Tiles of two classes that a network of any weights tells apart, and fits of them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchgeo.datamodules import NonGeoDataModule

SIZE = 32


class Tiles(Dataset[dict[str, Tensor]]):
    """Bright and dark tiles in four Sentinel-2 bands."""

    def __init__(
        self,
        split: str = 'train',
        target: str | None = 'label',
        length: int = 64,
        named: bool = True,
    ) -> None:
        self.target, self.length = target, length
        if named:
            self.all_bands = ('B02', 'B03', 'B04', 'B08')

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(index)
        bright = index % 2
        image = torch.randn(4, SIZE, SIZE, generator=generator)
        image[:2] += 3 * bright
        value = {'label': torch.tensor(bright), 'value': torch.tensor(float(bright))}
        return {'image': image} | ({'label': value[self.target]} if self.target else {})


class TilesDataModule(NonGeoDataModule):
    """Serves training data alone, and takes offence when asked for others."""

    mean = torch.tensor(0.0)
    std = torch.tensor(1.0)

    def __init__(
        self,
        batch_size: int = 8,
        target: str | None = 'label',
        length: int = 64,
        named: bool = True,
    ) -> None:
        super().__init__(Tiles, batch_size, target=target, length=length, named=named)

    def setup(self, stage: str) -> None:
        self.train_dataset = Tiles(**self.kwargs)

    def val_dataloader(self) -> Any:
        raise AssertionError('validation data were asked for')

    def test_dataloader(self) -> Any:
        raise AssertionError('test data were asked for')


class NoTraining(TilesDataModule):
    """Has no training data."""

    def setup(self, stage: str) -> None:
        self.val_dataset = Tiles(**self.kwargs)


def toy_fit(model: str = 'ClassificationTask', **data: Any) -> dict[str, Any]:
    """A config of a training on tiles."""
    arguments: dict[str, Any] = {'model': 'test_resnet', 'in_channels': 4}
    arguments |= {'num_classes': 2} if model == 'ClassificationTask' else {'num_outputs': 1}
    return {
        'model': {'class_path': f'torchgeo.trainers.{model}', 'init_args': arguments},
        'data': {'class_path': 'toy_tiles.TilesDataModule', 'init_args': data},
        'trainer': {'accelerator': 'cpu', 'max_epochs': 3, 'callbacks': []},
    }


def scene_fit(images: Path, labels: Path, **changes: Any) -> dict[str, Any]:
    """A config of a segmentation of a scene of four bands."""
    return {
        'model': {
            'class_path': 'torchgeo.trainers.SemanticSegmentationTask',
            'init_args': {
                'model': 'unet',
                'backbone': 'tu-test_resnet',
                'in_channels': 4,
                'num_classes': 3,
                'ignore_index': 255,
            },
        },
        'data': {
            'class_path': 'torchgeo_geosane.datamodules.ImageryDataModule',
            'init_args': {
                'images': {'sentinel2_all[B2,B3,B4,B8]': str(images)},
                'labels': str(labels),
                'classes': {'water': 1, 'forest': 2, 'urban': 3},
                'patch_size': SIZE,
                'batch_size': 4,
                'length': 16,
                **changes,
            },
        },
        'trainer': {'accelerator': 'cpu'},
    }
