"""Conditioning: running statistics of BatchNorm layers, estimated on the data at hand."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from torchgeo_geosane.callbacks.batches import merged, training_batches
from torchgeo_geosane.callbacks.tasks import as_written, has_begun, model_input
from torchgeo_geosane.errors import DataError

_STATISTICS = ('running_mean', 'running_var')


class ConditionBatchNorm(Callback):
    """Re-estimates the running statistics of all BatchNorm layers before the first training step.

    Generated weights come with the running statistics of their prompt, which describe neither these
    weights nor this data. Here each statistic becomes that of ``batches`` batches of training data,
    seen with the augmentations of training. Small batches are joined: statistics that differ from
    batch to batch do not fit each other on average, and errors grow from layer to layer. Weights
    stay as they are, and so does what is random in the training. A run that continues from a
    checkpoint is left alone at its start.

    Training itself keeps statistics of its last ten batches or so. Where batches are small, these fit
    as badly as those of a prompt: ``before_validation`` re-estimates them again, on training images
    prepared as those of the validation, so that what is validated, stored and tested has statistics
    of many images.

    Example:
        >>> Trainer(callbacks=[ConditionBatchNorm(batches=20, before_validation=True)])

    Args:
        batches: How many training batches to take.
        before_validation: Whether to do it before each validation of the training, too.
    """

    def __init__(self, batches: int = 20, before_validation: bool = False) -> None:
        if batches < 1:
            raise DataError(f'batches must be 1 or more, not {batches}')
        self.batches, self.before_validation = batches, before_validation
        self._layers: dict[str, _BatchNorm] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Condition the task.

        Raises:
            DataError: If no batch could be drawn, or no statistic changed.
        """
        layers = self._layers = running_layers(pl_module)
        if has_begun(trainer):
            rank_zero_info('BatchNorm not conditioned: the training continues an earlier one')
            return
        frozen = frozen_layers(pl_module)
        if frozen:
            rank_zero_info(f'BatchNorm left out of conditioning, because frozen: {_some(frozen)}')
        if not layers:
            rank_zero_info('BatchNorm not conditioned: no layer keeps running statistics')
            return
        change = self._estimate(trainer, pl_module)
        if change.unseen:
            rank_zero_info(f'BatchNorm that forward does not reach: {_some(change.unseen)}')
        if not change.changed:
            raise DataError(
                f'0 of {change.buffers} running statistics changed on {change.images} training '
                'images: they were estimated on these before, or the images hold nothing'
            )
        rank_zero_info(
            f'BatchNorm conditioned on {change.images} training images: {change.changed} of '
            f'{change.buffers} running statistics changed, by {change.mean:.0%} on average'
        )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Condition the task again, within a training."""
        if self.before_validation and self._layers:  # Found when the training started.
            self._estimate(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave later validations alone."""
        self._layers = {}

    def _estimate(self, trainer: Trainer, pl_module: LightningModule) -> 'Change':
        with training_batches(trainer, self.batches) as batches, as_written(trainer):
            inputs = (model_input(pl_module, batch) for batch in batches)
            change = condition(pl_module, self._layers, merged(inputs))
        _synchronise(trainer, self._layers)
        return change


@dataclass(frozen=True)
class Change:
    """What conditioning did.

    Attributes:
        images: How many images were seen.
        buffers: How many running statistics were estimated, means and variances counted apart.
        changed: How many of them are other than before.
        mean: The mean relative change ``|new - old| / max(|new|, |old|)`` of the statistics.
        unseen: Names of the layers that no batch went through; they are as before.
    """

    images: int
    buffers: int
    changed: int
    mean: float
    unseen: tuple[str, ...]


def running_layers(module: nn.Module) -> dict[str, _BatchNorm]:
    """The BatchNorm layers whose running statistics training would move, by name."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, _BatchNorm)
        and layer.running_mean is not None
        and not _is_frozen(layer)
    }


def frozen_layers(module: nn.Module) -> list[str]:
    """The names of the BatchNorm layers whose running statistics are to stay."""
    return [
        name
        for name, layer in module.named_modules()
        if type(layer).__name__.startswith('FrozenBatchNorm')
        or (isinstance(layer, _BatchNorm) and _is_frozen(layer))
    ]


@torch.no_grad()
def condition(
    module: nn.Module, layers: Mapping[str, _BatchNorm], inputs: Iterable[Tensor]
) -> Change:
    """Average the statistics of some layers over batches, in place.

    Args:
        module: What is run on each batch; all of it but ``layers`` in evaluation mode.
        layers: BatchNorm layers inside ``module``, by name.
        inputs: What ``module`` is run on.

    Raises:
        DataError: If ``inputs`` is empty.
    """
    before = {name: _buffers(layer) for name, layer in layers.items()}
    images = 0
    with _averaging(module, layers):
        for batch in inputs:
            module(batch)
            images += len(batch)
    if not images:
        raise DataError('BatchNorm cannot be conditioned: the training data yield no batch')
    unseen = tuple(name for name, layer in layers.items() if layer.num_batches_tracked == 0)
    for name in unseen:
        layers[name].load_state_dict(before[name], strict=False)
    changes = [
        _relative_change(before[name][statistic], getattr(layer, statistic))
        for name, layer in layers.items()
        if name not in unseen
        for statistic in _STATISTICS
    ]
    changed = sum(change > 0 for change in changes)
    return Change(images, len(changes), changed, sum(changes) / max(len(changes), 1), unseen)


@contextmanager
def _averaging(module: nn.Module, layers: Mapping[str, _BatchNorm]) -> Iterator[None]:
    """Let only these layers train, as a cumulative average that starts anew."""
    modes = [(each, each.training) for each in module.modules()]
    momenta = [(layer, layer.momentum) for layer in layers.values()]
    try:
        module.eval()
        for layer in layers.values():
            layer.train()
            layer.reset_running_stats()
            layer.momentum = None
        yield
    finally:
        for each, training in modes:
            each.training = training
        for layer, momentum in momenta:
            layer.momentum = momentum


def _synchronise(trainer: Trainer, layers: Mapping[str, _BatchNorm]) -> None:
    """Average over the processes, each of which saw its own share of the data."""
    if trainer.world_size == 1:
        return
    for layer in layers.values():
        for name in _STATISTICS:
            buffer = getattr(layer, name)
            buffer.copy_(trainer.strategy.reduce(buffer.clone(), reduce_op='mean'))


def _is_frozen(layer: _BatchNorm) -> bool:
    trainable = any(parameter.requires_grad for parameter in layer.parameters())
    return not layer.training and not trainable


def _buffers(layer: _BatchNorm) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in layer.named_buffers()}


def _relative_change(old: Tensor, new: Tensor) -> float:
    size = max(old.norm().item(), new.norm().item())
    return (new - old).norm().item() / size if size else 0.0


def _some(names: list[str] | tuple[str, ...]) -> str:
    """A count, and the first few names."""
    shown = ', '.join(names[:3]) + (', …' if len(names) > 3 else '')
    return f'{len(names)} {"layer" if len(names) == 1 else "layers"} ({shown})'
