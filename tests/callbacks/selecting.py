"""Trainings that select candidates, and what is looked at in them."""

from pathlib import Path
from typing import Any

import torch
from chips import ChipsDataModule, trainer
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor
from torchgeo.trainers import ClassificationTask

from torchgeo_geosane.callbacks import SelectCandidates


class Start(Callback):
    """Keeps the state before the first step, and the first batch."""

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self.state:
            tensors = pl_module.state_dict().items()
            self.state = {name: tensor.detach().clone() for name, tensor in tensors}
            self.image = batch['image'].clone()
            self.training = all(module.training for module in pl_module.modules())


def classification(weights: Any, model: str = 'test_resnet', **kwargs: Any) -> ClassificationTask:
    settings = {'in_channels': 6, 'num_classes': 2, **kwargs}
    return ClassificationTask(model, weights, **settings)


def without_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's part of a classification task's state."""
    named = {name.removeprefix('model.'): tensor for name, tensor in state.items()}
    return {
        name: tensor for name, tensor in named.items() if name.partition('.')[0] not in 'fc head'
    }


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() <= other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fit(folder: Path, callback: SelectCandidates, task: LightningModule, **data: Any) -> Start:
    start = Start()
    seed_everything(0, verbose=False)  # Which images are drawn.
    trainer(folder, callback, start).fit(task, datamodule=ChipsDataModule(**data))
    return start
