"""Where chips of large images lie: drawn at random, or in a grid; in whole pixels of the images."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset, Sampler, get_worker_info

from torchgeo_geosane.datasets import IGNORE_INDEX, Imagery
from torchgeo_geosane.datasets.index_table import Query
from torchgeo_geosane.errors import DataError

_TRIES = 50


@dataclass(frozen=True)
class Place:
    """An image's part to take chips from, in coordinates, and its time."""

    left: float
    bottom: float
    right: float
    top: float
    time: slice

    def window(self, col: int, row: int, size: int, res: tuple[float, float]) -> Query:
        """A square chip, ``size`` pixels wide, by its upper left pixel."""
        left, top = self.left + col * res[0], self.top - row * res[1]
        x = slice(left, left + size * res[0], res[0])
        return x, slice(top - size * res[1], top, res[1]), self.time

    def shape(self, res: tuple[float, float]) -> tuple[int, int]:
        """Rows and columns."""
        return round((self.top - self.bottom) / res[1]), round((self.right - self.left) / res[0])


def places(data: Imagery) -> list[Place]:
    """One for each image."""
    boxes = data.index.bounds.itertuples(index=False)
    times = (slice(time.left, time.right, 1) for time in data.index.index)
    return [
        Place(box.minx, box.miny, box.maxx, box.maxy, time)
        for box, time in zip(boxes, times, strict=True)
    ]


def grid_windows(data: Imagery, size: int) -> list[Query]:
    """Chips side by side that cover each image once; what they have beyond it has no data."""
    windows = []
    for place in places(data):
        rows, cols = place.shape(data.res)
        windows += [
            place.window(col, row, size, data.res)
            for row in range(0, rows, size)
            for col in range(0, cols, size)
        ]
    return windows


class RandomWindows(Sampler[Query]):
    """Draws chips inside the images, each pixel of them equally likely.

    As :class:`~.scene.RandomChipSampler` it depends on the seed of the run alone, and distributed
    training wraps it.
    """

    def __init__(
        self, where: Sequence[Place], size: int, res: tuple[float, float], length: int
    ) -> None:
        """Start from the seed that ``seed_everything`` or ``torch.manual_seed`` set.

        Args:
            where: Where to draw from; from one smaller than a chip its upper left corner.
            size: Height and width of a chip in pixels.
            res: Size of a pixel.
            length: Number of draws an epoch.
        """
        self._where, self._size, self._res, self._length = where, size, res, length
        free = [[max(n - size, 0) + 1 for n in place.shape(res)] for place in where]
        self._free = torch.tensor(free)
        self._weights = self._free.prod(dim=1).double()
        self._generator = Generator().manual_seed(torch.initial_seed())

    def __len__(self) -> int:
        """Return the number of draws an epoch."""
        return self._length

    def __iter__(self) -> Iterator[Query]:
        """Draw one epoch."""
        for _ in range(self._length):
            yield self.draw(self._generator)

    def draw(self, generator: Generator) -> Query:
        """Draw one chip."""
        at = int(torch.multinomial(self._weights, 1, generator=generator))
        rows, cols = self._free[at].tolist()
        row, col = (int(torch.randint(n, (), generator=generator)) for n in (rows, cols))
        return self._where[at].window(col, row, self._size, self._res)


class WithoutEmpty(Dataset[dict[str, Any]]):
    """Imagery whose empty chips are replaced by others drawn anew, and counted.

    Which others depends on the place of the empty one alone, not on the worker.
    """

    def __init__(self, dataset: Imagery, windows: RandomWindows, workers: int) -> None:
        """Keep what to read and where to draw from.

        Args:
            dataset: The imagery.
            windows: What draws.
            workers: Number of processes that will read.
        """
        self.dataset = dataset
        self._windows = windows
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
        return bool((mask == IGNORE_INDEX).all())
