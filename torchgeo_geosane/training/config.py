"""What a training run is made of, beside the foundry's own configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torchgeo_geosane.foundry.loss import Normalisation


@dataclass(frozen=True, kw_only=True)
class CollectionConfig:
    """Which models a foundry learns from.

    Attributes:
        sources: Names of packages with models, see ``collection.collect``.
        manifest: A manifest that ``torchgeo-geosane collect`` or another training wrote; its models
            come after those of the packages.
        held_out: Models that are only judged by, never trained on: ``source/model``. Those that the
            manifest holds out are too.
    """

    sources: tuple[str, ...] = ()
    manifest: Path | None = None
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptimisationConfig:
    """How a foundry is trained (AdamW with a one-cycle schedule).

    Attributes:
        steps: Optimiser steps.
        batch_size: Windows in a batch.
        learning_rate: Highest learning rate of the cycle.
        weight_decay: AdamW's.
        gradient_clip: Largest norm of the gradient.
        noise: Standard deviation of the views' multiplicative noise, relative to each weight.
        gamma: Share of the contrastive loss, 0…1; above 0 two views of each window are encoded, and
            the foundry needs a projection head.
        temperature: Temperature of the contrastive loss.
        normalisation: Unit of the reconstruction error.
        linear_start: Start from the principal components of the training tokens, with transformers
            that do nothing yet, instead of from random weights.
        precision: Lightning's name of the numbers that training computes with.
        log_every: Steps between two lines of the log.
        validations: How often the reconstruction of trained and held-out models is measured.
        validation_windows: Windows of each model it is measured on.
        seed: Seed of the initial weights, the windows and the noise.
    """

    steps: int
    batch_size: int = 4
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    noise: float = 0.1
    gamma: float = 0.05
    temperature: float = 0.1
    normalisation: Normalisation = 'batch'
    linear_start: bool = True
    precision: Literal['32-true', 'bf16-mixed'] = 'bf16-mixed'
    log_every: int = 10
    validations: int = 5
    validation_windows: int = 8
    seed: int = 0
