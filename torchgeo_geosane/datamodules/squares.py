"""Squares of ground, the units in which labels are few: chips drawn at random overlap, they do not."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_geosane.datamodules.few_shot import few_shot
from torchgeo_geosane.datamodules.windows import Place, places
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.index_table import Query

SIDE = 16
"""Height and width of a square in pixels."""

Square = tuple[int, int]
"""Row and column."""


def few_labels(
    data: Imagery, size: int, fraction: float, seed: int
) -> tuple['Squares', list[Place]]:
    """Choose a fraction of the labelled squares; finding them reads each chip of a grid once.

    Args:
        data: Imagery with labels.
        size: Height and width of a chip in pixels.
        fraction: Above 0, up to 1.
        seed: Another seed is another choice.

    Returns:
        The squares, and where chips with a label in one of them lie.
    """
    x, y, _ = data.bounds
    grid = Squares(x.start, y.stop, data.res)
    found = [(place, _labelled(data, place, size, grid)) for place in places(data)]
    chosen = grid.few(set().union(*(squares for _, squares in found)), fraction, seed)
    where = [
        place.around(grid.corner(square), SIDE, size, data.res)
        for place, squares in found
        for square in sorted(squares & chosen.chosen)
    ]
    return chosen, where


def _labelled(data: Imagery, place: Place, size: int, grid: 'Squares') -> set[Square]:
    squares: set[Square] = set()
    for window in place.grid(size, data.res):
        labelled = data[window]['mask'].numpy() != data.ignore_index
        squares |= grid.labelled(window, labelled)
    return squares


@dataclass(frozen=True)
class Squares:
    """Some squares of a grid over the ground, the same at every date.

    Attributes:
        left: Western edge of column 0.
        top: Northern edge of row 0.
        res: Size of a pixel.
        chosen: The squares.
    """

    left: float
    top: float
    res: tuple[float, float]
    chosen: frozenset[Square] = frozenset()

    def labelled(self, query: Query, labelled: NDArray[np.bool_]) -> set[Square]:
        """The squares in which a chip has a label.

        Args:
            query: Where the chip lies.
            labelled: Which of its pixels have one, [height, width].
        """
        rows, cols = self._lines(query, labelled.shape)
        row, col = np.nonzero(labelled)
        found = np.unique(np.stack([rows[row], cols[col]]), axis=1)
        return set(zip(*found.tolist(), strict=True))

    def few(self, among: Iterable[Square], fraction: float, seed: int) -> 'Squares':
        """Some of them, see :func:`~.few_shot.few_shot`."""
        known = sorted(among)
        names = [f'{row}/{col}' for row, col in known]
        chosen = few_shot(names, fraction, seed)
        return replace(self, chosen=frozenset(known[at] for at in chosen))

    def keep(self, mask: Tensor, query: Query, ignored: int) -> Tensor:
        """Labels of a chip inside of the chosen squares, [height, width]; ``ignored`` elsewhere."""
        rows, cols = self._lines(query, tuple(mask.shape))
        kept = np.zeros(mask.shape, bool)
        for row in np.unique(rows):
            here = [int(col) for col in np.unique(cols) if (int(row), int(col)) in self.chosen]
            kept[np.ix_(rows == row, np.isin(cols, here))] = True
        return torch.where(torch.from_numpy(kept), mask, ignored)

    def corner(self, square: Square) -> tuple[float, float]:
        """Western and northern edge of a square."""
        row, col = square
        return self.left + col * SIDE * self.res[0], self.top - row * SIDE * self.res[1]

    def _lines(
        self, query: Query, shape: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row of the squares for each row of pixels, and column for each column."""
        x, y, _ = query
        down = (self.top - y.stop) / self.res[1] + np.arange(shape[0]) + 0.5
        across = (x.start - self.left) / self.res[0] + np.arange(shape[1]) + 0.5
        return tuple(np.floor(line / SIDE).astype(np.int64) for line in (down, across))
