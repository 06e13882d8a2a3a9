"""The data module that serves a collection to Lightning."""

from collections.abc import Sequence

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from torchgeo_geosane.collection import CollectionError, TrainedModel, collect, read_manifest
from torchgeo_geosane.collection.order import find_siblings, put_in_order
from torchgeo_geosane.errors import did_you_mean
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training.config import CollectionConfig, OptimisationConfig
from torchgeo_geosane.training.known import code_places
from torchgeo_geosane.training.store import OpenedModel, TokenBatch
from torchgeo_geosane.training.windows import (
    EvenWindows,
    RankSampler,
    TokenWindows,
    WindowLoader,
)


class FoundryDataModule(LightningDataModule):
    """Serves a collection: random windows to train on, fixed ones to measure.

    Attributes:
        models: Every model, in the order of the collection.
        trained: Those of them that are trained on.
        held_out: Those that are only measured.
    """

    def __init__(
        self,
        foundry: FoundryConfig,
        collection: CollectionConfig,
        optimisation: OptimisationConfig,
    ) -> None:
        """Describe the collection; ``setup`` opens it."""
        super().__init__()
        self._foundry = foundry
        self._collection = collection
        self._optimisation = optimisation
        self.models: list[OpenedModel] = []
        self.trained: list[OpenedModel] = []
        self.held_out: list[OpenedModel] = []

    def setup(self, stage: str | None = None) -> None:
        """Open the models, once.

        Raises:
            CollectionError: If a model is missing, damaged or named wrongly, or none is left to
                train on.
        """
        if self.trained:
            return
        manifest = self._collection.manifest
        entries = read_manifest(manifest) if manifest else []
        models = collect(self._collection.sources, entries)
        names = {model.name for model in models}
        for name in self._collection.held_out:
            if name not in names:
                raise CollectionError(
                    f'unknown held-out model {name!r}' + did_you_mean(name, names)
                )
        held_out = {*self._collection.held_out}
        held_out |= {entry.name for entry in entries if entry.split == 'held_out'}
        if any(model.lineage is None for model in models):
            models = put_in_order(models, self._collection.align, progress=True)
        _check_references(models)
        if self._collection.whole_lineages:
            held_out = find_siblings(models, held_out)
        for number, model in enumerate(models):
            opened = OpenedModel.open(
                model, self._foundry, model.name in held_out, self._optimisation.permute, number
            )
            self.models.append(opened)
        if self._foundry.place_code:
            self.models = code_places(self.models, self._collection.kept_numbers)
        for opened in self.models:
            (self.trained if opened.entry.split == 'trained' else self.held_out).append(opened)
        if not self.trained:
            raise CollectionError(
                'every model of the collection is held out: none is left to train on'
                if models
                else 'the collection is empty: name sources, a manifest, or both'
            )

    @property
    def steps(self) -> int:
        """Optimiser steps of the training; the collection must be open."""
        tokens = sum(len(model.layout) for model in self.trained)
        return self._optimisation.total_steps(tokens, self._foundry.window)

    def train_dataloader(self) -> WindowLoader:
        """Random windows: those of every step, in micro-batches of one process."""
        options, trainer = self._optimisation, self.trainer
        rank, ranks = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        windows = TokenWindows(
            self.trained,
            self._foundry,
            self.steps * options.batch_size,
            options.seed,
            self._collection.weighting,
            options.permute,
        )
        return WindowLoader(
            windows,
            RankSampler(windows, rank, ranks),
            lambda: trainer.global_step * options.batch_size if trainer else 0,
            batch_size=options.micro_batch(ranks),
            num_workers=options.workers,
        )

    def val_dataloader(self) -> list[DataLoader[TokenBatch]]:
        """Even windows of the trained models, and of the held-out ones if there are any."""
        options = self._optimisation
        return [
            DataLoader(
                EvenWindows(models, self._foundry, options.validation_windows),
                batch_size=options.batch_size,
                num_workers=options.workers,
            )
            for models in (self.trained, self.held_out)
            if models
        ]


def _check_references(models: Sequence[TrainedModel]) -> None:
    """Make sure that what models are aligned to is in the collection: the foundry keeps it.

    Raises:
        CollectionError: If it is not.
    """
    names = {model.name for model in models}
    for model in models:
        if model.reference not in (None, *names):
            raise CollectionError(
                f'{model.name!r} is read in the order of {model.reference!r}, which is not in the '
                'collection: put that back, or collect anew from the sources'
            )
