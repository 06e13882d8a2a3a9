"""Checkpoints from which an interrupted training goes on as if nothing had happened."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import FoundryError, TokenError
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.pickles import read_pickle
from torchgeo_geosane.training.config import OptimisationConfig
from torchgeo_geosane.training.store import OpenedModel

CHECKPOINT = 'checkpoint.ckpt'
_MODEL = 'model.'
# Where a foundry may differ from the one it starts from.
_FREE = {'halo', 'dropout', 'projection_dim'}


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that replace the one before only once they are on the disk."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            CacheError: If the disk refuses; the checkpoint before stays.
        """
        with replacing(Path(path)) as provisional:
            torch.save(checkpoint, provisional)


class Checkpoints(Callback):
    """Writes a checkpoint every so many steps, and one at the end."""

    def __init__(self, path: Path, every: int, run: Mapping[str, Any]) -> None:
        """Write to ``path`` what ``run`` is trained by, too (see ``describe_run``)."""
        self._path = path
        self._every = every
        self._run = dict(run)
        self._last = 0
        self._seconds = 0.0
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the training took so far, without what an interruption lost."""
        return self._seconds + time.monotonic() - self._start

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training must know."""
        return {'seconds': self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self._seconds, self._start = state_dict['seconds'], time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What training starts from needs no checkpoint."""
        self._last = trainer.global_step

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before the next step everything of the last one is done: schedule, log, validation."""
        if trainer.global_step != self._last and trainer.global_step % self._every == 0:
            self._last = trainer.global_step
            trainer.save_checkpoint(self._path, weights_only=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """For another training to start from."""
        if trainer.global_step != self._last:
            trainer.save_checkpoint(self._path, weights_only=False)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say what the checkpoint belongs to."""
        checkpoint['run'] = self._run


class BestWeights(Callback):
    """Remembers the weights with the smallest error on held-out models.

    Attributes:
        error: The error.
        weights: State of the Lightning module; None before the first measurement.
    """

    def __init__(self) -> None:
        """Start without any."""
        self.error = float('inf')
        self.weights: dict[str, torch.Tensor] | None = None

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training must know."""
        return {'error': self.error, 'weights': self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with what was the best."""
        self.error, self.weights = state_dict['error'], state_dict['weights']

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights if they are the best so far."""
        error = getattr(pl_module, 'held_out_error', None)
        if error is None or not error < self.error:
            return
        self.error = error
        state = trainer.strategy.lightning_module_state_dict()
        self.weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


@dataclass(frozen=True)
class Progress:
    """What an interrupted training left.

    Attributes:
        path: Its checkpoint.
        step: Optimiser steps done.
        run: What it was trained by, see ``describe_run``.
    """

    path: Path
    step: int
    run: Mapping[str, Any]

    @classmethod
    def find(cls, output: Path) -> 'Progress | None':
        """What there is in an output folder.

        Raises:
            FoundryError: If there is a checkpoint that cannot be read.
        """
        path = output / CHECKPOINT
        if not path.exists():
            return None
        content = _read(path)
        return cls(path, content['global_step'], content['run'])

    def check(self, run: Mapping[str, Any]) -> None:
        """Make sure that the run at hand is the interrupted one.

        Raises:
            FoundryError: If not; the first difference is named.
        """
        for name in {**self.run, **run}:
            was, now = (str(values.get(name, 'absent')) for values in (self.run, run))
            if was != now:
                raise FoundryError(
                    f'{self.path.parent} holds an interrupted training with {name}: {was}, not '
                    f'{now}. Go on with the old value, or choose another output folder'
                )


def describe_run(
    foundry: FoundryConfig,
    optimisation: OptimisationConfig,
    start_from: str | None,
    models: Sequence[OpenedModel],
) -> dict[str, Any]:
    """Everything that decides the course of a training, by name, as plain values."""
    entries = [opened.entry for opened in models]
    return {
        **{f'foundry.{name}': value for name, value in dataclasses.asdict(foundry).items()},
        **{f'optimisation.{name}': v for name, v in dataclasses.asdict(optimisation).items()},
        'start_from': start_from,
        **{
            f'collection {e.name}': f'{e.split}, {e.tokens} tokens, sha256 {e.sha256}'
            for e in entries
        },
    }


def read_start(name: str, foundry: FoundryConfig) -> dict[str, torch.Tensor]:
    """Weights to start a training from.

    Args:
        name: The folder of another training, its checkpoint, or any name of a foundry.
        foundry: What is to be trained.

    Returns:
        A state dict of the autoencoder; without the projection head where the start has none.

    Raises:
        FoundryError: If there is no such start, or its configuration is another; the difference is
            named.
    """
    path = Path(name)
    path = path / CHECKPOINT if (path / CHECKPOINT).exists() else path
    if path.suffix == '.ckpt' and path.exists():
        content = _read(path)
        found = {
            field.name: content['run'][f'foundry.{field.name}']
            for field in dataclasses.fields(foundry)
        }
        weights = {
            key.removeprefix(_MODEL): value.read(key)
            for key, value in content['state_dict'].items()
        }
    else:
        loaded = Foundry.load(name)
        found, weights = dataclasses.asdict(loaded.config), loaded.model.state_dict()
    wanted = dataclasses.asdict(foundry)
    same_head = found['projection_dim'] == wanted['projection_dim']
    for field in found.keys() - _FREE:
        if found[field] != wanted[field]:
            raise FoundryError(
                f'cannot start from {name}: its {field} is {found[field]}, the one of the '
                f'foundry to train is {wanted[field]}'
            )
    if same_head:
        return weights
    return {k: v for k, v in weights.items() if not k.startswith('projection_head.')}


def _read(path: Path) -> dict[str, Any]:
    """A checkpoint of ours; its tensors stay in the file until they are used.

    Raises:
        FoundryError: If it is something else.
    """
    try:
        content = read_pickle(path)
    except TokenError as error:
        raise FoundryError(f'{error}. Delete it to begin anew') from error
    if not isinstance(content, dict) or 'run' not in content:
        raise FoundryError(f'{path} is not a checkpoint of a foundry in training')
    return content
