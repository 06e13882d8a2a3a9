"""Which windows a training sees, and in which process.

Which window has which number depends on the seed and the number alone: workers, ranks and a resumed
run see the same windows, and all there is to remember is how many have been seen.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training.config import Weighting
from torchgeo_geosane.training.families import family_of
from torchgeo_geosane.training.store import OpenedModel, TokenBatch


class TokenWindows(Dataset[TokenBatch]):
    """Random windows across models."""

    def __init__(
        self,
        models: Sequence[OpenedModel],
        config: FoundryConfig,
        length: int,
        seed: int,
        weighting: Weighting = 'size',
        permute: bool = False,
    ) -> None:
        """Serve ``length`` windows of ``models``.

        Args:
            models: The models.
            config: How long windows are, and how positions are counted.
            length: How many windows there are.
            seed: Draws them.
            weighting: How often windows come from a model, see ``CollectionConfig``.
            permute: Whether each has a second view with hidden units permuted.
        """
        self._models = models
        self._config = config
        self._length = length
        self._seed = seed
        self._permute = permute
        self._bounds = np.cumsum(shares(models, weighting))

    def __len__(self) -> int:
        """Windows served."""
        return self._length

    def __getitem__(self, index: int) -> TokenBatch:
        """Window number ``index``, always the same."""
        # Two numbers in [0, 1), of 53 bits each.
        digest = _digest(self._seed, 'window', index)
        which, where = (int.from_bytes(digest[i : i + 8], 'little') >> 11 for i in (0, 8))
        number = int(np.searchsorted(self._bounds, which / 2**53 * self._bounds[-1], side='right'))
        model = self._models[number]
        starts = max(len(model.layout) - self._config.window, 0) + 1
        seed = derive_seed(self._seed, 'view', index) if self._permute else None
        return model.window(int(where / 2**53 * starts), self._config, seed)


class EvenWindows(Dataset[TokenBatch]):
    """The same few windows of every model, evenly spaced: for measuring."""

    def __init__(
        self, models: Sequence[OpenedModel], config: FoundryConfig, per_model: int
    ) -> None:
        """Serve up to ``per_model`` windows of each of ``models``."""
        self._config = config
        self._windows: list[tuple[OpenedModel, int]] = []
        for model in models:
            last = max(len(model.layout) - config.window, 0)
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


class RankSampler(DistributedSampler[int]):
    """Every window that falls to one rank, in order, from where a training goes on.

    Any number of ranks sees the same windows in the same step.

    Attributes:
        first: The first window of all ranks that has not been seen.
    """

    def __init__(self, windows: TokenWindows, rank: int, ranks: int) -> None:
        """Share ``windows`` among ``ranks`` processes, of which this is number ``rank``."""
        super().__init__(windows, num_replicas=ranks, rank=rank, shuffle=False)
        self.first = 0

    def __iter__(self) -> Iterator[int]:
        """This rank's windows."""
        return iter(range(self.first + self.rank, self.total_size, self.num_replicas))


class WindowLoader(DataLoader[TokenBatch]):
    """Batches of one rank, which go on where a checkpoint says."""

    def __init__(
        self, windows: TokenWindows, sampler: RankSampler, seen: Callable[[], int], **options: Any
    ) -> None:
        """Load what ``sampler`` chooses.

        Args:
            windows: All windows.
            sampler: Those of this rank.
            seen: Says how many windows all ranks together have been trained on.
            **options: Those of torch's ``DataLoader``.
        """
        super().__init__(windows, sampler=sampler, **options)
        self._start = sampler
        self._seen = seen

    def state_dict(self) -> dict[str, int]:
        """What Lightning stores in a checkpoint."""
        return {'windows': self._seen()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the windows that were seen."""
        self._start.first = state['windows']


def shares(models: Sequence[OpenedModel], weighting: Weighting) -> list[float]:
    """How often windows come from each model, relative to the others."""
    sizes = [float(len(model.layout)) for model in models]
    if weighting == 'size':
        return sizes
    if weighting == 'model':
        return [1.0] * len(models)
    families = [family_of(model.entry) for model in models]
    totals: defaultdict[str, float] = defaultdict(float)
    for family, size in zip(families, sizes, strict=True):
        totals[family] += size
    return [size / totals[family] for family, size in zip(families, sizes, strict=True)]


def derive_seed(seed: int, purpose: str, index: int) -> int:
    """A seed for one use of randomness; hashed, as torch's CPU generator takes in 32 bits only."""
    return int.from_bytes(_digest(seed, purpose, index)[:4], 'little')


def _digest(seed: int, purpose: str, index: int) -> bytes:
    return hashlib.sha256(f'{seed} {purpose} {index}'.encode()).digest()
