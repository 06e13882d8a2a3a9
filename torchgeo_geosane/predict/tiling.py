"""Windows over a scene: where they begin, how much each counts, what lies beyond the edges."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from torchgeo_geosane.errors import DataError

Weights = NDArray[np.float32]

_STRIDE = 32


@dataclass(frozen=True)
class Axis:
    """Windows along one side of a scene, a stride apart; the first may begin before its edge.

    Attributes:
        length: Of the scene, in pixels.
        size: Of a window.
        overlap: Pixels that neighbours share.
    """

    length: int
    size: int
    overlap: int

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of each window, in the scene's pixels.

        Windows reach half an overlap beyond both edges, so that pixels there have context, too.
        """
        stride, reach = self.size - self.overlap, 2 * (self.overlap // 2)
        count = 1 + max(0, -(-(self.length + reach - self.size) // stride))
        beyond = (count - 1) * stride + self.size - self.length
        return tuple(stride * at - beyond // 2 for at in range(count))

    @cached_property
    def weights(self) -> Weights:
        """How much each window's pixels count, [windows, size].

        A raised cosine over the middle half of the overlap, nothing outside of it, where a model
        sees a window's edge. At each pixel of the scene the weights of all windows sum to 1.
        """
        margin = self.overlap // 4
        ramp = self.overlap - 2 * margin
        to_edge = np.minimum(np.arange(self.size), np.arange(self.size)[::-1])
        position = np.clip((to_edge - margin + 0.5) / max(ramp, 1), 0, 1)
        taper = np.sin(position * np.pi / 2) ** 2 if self.overlap else np.ones(self.size)
        first = self.starts[0]
        total = np.zeros(self.starts[-1] + self.size - first)
        for start in self.starts:
            total[start - first : start - first + self.size] += taper
        total[total == 0] = 1  # Beyond the scene.
        weights = [taper / total[start - first :][: self.size] for start in self.starts]
        return np.stack(weights).astype(np.float32)

    def inside(self, number: int) -> slice:
        """The part of a window that lies in the scene, in the scene's pixels."""
        start = self.starts[number]
        return slice(max(start, 0), min(start + self.size, self.length))

    def reflected(self, number: int) -> NDArray[np.intp]:
        """The scene's pixel behind each of a window's, mirrored at the edges, [size]."""
        period = max(2 * (self.length - 1), 1)
        wrapped = np.mod(self.starts[number] + np.arange(self.size), period)
        return np.minimum(wrapped, period - wrapped) % self.length


@dataclass(frozen=True)
class Tiling:
    """Square windows over a scene, row by row.

    Attributes:
        height: Of the scene, in pixels.
        width: Of the scene.
        size: Height and width of a window.
        overlap: Pixels that neighbours share.
    """

    height: int
    width: int
    size: int
    overlap: int

    @classmethod
    def over(cls, height: int, width: int, size: int, overlap: int | None = None) -> 'Tiling':
        """Windows that share so many pixels; None is about a quarter of their size.

        The strides of networks are powers of 2, up to 32: windows that are a multiple of that apart
        see the scene's pixels at the same places of their strides, so that they answer alike.
        """
        if overlap is None:
            steps = round(0.75 * size / _STRIDE)
            overlap = size - _STRIDE * steps if size >= 4 * _STRIDE else size // 4
        return cls(height, width, size, overlap)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            DataError: If windows do not advance, or nothing is to be covered.
        """
        if self.size < 1 or not 0 <= self.overlap <= self.size // 2:
            raise DataError(
                f'windows of {self.size} pixels cannot share {self.overlap}: let them share at '
                f'most half of their size, {max(self.size, 0) // 2}'
            )
        if self.height < 1 or self.width < 1:
            raise DataError(f'a scene of {self.height} x {self.width} pixels has no window')

    @cached_property
    def down(self) -> Axis:
        """Rows of windows."""
        return Axis(self.height, self.size, self.overlap)

    @cached_property
    def across(self) -> Axis:
        """Columns of windows."""
        return Axis(self.width, self.size, self.overlap)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.down.starts) * len(self.across.starts)

    def runs(self, length: int) -> Iterator[tuple[int, range]]:
        """Windows side by side: their row and their columns, as many as ``length`` at once."""
        columns = range(len(self.across.starts))
        for row in range(len(self.down.starts)):
            for first in columns[::length]:
                yield row, columns[first : first + length]
