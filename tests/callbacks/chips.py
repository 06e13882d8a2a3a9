"""Synthetic chips with labels of every kind, in data modules and trainers of the usual kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import Dataset
from torchgeo.datamodules import NonGeoDataModule

SIX = ('B02', 'B03', 'B04', 'B08', 'B11', 'B12')
SIZE = 32


class Chips(Dataset[dict[str, Tensor]]):
    """Chips of two classes that differ in colour and brightness, with speckle."""

    def __init__(
        self,
        split: str = 'train',
        bands: Sequence[str] = SIX,
        target: str = 'label',
        dates: int = 0,
        length: int = 16,
    ) -> None:
        self.bands, self.target, self.dates, self.length = tuple(bands), target, dates, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(index)
        shape = (*([self.dates] if self.dates else []), len(self.bands), SIZE, SIZE)
        image = 50 + 20 * torch.randn(shape, generator=generator)
        bright = index % 2
        image[..., : len(self.bands) // 2, :, : SIZE // 2] += 100 * bright
        mask = torch.zeros(SIZE, SIZE, dtype=torch.long)
        mask[:, : SIZE // 2] = bright
        targets = {
            'label': torch.tensor(bright),
            'labels': torch.tensor([bright, 1 - bright]),
            'nothing that shows': torch.tensor(index // 2 % 2),
            'value': torch.tensor(float(bright)),
            'mask': mask,
            'heights': mask.float(),
        }
        key = 'mask' if self.target in {'mask', 'heights'} else 'label'
        return {'image': image, key: targets[self.target]}


class ChipsDataModule(NonGeoDataModule):
    """Chips in TorchGeo's way."""

    mean = torch.tensor(50.0)
    std = torch.tensor(50.0)

    def __init__(self, dataset_class: Any = Chips, batch_size: int = 4, **kwargs: Any) -> None:
        super().__init__(dataset_class, batch_size, **kwargs)


class TrainingOnly(ChipsDataModule):
    """Has no validation or test data, and takes offence when asked for some."""

    def setup(self, stage: str) -> None:
        self.train_dataset = self.dataset_class(split='train', **self.kwargs)

    def val_dataloader(self) -> Any:
        raise AssertionError('validation data were asked for')

    def test_dataloader(self) -> Any:
        raise AssertionError('test data were asked for')


def trainer(folder: Path, *callbacks: Any, **settings: Any) -> Trainer:
    """A trainer for a step or two."""
    usual = {
        'accelerator': 'cpu',
        'max_steps': 1,
        'logger': False,
        'default_root_dir': folder,
        'enable_checkpointing': False,
        'enable_progress_bar': False,
        'enable_model_summary': False,
        'callbacks': list(callbacks),
    }
    return Trainer(**{**usual, **settings})
