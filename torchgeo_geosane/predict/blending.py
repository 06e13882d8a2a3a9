"""Blending: what overlapping windows say of a scene, summed by their weights a few rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torchgeo_geosane.predict.tiling import Tiling


@dataclass(frozen=True)
class Strip:
    """Rows of a scene that are done.

    Attributes:
        first: The first of them.
        values: [channels, rows, width], float32.
        known: Where the scene has data, bool, [rows, width].
    """

    first: int
    values: Tensor
    known: Tensor


class Blender:
    """Takes windows row by row, and gives back what no later window changes.

    It holds one row of windows, on the device where they are.
    """

    def __init__(self, tiling: Tiling, channels: int, device: torch.device | None = None) -> None:
        """Begin with nothing.

        Args:
            tiling: Where windows lie.
            channels: What a model gives for each pixel.
            device: Where its results are.
        """
        self._tiling = tiling
        self._row = 0
        self._down = torch.from_numpy(tiling.down.weights).to(device)
        self._across = torch.from_numpy(tiling.across.weights).to(device)
        starts = tiling.across.starts
        width = starts[-1] + tiling.size - starts[0]
        self._sum = torch.zeros(channels, tiling.size, width, device=device)
        self._known = torch.zeros(tiling.size, width, dtype=torch.bool, device=device)

    def add(self, row: int, column: int, values: Tensor, known: Tensor) -> Iterator[Strip]:
        """Add a window, all before it in rows, then columns, having been added or being empty.

        Args:
            row: Its row of windows.
            column: Its column of windows.
            values: [channels, size, size].
            known: Which of its pixels have data, bool, [size, size].

        Yields:
            What the windows of earlier rows have completed.
        """
        yield from self._advance(row)
        starts = self._tiling.across.starts
        columns = slice(starts[column] - starts[0], starts[column] - starts[0] + self._tiling.size)
        weight = self._down[row, :, None] * self._across[column]
        self._sum[..., columns].addcmul_(values.float(), weight)
        self._known[:, columns] |= known

    def finish(self) -> Iterator[Strip]:
        """Give what is left, when all windows have been added."""
        yield from self._advance(len(self._tiling.down.starts))

    def _advance(self, row: int) -> Iterator[Strip]:
        size, overlap = self._tiling.size, self._tiling.overlap
        last = len(self._tiling.down.starts) - 1
        while self._row < row:
            done = size if self._row == last else size - overlap
            start = self._tiling.down.starts[self._row]
            rows = slice(max(-start, 0), min(done, self._tiling.height - start))
            left = -self._tiling.across.starts[0]
            columns = slice(left, left + self._tiling.width)
            if rows.start < rows.stop:
                values = self._sum[:, rows, columns].clone()
                yield Strip(start + rows.start, values, self._known[rows, columns].clone())
            for held in (self._sum, self._known):
                held[..., : size - done, :] = held[..., done:, :].clone()
                held[..., size - done :, :] = 0
            self._row += 1
