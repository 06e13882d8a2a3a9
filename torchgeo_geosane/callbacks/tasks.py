"""What our callbacks need to know of TorchGeo's tasks, alike on every version of TorchGeo."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from torchgeo_geosane.errors import DataError
from torchgeo_geosane.export import provenance_of
from torchgeo_geosane.providers.catalog import find_spec, is_name
from torchgeo_geosane.providers.torchgeo import GeoSANEWeights
from torchgeo_geosane.spec import Spec

# TorchGeo 0.8 and 0.10 name this task differently.
_CHANGE_DETECTION = {'ChangeDetection', 'ChangeDetectionTask'}
_SIAMESE = ('fcsiam', 'changevit')


def has_begun(trainer: Trainer) -> bool:
    """Whether training continues: from a checkpoint, or after an earlier ``fit``."""
    return trainer.ckpt_path is not None or trainer.global_step > 0


def spec_of(task: LightningModule) -> Spec | None:
    """What the weights that a task started from stand for; None where they are not ours.

    Args:
        task: Its ``weights`` may be a member, a name, a URL, a file that we wrote, or True beside
            a timm name of ours.

    Raises:
        GeoSANEError: If a name of ours is misspelled, or a file of ours is damaged.
    """
    weights = getattr(task, 'weights', None)
    if isinstance(weights, GeoSANEWeights):
        return weights.spec
    if weights is True:
        return next((find_spec(name) for name in timm_names(task).values() if is_name(name)), None)
    if isinstance(weights, str) and os.path.exists(weights):
        return Spec.parse(provenance_of(weights).url)
    if isinstance(weights, str) and is_name(weights):
        return find_spec(weights)
    return None


def timm_names(task: LightningModule) -> dict[str, str]:
    """The architectures that a task names, by the argument: its backbone, else its model."""
    named = {key: task.hparams.get(key) for key in ('backbone', 'model')}
    return {key: name for key, name in named.items() if isinstance(name, str)}


def stacks_dates(task: LightningModule) -> bool:
    """Whether the task joins the channels of two dates before its model sees them."""
    names = {base.__name__ for base in type(task).__mro__}
    siamese = str(task.hparams.get('model')).startswith(_SIAMESE)
    return bool(names & _CHANGE_DETECTION) and not siamese


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
