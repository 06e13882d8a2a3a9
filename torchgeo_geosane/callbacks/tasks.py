"""What our callbacks need to know of TorchGeo's tasks, alike on every version of TorchGeo."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.model import compares_dates

_SIAMESE = ('fcsiam', 'changevit')


def has_begun(trainer: Trainer) -> bool:
    """Whether training continues: from a checkpoint, or after an earlier ``fit``."""
    return trainer.ckpt_path is not None or trainer.global_step > 0


def stacks_dates(task: LightningModule) -> bool:
    """Whether the task joins the channels of two dates before its model sees them."""
    siamese = str(task.hparams.get('model')).startswith(_SIAMESE)
    return compares_dates(task) and not siamese


def model_input(task: LightningModule, batch: Any) -> Tensor:
    """What the task's model sees of a batch.

    Raises:
        DataError: If the batch has no ``image``.
    """
    image = batch.get('image') if isinstance(batch, dict) else None
    if image is None:
        known = ', '.join(batch) if isinstance(batch, dict) else type(batch).__name__
        raise DataError(f'a batch has no "image" for the model, only: {known}')
    return image.flatten(1, 2) if stacks_dates(task) else image


def original(module: nn.Module) -> nn.Module:
    """The module that ``torch.compile`` wrapped, or the module itself."""
    return getattr(module, '_orig_mod', module)


@contextmanager
def as_written(trainer: Trainer) -> Iterator[None]:
    """Run modules in the trainer's precision, but uncompiled: a few batches do not pay for it."""
    task = trainer.lightning_module
    compiled = any(hasattr(module, '_orig_mod') for module in task.modules())
    with ExitStack() as stack:
        stack.enter_context(trainer.precision_plugin.train_step_context())
        if compiled or getattr(task, '_compiler_ctx', None):
            stack.enter_context(torch.compiler.set_stance('force_eager'))
        yield
