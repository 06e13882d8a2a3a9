"""Rasters whose rows and columns lie along those of a grid, but in another direction or order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

# What a raster may lean over its whole length and still count as lying along the grid, in pixels.
_LEAN = 0.01


@dataclass(frozen=True)
class Turn:
    """One of the eight ways a raster can lie on a grid: mirrored, turned by quarters, both.

    Attributes:
        swapped: Whether its rows are the grid's columns; this comes first.
        rows_flipped: Whether the result's rows run against the grid's.
        cols_flipped: Whether its columns do.
        height: Rows of the result.
        width: Columns of the result.
    """

    swapped: bool
    rows_flipped: bool
    cols_flipped: bool
    height: int
    width: int

    @classmethod
    def between(cls, raster: Affine, width: int, height: int, grid: Affine) -> 'Turn | None':
        """How a raster lies on a grid, or None where it lies askew.

        Args:
            raster: The raster's affine map.
            width: Its columns.
            height: Its rows.
            grid: The grid's.
        """
        a, b, _, d, e, _ = tuple(~raster @ grid)[:6]
        swapped = abs(a) < abs(b)
        across, down, leans = (d, b, (a, e)) if swapped else (a, e, (b, d))
        rows, cols = (width, height) if swapped else (height, width)
        if across == 0 or down == 0:
            return None
        # Per row of the grid the raster's other axis moves by the lean; so does it per column.
        if max(abs(leans[0] * rows / down), abs(leans[1] * cols / across)) > _LEAN:
            return None
        return cls(swapped, down < 0, across < 0, rows, cols)

    @property
    def is_none(self) -> bool:
        """Whether the raster lies as the grid does."""
        return not (self.swapped or self.rows_flipped or self.cols_flipped)

    def upright(self, raster: Affine) -> Affine:
        """The affine map of the raster as it lies on the grid."""
        flipped = Affine(
            -1.0 if self.cols_flipped else 1.0,
            0.0,
            float(self.width) if self.cols_flipped else 0.0,
            0.0,
            -1.0 if self.rows_flipped else 1.0,
            float(self.height) if self.rows_flipped else 0.0,
        )
        return raster @ (Affine(0, 1, 0, 1, 0, 0) @ flipped if self.swapped else flipped)

    def window(self, window: Window) -> Window:
        """A window of the result, as one of the raster."""
        col, row, width, height = window.flatten()
        col = self.width - col - width if self.cols_flipped else col
        row = self.height - row - height if self.rows_flipped else row
        return Window(row, col, height, width) if self.swapped else Window(col, row, width, height)

    def turned(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the raster, [..., rows, columns], as they lie on the grid: a view."""
        values = values.swapaxes(-1, -2) if self.swapped else values
        values = values[..., ::-1, :] if self.rows_flipped else values
        return values[..., ::-1] if self.cols_flipped else values


class Upright:
    """An open raster as it lies on a grid.

    Args:
        file: The raster.
        turn: How it lies; None leaves it as it is.
        masked: Whether a mask or an alpha band says where there is no data.
    """

    def __init__(self, file: DatasetReader, turn: Turn | None, masked: bool) -> None:
        self._file, self._masked = file, masked
        self._turn = None if turn is None or turn.is_none else turn
        whole = file if self._turn is None else self._turn
        self.height: int = whole.height
        self.width: int = whole.width

    def read(
        self,
        indexes: Sequence[int],
        window: Window,
        shape: tuple[int, int] | None = None,
        resampling: Resampling = Resampling.nearest,
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window.

        Args:
            indexes: Bands, counted from 1.
            window: The window, inside the raster.
            shape: Rows and columns of the result, where they are fewer.
            resampling: How values are then combined.

        Returns:
            Values, [bands, rows, columns], and where a mask or an alpha band says that there is no
            data, of a shape that broadcasts to it, or None without one.
        """
        turn = self._turn
        if turn is not None:
            window = turn.window(window)
            shape = shape[::-1] if shape is not None and turn.swapped else shape
        out = None if shape is None else (len(indexes), *shape)
        values = self._file.read(indexes, window=window, out_shape=out, resampling=resampling)
        missing = self._hidden(indexes, window, shape) if self._masked else None
        if turn is None:
            return values, missing
        return turn.turned(values), None if missing is None else turn.turned(missing)

    def tells(self, indexes: Sequence[int], nodata: Sequence[float | None]) -> bool:
        """Whether GDAL itself knows what is missing, as where it combines pixels.

        It heeds the values that the file states, but not beside a mask.
        """
        stated = [self._file.nodatavals[index - 1] for index in indexes]
        known = [
            value is None or _same(value, own) for value, own in zip(nodata, stated, strict=True)
        ]
        return all(known) and not (self._masked and any(value is not None for value in nodata))

    def _hidden(
        self, indexes: Sequence[int], window: Window, shape: tuple[int, int] | None
    ) -> NDArray[np.bool_]:
        # One mask for all bands is read once.
        own = any(not self._file.mask_flag_enums[index - 1] for index in indexes)
        which = list(indexes) if own else list(indexes[:1])
        out = None if shape is None else (len(which), *shape)
        return self._file.read_masks(which, window=window, out_shape=out) == 0


def _same(value: float, other: float | None) -> bool:
    return value == other or (other is not None and math.isnan(value) and math.isnan(other))
