"""Batches of training data ahead of the training, as the training will see them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from itertools import islice
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.data import DataLoader

from torchgeo_geosane.errors import DataError

# What is joined for a pass without gradients: 64 images of 128 x 128.
_PIXELS = 2**20


@contextmanager
def training_batches(trainer: Trainer, count: int) -> Iterator[Iterator[Any]]:
    """Draw batches of training data, on the device and augmented, from ``on_train_start`` on.

    They are those that the training will begin with. What is random in the process is put back on
    exit, so that the training is as it would have been without.

    Args:
        trainer: A trainer that is fitting; neither its validation nor its test data are touched.
        count: How many at most; never more than an epoch of this trainer has.

    Raises:
        DataError: If there are several training loaders.
    """
    loader = trainer.train_dataloader
    if isinstance(loader, dict | list | tuple):
        raise DataError(f'{len(loader)} training loaders at once are not supported: give one')
    if isinstance(loader, DataLoader):
        # A copy has workers of its own: the training's have begun on their first batches.
        loader = copy(loader)
        loader._iterator = None
    count = int(min(count, trainer.num_training_batches))
    states = [(generator, _state(generator)) for generator in _generators(loader)]
    with isolate_rng():
        try:
            yield islice(_delivered(trainer, loader), count)
        finally:
            for generator, state in states:
                _restore(generator, state)


def merged(images: Iterable[Tensor], pixels: int = _PIXELS) -> Iterator[Tensor]:
    """Join batches of images of one size, so that a batch's statistics are nearly the data's.

    Args:
        images: ``[batch, ..., channels, height, width]``.
        pixels: How many are joined at most; what is larger stays as it is.
    """
    held: list[Tensor] = []
    for image in images:
        fits = not held or (
            image.shape[1:] == held[0].shape[1:]
            and sum(map(_pixels, held)) + _pixels(image) <= pixels
        )
        if not fits:
            yield torch.cat(held)
            held = []
        held.append(image)
    if held:
        yield torch.cat(held)


def _pixels(image: Tensor) -> int:
    return image.numel() // image.shape[-3]


def _delivered(trainer: Trainer, loader: Any) -> Iterator[Any]:
    """Take Lightning's way from loader to training step, with the hooks of the data module."""
    task = trainer.lightning_module
    for loaded in loader:
        batch = trainer.precision_plugin.convert_input(loaded)
        batch = task._on_before_batch_transfer(batch, dataloader_idx=0)
        yield trainer.strategy.batch_to_device(batch, dataloader_idx=0)


def _generators(loader: Any) -> Iterator[torch.Generator | np.random.Generator]:
    """The random generators that a loader and its samplers have of their own."""
    sampler, batch_sampler = (getattr(loader, name, None) for name in ('sampler', 'batch_sampler'))
    for owner in (loader, sampler, batch_sampler, getattr(batch_sampler, 'sampler', None)):
        for value in getattr(owner, '__dict__', {}).values():
            if isinstance(value, torch.Generator | np.random.Generator):
                yield value


def _state(generator: torch.Generator | np.random.Generator) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    return generator.bit_generator.state


def _restore(generator: torch.Generator | np.random.Generator, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
