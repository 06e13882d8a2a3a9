"""Where chips of large images lie: drawn at random, or in a grid; in whole pixels of the images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator
from torch.utils.data import Sampler

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.index_table import Query


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

    def grid(self, size: int, res: tuple[float, float]) -> list[Query]:
        """Chips side by side that cover it once."""
        rows, cols = self.shape(res)
        return [
            self.window(col, row, size, res)
            for row in range(0, rows, size)
            for col in range(0, cols, size)
        ]

    def around(
        self, corner: tuple[float, float], side: int, size: int, res: tuple[float, float]
    ) -> 'Place':
        """Where chips lie that hold a square, as far as they are inside the image.

        Args:
            corner: Western and northern edge of the square.
            side: Its height and width in pixels.
            size: Those of a chip; of a smaller one the square holds it.
            res: Size of a pixel.
        """
        at = round((self.top - corner[1]) / res[1]), round((corner[0] - self.left) / res[0])
        (row, down), (col, across) = (
            [min(max(end, 0), max(n - size, 0)) for end in sorted((first, first + side - size))]
            for first, n in zip(at, self.shape(res), strict=True)
        )
        left, top = self.left + col * res[0], self.top - row * res[1]
        right, bottom = self.left + (across + size) * res[0], self.top - (down + size) * res[1]
        return Place(left, bottom, right, top, self.time)

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
    return [window for place in places(data) for window in place.grid(size, data.res)]


class RandomWindows(Sampler[Query]):
    """Draws chips inside of places, by default in proportion to how many each has.

    It depends on the seed of the run alone, not on how many random numbers were drawn before:
    models with different starts see the same chips. Being no ``RandomSampler``, distributed
    training wraps it instead of replacing it.
    """

    def __init__(
        self,
        where: Sequence[Place],
        size: int,
        res: tuple[float, float],
        length: int,
        equally: bool = False,
    ) -> None:
        """Start from the seed that ``seed_everything`` or ``torch.manual_seed`` set.

        Args:
            where: Where to draw from; from one smaller than a chip its upper left corner.
            size: Height and width of a chip in pixels.
            res: Size of a pixel.
            length: Number of draws an epoch.
            equally: Whether places are equally likely, whatever their size.
        """
        self._where, self._size, self._res, self._length = where, size, res, length
        free = [[max(n - size, 0) + 1 for n in place.shape(res)] for place in where]
        self._free = torch.tensor(free)
        self._ends = (
            torch.ones(len(free), dtype=torch.int64) if equally else self._free.prod(1)
        ).cumsum(0)
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
        drawn = torch.randint(int(self._ends[-1]), (), generator=generator)
        at = int(torch.searchsorted(self._ends, drawn, right=True))
        row, col = (int(torch.randint(int(n), (), generator=generator)) for n in self._free[at])
        return self._where[at].window(col, row, self._size, self._res)
