"""Windows of a raster at another resolution, to the pixel the same wherever they begin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from torchgeo_geosane.datasets.grid import rounded
from torchgeo_geosane.datasets.no_data import Mask, either, unknown, zeros
from torchgeo_geosane.datasets.turns import Upright

EXACT = 1e-6
"""Parts of a pixel that count as none."""

MOST_AT_ONCE = 2**24
"""Source pixels of a band; nearest ones of a coarse grid are read in parts."""

# Pixels along each side that a mean is made of.
_ENOUGH = 4


@dataclass(frozen=True)
class Axis:
    """Wanted pixels along one side of a raster.

    Attributes:
        offset: Where the first one begins, in the raster's pixels.
        step: Size of each, in the raster's pixels.
        count: How many.
    """

    offset: float
    step: float
    count: int


@dataclass(frozen=True)
class _Taps:
    """Source pixels of each wanted one, counted from ``first``.

    Attributes:
        first: The first source pixel that is needed.
        count: How many are.
        low: The pixel before each centre.
        high: The pixel behind it.
        share: Of the latter.
        nearest: The pixel in which the centre lies.
    """

    first: int
    count: int
    low: NDArray[np.intp]
    high: NDArray[np.intp]
    share: NDArray[np.float32]
    nearest: NDArray[np.intp]


# Bands of one resolution share them.
@lru_cache(maxsize=32)
def _taps(axis: Axis, length: int) -> _Taps:
    centres = axis.offset + (np.arange(axis.count) + 0.5) * axis.step
    before = np.floor(centres - 0.5 + EXACT)
    share = np.maximum(centres - 0.5 - before, 0).astype(np.float32)
    low, high, nearest = (
        np.clip(at, 0, length - 1).astype(np.intp)
        for at in (before, before + 1, np.floor(centres + EXACT))
    )
    first = int(low[0])
    return _Taps(
        first, int(high[-1]) + 1 - first, low - first, high - first, share, nearest - first
    )


def read_part(
    source: Upright,
    indexes: Sequence[int],
    axes: tuple[Axis, Axis],
    nodata: Sequence[float | None],
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None]:
    """Read a window that lies inside a raster.

    Where pixels have the raster's size, values are as they are (grids that are shifted by a part of
    a pixel: of the nearest one). Smaller ones are interpolated here: GDAL's result, in a tenth of
    its time. Larger ones are left to GDAL, which reads overviews where there are any; but the
    nearest pixel is never one of an overview, which may hold averages.

    Args:
        source: The open raster.
        indexes: Its bands, counted from 1.
        axes: Rows and columns wanted.
        nodata: Value of each band that means no data.
        resampling: Bilinear or nearest.

    Returns:
        Values in the file's type, [bands, rows, columns], and which of them are missing, of a shape
        that broadcasts to it, or None; zero as the value for no data is a value here.
    """
    down, across = axes
    if max(abs(down.step - 1), abs(across.step - 1)) <= EXACT:
        window = Window(
            _inside(across, source.width), _inside(down, source.height), across.count, down.count
        )
        values, hidden = source.read(indexes, window)
        return values, unknown(values, nodata, hidden)
    if resampling == Resampling.nearest:
        return _nearest(source, indexes, axes, nodata)
    if max(down.step, across.step) > 1 + EXACT:
        return _smaller(source, indexes, axes, nodata, resampling)
    return _larger(source, indexes, axes, nodata)


def _inside(axis: Axis, length: int) -> int:
    return min(max(rounded(axis.offset), 0), max(length - axis.count, 0))


def _smaller(
    source: Upright,
    indexes: Sequence[int],
    axes: tuple[Axis, Axis],
    nodata: Sequence[float | None],
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None]:
    down, across = axes
    left, top = max(across.offset, 0.0), max(down.offset, 0.0)
    window = Window(
        left,
        top,
        min(across.count * across.step, source.width - left),
        min(down.count * down.step, source.height - top),
    )
    return reduced(source, indexes, window, (down.count, across.count), nodata, resampling)


def reduced(
    source: Upright,
    indexes: Sequence[int],
    window: Window,
    shape: tuple[int, int],
    nodata: Sequence[float | None],
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None]:
    """Read a window in fewer pixels: by GDAL, where it knows as we do what is missing.

    Args:
        source: The open raster.
        indexes: Its bands, counted from 1.
        window: The window.
        shape: Rows and columns of the result.
        nodata: Value of each band that means no data.
        resampling: How GDAL combines pixels.

    Returns:
        As :func:`read_part`.
    """
    if source.tells(indexes, nodata):
        values, hidden = source.read(indexes, window, shape, resampling)
        return values, unknown(values, nodata, hidden)
    rows, cols = (
        np.round(np.linspace(first, first + length, count + 1)).astype(int)
        for first, length, count in (
            (window.row_off, window.height, shape[0]),
            (window.col_off, window.width, shape[1]),
        )
    )
    return _averaged(source, indexes, rows, cols, nodata)


def _averaged(
    source: Upright,
    indexes: Sequence[int],
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
    nodata: Sequence[float | None],
) -> tuple[NDArray[Any], Mask | None]:
    """Means between edges in rows and columns, of what is not missing."""
    height, width = int(rows[-1] - rows[0]), int(cols[-1] - cols[0])
    if height * width > MOST_AT_ONCE and len(rows) > 2:
        half = len(rows) // 2
        parts = [
            _averaged(source, indexes, some, cols, nodata)
            for some in (rows[: half + 1], rows[half:])
        ]
        return _stacked(parts)
    window = Window(cols[0], rows[0], width, height)
    # A few pixels along each side are mean enough; overviews then serve as they do GDAL.
    shape = height // _thinned(rows), width // _thinned(cols)
    values, hidden = source.read(indexes, window, shape)
    down, across = (
        (edges[:-1] - edges[0]) * count // (edges[-1] - edges[0])
        for edges, count in zip((rows, cols), shape, strict=True)
    )
    missing = unknown(values, nodata, hidden)
    lacking = either(missing, zeros(values, nodata))
    known = np.broadcast_to(np.True_ if lacking is None else ~lacking, values.shape)

    def total(layers: NDArray[Any]) -> NDArray[np.float64]:
        along = np.add.reduceat(layers.astype(np.float64), down, axis=1)
        return np.add.reduceat(along, across, axis=2)

    weight = total(known)
    means = total(np.where(known, values, 0)) / np.maximum(weight, 1)
    # Where nothing but zeros is left, zero is the value here.
    there = known if missing is None else np.broadcast_to(~missing, values.shape)
    nothing = total(there) == 0
    return _as_type(means.astype(np.float32), values.dtype), nothing if nothing.any() else None


def _thinned(edges: NDArray[np.intp]) -> int:
    """Of how many pixels one is enough for a mean between edges."""
    return max(int(edges[-1] - edges[0]) // (len(edges) - 1) // _ENOUGH, 1)


def _stacked(
    parts: Sequence[tuple[NDArray[Any], Mask | None]],
) -> tuple[NDArray[Any], Mask | None]:
    """Parts one below the other."""
    values = np.concatenate([part for part, _ in parts], axis=1)
    missing = [np.broadcast_to(False if mask is None else mask, part.shape) for part, mask in parts]
    return values, np.concatenate(missing, axis=1)


def _nearest(
    source: Upright, indexes: Sequence[int], axes: tuple[Axis, Axis], nodata: Sequence[float | None]
) -> tuple[NDArray[Any], Mask | None]:
    down, across = axes
    if down.count > 1 and down.count * down.step * across.count * across.step > MOST_AT_ONCE:
        half = down.count // 2
        upper = Axis(down.offset, down.step, half)
        lower = Axis(down.offset + half * down.step, down.step, down.count - half)
        parts = [_nearest(source, indexes, (rows, across), nodata) for rows in (upper, lower)]
        return _stacked(parts)
    rows, cols = _taps(down, source.height), _taps(across, source.width)
    values, hidden = source.read(indexes, Window(cols.first, rows.first, cols.count, rows.count))
    near = (slice(None), rows.nearest[:, None], cols.nearest)
    values, hidden = values[near], None if hidden is None else hidden[near]
    return values, unknown(values, nodata, hidden)


def _larger(
    source: Upright,
    indexes: Sequence[int],
    axes: tuple[Axis, Axis],
    nodata: Sequence[float | None],
) -> tuple[NDArray[Any], Mask | None]:
    down, across = _taps(axes[0], source.height), _taps(axes[1], source.width)
    values, hidden = source.read(
        indexes, Window(across.first, down.first, across.count, down.count)
    )
    return interpolate(
        values,
        unknown(values, nodata, hidden),
        nodata,
        partial(_blend, down, across),
        lambda layers: layers[:, down.nearest[:, None], across.nearest],
    )


def interpolate(
    values: NDArray[Any],
    missing: Mask | None,
    nodata: Sequence[float | None],
    blend: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    pick: Callable[[NDArray[Any]], NDArray[Any]],
) -> tuple[NDArray[Any], Mask | None]:
    """Interpolate; where values are missing, the others count.

    Args:
        values: [bands, rows, columns].
        missing: Which are missing, of a shape that broadcasts to it, or None.
        nodata: Value of each band that means no data.
        blend: Interpolates layers of them.
        pick: The layers' pixels nearest to the wanted ones.

    Returns:
        The wanted pixels, and which are missing: those whose own source is, as in GDAL.
    """
    lacking = either(missing, zeros(values, nodata))
    if lacking is None:
        return _as_type(blend(values.astype(np.float32)), values.dtype), None
    known = np.broadcast_to(~lacking, values.shape)
    weight = blend(known.astype(np.float32))
    blended = blend(np.where(known, values, 0).astype(np.float32))
    blended = np.where(pick(known), blended / np.maximum(weight, EXACT), 0)
    return _as_type(blended, values.dtype), None if missing is None else pick(missing)


def _blend(down: _Taps, across: _Taps, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bilinear interpolation, first along the rows, while there are few."""
    wide = between(values.take(across.low, 2), values.take(across.high, 2), across.share)
    return between(wide.take(down.low, 1), wide.take(down.high, 1), down.share[:, None])


def between(
    low: NDArray[np.float32], high: NDArray[np.float32], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Linear interpolation; the second array is overwritten."""
    high -= low
    high *= share
    high += low
    return high


def _as_type(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Interpolated values in a file's type."""
    if dtype.kind not in 'iu':
        return values.astype(dtype)
    # Halves go up, also where the arithmetic falls short of them by its last digits.
    return np.floor(values + np.float32(0.501)).astype(dtype)
