"""A task that trains in a blink, and eyes on what it sees."""

import os
from typing import Any, ClassVar

import kornia.augmentation as K
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import Dataset
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_geosane.datamodules.few_shot import few_shot

BANDS, SIZE, LENGTH = 6, 32, 16


class ToyChips(Dataset[dict[str, Tensor]]):
    """Noise whose left half is brighter in every other chip."""

    def __init__(self, split: str = 'train', labels: str = 'mask') -> None:
        self.labels = labels
        self.indices = list(range(LENGTH))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self.indices[index])
        bright = self.indices[index] % 2
        image = torch.randn(BANDS, SIZE, SIZE, generator=generator)
        image[:, :, : SIZE // 2] += bright
        mask = torch.zeros(SIZE, SIZE, dtype=torch.long)
        mask[:, : SIZE // 2] = bright
        label = torch.tensor(bright)
        return {'image': image, **({'mask': mask} if self.labels == 'mask' else {'label': label})}


class ToyDataModule(NonGeoDataModule):
    """Chips in a random order, flipped at random."""

    mean, std = torch.tensor(0.0), torch.tensor(1.0)

    def __init__(
        self,
        labels: str = 'mask',
        batch_size: int = 4,
        num_workers: int = 0,
        train_fraction: float = 1.0,
    ) -> None:
        super().__init__(ToyChips, batch_size, num_workers, labels=labels)
        self.train_fraction = train_fraction
        self.train_aug = K.AugmentationSequential(
            K.RandomHorizontalFlip(), data_keys=None, keepdim=True
        )

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == 'fit':
            names = [str(index) for index in range(LENGTH)]
            self.train_dataset.indices = few_shot(names, self.train_fraction, seed=0)


class Eyes(Callback):
    """Keeps what every training saw: its state before the first step, and all its batches."""

    starts: ClassVar[list[dict[str, Tensor]]] = []
    ends: ClassVar[list[dict[str, Tensor]]] = []
    batches: ClassVar[list[list[Tensor]]] = []

    @classmethod
    def close(cls) -> None:
        for seen in (cls.starts, cls.ends, cls.batches):
            seen.clear()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.starts.append({k: v.clone() for k, v in pl_module.state_dict().items()})
        self.batches.append([])

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.batches[-1].append(batch['image'].clone())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.ends.append({k: v.clone() for k, v in pl_module.state_dict().items()})


class Meddle(Callback):
    """Changes the weights after they were loaded."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with torch.no_grad():
            next(pl_module.parameters()).add_(1e-3)


class Stumble(Callback):
    """Breaks down at the first step of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if torch.initial_seed() == self.seed:
            raise MemoryError('toy breakdown')


class Fall(Stumble):
    """Takes the process with it."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if torch.initial_seed() == self.seed:
            os._exit(1)


def toy_fit(labels: str = 'mask', *callbacks: dict[str, Any]) -> dict[str, Any]:
    """Segmentation (``mask``) or classification (``label``) for four steps."""
    task = {
        'mask': ('SemanticSegmentationTask', {'model': 'unet', 'backbone': 'tu-test_resnet'}),
        'label': ('ClassificationTask', {'model': 'test_resnet'}),
    }
    name, arguments = task[labels]
    return {
        'model': {
            'class_path': f'torchgeo.trainers.{name}',
            'init_args': {**arguments, 'in_channels': BANDS, 'num_classes': 3, 'lr': 0.01},
        },
        'data': {'class_path': 'toy_task.ToyDataModule', 'init_args': {'labels': labels}},
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': 1,
            'num_sanity_val_steps': 0,
            'callbacks': [{'class_path': 'toy_task.Eyes'}, *callbacks],
        },
    }
