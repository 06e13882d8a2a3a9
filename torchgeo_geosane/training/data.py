"""Windows of tokens straight from the collection's files, cut when they are asked for.

Which window has which index depends on the seed and the index alone: workers, ranks and a resumed
run see the same windows, and nothing has to be stored to continue in the middle of an epoch.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from torchgeo_geosane.collection import (
    CollectionError,
    ManifestEntry,
    TrainedModel,
    collect,
    read_manifest,
)
from torchgeo_geosane.collection.contents import floating_shapes
from torchgeo_geosane.errors import did_you_mean
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.tokens import TokenReader
from torchgeo_geosane.training.config import CollectionConfig, OptimisationConfig


class TokenBatch(TypedDict):
    """Windows of tokens; without the first dimension where it is a single one.

    Attributes:
        tokens: float32 ``[batch, window, token_size]``.
        mask: bool, same shape; True where a token holds a real value.
        positions: ``[batch, window, 3]``, as the foundry wants them.
        kinds: Kind of layer of each token, int64 ``[batch, window]``.
        model: Number of the model in the data module's ``models``, int64 ``[batch]``.
        view: Where two views are asked for, the same windows of the same models with their hidden
            units permuted: as ``tokens``, which it equals where nothing can be permuted.
    """

    tokens: Tensor
    mask: Tensor
    positions: Tensor
    kinds: Tensor
    model: Tensor
    view: NotRequired[Tensor]


@dataclass(frozen=True)
class OpenedModel:
    """A model of the collection, ready to be cut.

    Attributes:
        entry: What the manifest says of it.
        reader: Cuts its tokens.
        number: Its place in the data module's ``models``.
    """

    entry: ManifestEntry
    reader: TokenReader = field(repr=False)
    number: int = 0

    @classmethod
    def open(
        cls, model: TrainedModel, config: FoundryConfig, held_out: bool, number: int = 0
    ) -> 'OpenedModel':
        """Open a model and lay out its tokens."""
        source = model.open()
        layout = Layout.plan(floating_shapes(source), config.token_size, config.tokenisation)
        entry = ManifestEntry.describe(
            model, source, layout, split='held_out' if held_out else 'trained'
        )
        return cls(entry, TokenReader(source, layout, config.row_scale), number)

    def runs(self, length: int = 8192) -> Iterator[Tensor]:
        """All tokens of the model in order, in runs of at most ``length``: ``[n, token_size]``."""
        for start in range(0, len(self.reader.layout), length):
            yield self.reader.read(start, min(start + length, len(self.reader.layout)))

    def window(self, start: int, config: FoundryConfig) -> TokenBatch:
        """The window that begins at a token; a model shorter than a window is padded and masked."""
        layout = self.reader.layout
        stop = min(start + config.window, len(layout))
        positions = layout.relative_positions if config.relative_positions else layout.positions
        short = config.window - (stop - start)
        return {
            'tokens': _pad(self.reader.read(start, stop), short),
            'mask': _pad(layout.mask(start, stop), short),
            'positions': _pad(positions(start, stop), short),
            'kinds': _pad(layout.kinds(start, stop), short),
            'model': torch.tensor(self.number),
        }


class TokenWindows(Dataset[TokenBatch]):
    """Random windows across models, each model as often as it has tokens."""

    def __init__(
        self, models: Sequence[OpenedModel], config: FoundryConfig, length: int, seed: int
    ) -> None:
        """Serve ``length`` windows of ``models``."""
        self._models = models
        self._config = config
        self._length = length
        self._seed = seed
        self._shares = torch.tensor([float(len(model.reader.layout)) for model in models])

    def __len__(self) -> int:
        """Windows served."""
        return self._length

    def __getitem__(self, index: int) -> TokenBatch:
        """Window number ``index``, always the same."""
        generator = torch.Generator().manual_seed(derive_seed(self._seed, 'window', index))
        model = self._models[int(torch.multinomial(self._shares, 1, generator=generator))]
        starts = max(len(model.reader.layout) - self._config.window, 0) + 1
        return model.window(int(torch.randint(starts, (1,), generator=generator)), self._config)


class EvenWindows(Dataset[TokenBatch]):
    """The same few windows of every model, evenly spaced: for measuring."""

    def __init__(
        self, models: Sequence[OpenedModel], config: FoundryConfig, per_model: int
    ) -> None:
        """Serve up to ``per_model`` windows of each of ``models``."""
        self._config = config
        self._windows: list[tuple[OpenedModel, int]] = []
        for model in models:
            last = max(len(model.reader.layout) - config.window, 0)
            starts = sorted(set(torch.linspace(0, last, per_model).long().tolist()))
            self._windows += [(model, start) for start in starts]

    @property
    def starts(self) -> list[int]:
        """First token of each window."""
        return [start for _, start in self._windows]

    def __len__(self) -> int:
        """Windows served."""
        return len(self._windows)

    def __getitem__(self, index: int) -> TokenBatch:
        """Window number ``index``."""
        model, start = self._windows[index]
        return model.window(start, self._config)


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
        for number, model in enumerate(models):
            opened = OpenedModel.open(model, self._foundry, model.name in held_out, number)
            self.models.append(opened)
            (self.held_out if model.name in held_out else self.trained).append(opened)
        if not self.trained:
            raise CollectionError(
                'every model of the collection is held out: none is left to train on'
                if models
                else 'the collection is empty: name sources, a manifest, or both'
            )

    @property
    def steps(self) -> int:
        """Optimiser steps of the training; the collection must be open."""
        tokens = sum(len(model.reader.layout) for model in self.trained)
        return self._optimisation.total_steps(tokens, self._foundry.window)

    def train_dataloader(self) -> DataLoader[TokenBatch]:
        """Random windows: those of every step, in micro-batches of one process."""
        options = self._optimisation
        length = self.steps * options.batch_size
        windows = TokenWindows(self.trained, self._foundry, length, options.seed)
        processes = self.trainer.world_size if self.trainer else 1
        return DataLoader(windows, batch_size=options.micro_batch(processes))

    def val_dataloader(self) -> list[DataLoader[TokenBatch]]:
        """Even windows of the trained models, and of the held-out ones if there are any."""
        return [
            DataLoader(
                EvenWindows(models, self._foundry, self._optimisation.validation_windows),
                batch_size=self._optimisation.batch_size,
            )
            for models in (self.trained, self.held_out)
            if models
        ]


def derive_seed(seed: int, purpose: str, index: int) -> int:
    """A seed for one use of randomness; hashed, as torch's CPU generator takes in 32 bits only."""
    digest = hashlib.sha256(f'{seed} {purpose} {index}'.encode()).digest()
    return int.from_bytes(digest[:4], 'little')


def _pad(values: Tensor, rows: int) -> Tensor:
    if not rows:
        return values
    return torch.cat([values, values.new_zeros(rows, *values.shape[1:])])
