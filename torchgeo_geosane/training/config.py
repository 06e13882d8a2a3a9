"""What a training run is made of, beside the foundry's own configuration."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.loss import Normalisation

Weighting = Literal['size', 'family', 'model']


@dataclass(frozen=True, kw_only=True)
class CollectionConfig:
    """Which models a foundry learns from.

    Attributes:
        sources: Names of packages with models, see ``collection.collect``.
        manifest: A manifest that ``torchgeo-geosane collect`` or another training wrote; its models
            come after those of the packages.
        held_out: Models that are only judged by, never trained on: ``source/model``. Those that the
            manifest holds out are too.
        whole_lineages: Whether all siblings of a model that is held out are, too: models finetuned
            from one start, which tell of each other.
        align: Whether the units of every model are read in the order of one of its architecture,
            which leaves what it computes as it is. A manifest alone says so itself.
        drawn_like: Patterns of names, such as ``*_last.pt``: of which trained models the latents'
            density is, from which networks are drawn without a prompt. By default of all; where a
            collection has checkpoints of trainings, name the finished ones.
        kept_numbers: Numbers that the foundry's file may hold for one architecture as codes of places,
            as a density, and as its reference; what takes more is left out. 0 keeps records alone.
        weighting: How often windows come from a model: as its tokens are (``size``), every family of
            architectures equally and inside it by size (``family``), or every model equally.
    """

    sources: tuple[str, ...] = ()
    manifest: Path | None = None
    held_out: tuple[str, ...] = ()
    whole_lineages: bool = True
    align: bool = True
    drawn_like: tuple[str, ...] = ()
    kept_numbers: int = 4_000_000
    weighting: Weighting = 'size'


@dataclass(frozen=True, kw_only=True)
class OptimisationConfig:
    """How a foundry is trained (AdamW with a one-cycle schedule).

    Attributes:
        steps: Optimiser steps; either these or ``epochs``.
        epochs: Passes over the collection: as many steps as it takes to show every token so often
            on average.
        batch_size: Windows of one optimiser step, over all processes and micro-batches.
        accumulate: Micro-batches that each process cuts its share of a batch into, to save memory.
        learning_rate: Highest learning rate of the cycle.
        weight_decay: AdamW's.
        gradient_clip: Largest norm of the gradient.
        permute: Whether the second view's hidden units are permuted, which leaves the network's
            function as it is.
        workers: Processes that read windows; 0 reads them in the training process.
        noise: Standard deviation of the views' multiplicative noise, relative to each weight.
        gamma: Share of the contrastive loss, 0…1; above 0 two views of each window are encoded, and
            the foundry needs a projection head. A view is told from the others of its micro-batch.
        temperature: Temperature of the contrastive loss.
        normalisation: Unit of the reconstruction error.
        linear_start: Start from the principal components of the training tokens, with transformers
            that do nothing yet, instead of from random weights. Not where training starts from
            another foundry.
        precision: Lightning's name of the numbers that training computes with.
        log_every: Steps between two lines of the log.
        checkpoint_every: Steps between two checkpoints.
        validations: How often the reconstruction of trained and held-out models is measured.
        validation_windows: Windows of each model it is measured on.
        keep_best: Whether what is kept are the weights with the smallest error on held-out models in
            any of these measurements, that of the start among them; else the last weights.
        seed: Seed of the initial weights, the windows and the noise.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 4
    accumulate: int = 1
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    permute: bool = False
    workers: int = 0
    noise: float = 0.1
    gamma: float = 0.05
    temperature: float = 0.1
    normalisation: Normalisation = 'batch'
    linear_start: bool = True
    precision: Literal['32-true', 'bf16-mixed'] = 'bf16-mixed'
    log_every: int = 10
    checkpoint_every: int = 1000
    validations: int = 5
    validation_windows: int = 8
    keep_best: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values against each other.

        Raises:
            FoundryError: If a value is out of range, or not one of ``steps`` and ``epochs`` is given.
        """
        if (self.steps is None) == (self.epochs is None):
            raise FoundryError(
                'a training needs either steps or epochs: give one, and null for the other'
            )
        counts = ('batch_size', 'accumulate', 'log_every', 'checkpoint_every', 'validations')
        for name in (*counts, *(['steps'] if self.steps is not None else [])):
            if getattr(self, name) < 1:
                raise FoundryError(f'{name} must be at least 1, not {getattr(self, name)}')
        if self.epochs is not None and not self.epochs > 0:
            raise FoundryError(f'epochs must be above 0, not {self.epochs}')
        if not 0 <= self.gamma <= 1:
            raise FoundryError(f'gamma must be from 0 to 1, not {self.gamma}')
        if self.permute and self.gamma == 0:
            raise FoundryError('permute changes the second view: it needs gamma > 0')

    def total_steps(self, tokens: int, window: int) -> int:
        """Optimiser steps on a collection of so many tokens, cut into windows of so many."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return math.ceil(self.epochs * tokens / (window * self.batch_size))

    def micro_batch(self, processes: int) -> int:
        """Windows that one process computes at once.

        Raises:
            FoundryError: If the batch cannot be shared evenly, or leaves nothing to contrast.
        """
        windows, rest = divmod(self.batch_size, processes * self.accumulate)
        if rest or not windows:
            raise FoundryError(
                f'batch_size {self.batch_size} cannot be shared evenly by {processes} process(es) '
                f'with {self.accumulate} micro-batch(es) each: choose a multiple of '
                f'{processes * self.accumulate}'
            )
        if self.gamma > 0 and windows == 1:
            raise FoundryError(
                'gamma > 0 tells a window from the others of its micro-batch, which has only one: '
                'choose a larger batch_size, or accumulate less'
            )
        return windows


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """What a foundry is trained on, in the words of Lightning's ``Trainer``.

    Attributes:
        accelerator: ``auto``, ``cpu``, ``gpu``, …
        devices: How many on each node, or ``auto`` for all of them.
        num_nodes: Machines.
        strategy: ``auto``; ``ddp``; ``fsdp`` to share weights and optimiser states out over the
            devices (FSDP 2, block by block), where they do not fit on one; or another name of
            Lightning's.
    """

    accelerator: str = 'auto'
    devices: int | str = 'auto'
    num_nodes: int = 1
    strategy: str = 'auto'
