"""What one trains on: chips drawn at random that hold something."""

import zlib
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset, get_worker_info

from torchgeo_geosane.datamodules.squares import Squares
from torchgeo_geosane.datamodules.windows import RandomWindows
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.index_table import Query
from torchgeo_geosane.errors import DataError

_TRIES = 50


class TrainingChips(Dataset[dict[str, Any]]):
    """Imagery with the labels that one trains on; empty chips are replaced, and counted.

    Which others are drawn anew depends on the place of the empty one alone, not on the worker.
    """

    def __init__(
        self, dataset: Imagery, windows: RandomWindows, workers: int, squares: Squares | None = None
    ) -> None:
        """Keep what to read and where to draw from.

        Args:
            dataset: The imagery.
            windows: What draws.
            workers: Number of processes that will read.
            squares: The ground whose labels are kept; None keeps all.
        """
        self.dataset = dataset
        self._windows, self._squares = windows, squares
        # Each worker counts for itself, in memory that all see.
        self._skipped = torch.zeros(max(workers, 1), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def skipped(self) -> int:
        """How many chips were empty so far."""
        return int(self._skipped.sum())

    def __len__(self) -> int:
        """Return the number of draws an epoch."""
        return len(self._windows)

    def __getitem__(self, query: Query) -> dict[str, Any]:
        """Read a chip, or another where it is empty.

        Raises:
            DataError: If 50 in a row are empty.
        """
        generator = Generator().manual_seed(zlib.crc32(repr(query).encode()))
        worker = get_worker_info()
        for _ in range(_TRIES):
            sample = self.dataset[query]
            if self._squares is not None:
                sample['mask'] = self._squares.keep(
                    sample['mask'], query, self.dataset.ignore_index
                )
            if not self._is_empty(query, sample.get('mask')):
                return sample
            self._skipped[0 if worker is None else worker.id] += 1
            query = self._windows.draw(generator)
        raise DataError(
            f'{_TRIES} chips drawn at random hold no pixel with data and label: check the labels '
            'with plot(), choose larger chips, or take only images that have labels'
        )

    def _is_empty(self, query: Query, mask: Tensor | None) -> bool:
        if mask is None:
            return self.dataset.is_empty(query)
        return bool((mask == self.dataset.ignore_index).all())
