"""What data modules serve, as a trainer would get it."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from torchgeo_geosane.datamodules.chips import ChipDataModule

Batch = dict[str, Tensor]

STAGES = {'train': 'fit', 'val': 'validate', 'test': 'test', 'predict': 'predict'}
STATES = {'train': 'training', 'val': 'validating', 'test': 'testing', 'predict': 'predicting'}


def batches(module: ChipDataModule, part: str, seed: int = 0) -> list[Batch]:
    """One epoch of a part, after the transfer to the device."""
    torch.manual_seed(seed)
    module.setup(STAGES[part])
    state = {state: state == STATES[part] for state in STATES.values()}
    module.trainer = SimpleNamespace(**state, sanity_checking=False)
    loader = getattr(module, f'{part}_dataloader')()
    return [module.on_after_batch_transfer(batch, 0) for batch in loader]


def names(module: ChipDataModule, part: str) -> list[str]:
    """Names of the chips of a part."""
    module.setup(STAGES[part])
    subset = getattr(module, f'{part}_dataset')
    return [subset.dataset.name(index) for index in subset.indices]


def unchanged(module: ChipDataModule, part: str) -> Tensor:
    """The images of a part, in the files' units, one after the other."""
    module.setup(STAGES[part])
    return torch.stack([sample['image'] for sample in getattr(module, f'{part}_dataset')])


def normalised(images: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """What images are to be, by arithmetic of our own."""
    shape = (1, -1, 1, 1)
    return (images - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)


def fit_one_step(task: Any, module: ChipDataModule) -> dict[str, Tensor]:
    """One step of training and one of validation; the metrics."""
    from lightning.pytorch import Trainer

    trainer = Trainer(
        accelerator='cpu',
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, datamodule=module)
    return dict(trainer.callback_metrics)
