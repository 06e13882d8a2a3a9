"""Windows of a raster at another resolution, to the pixel the same wherever they begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

Mask = NDArray[np.bool_]

_EXACT = 1e-6


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
    before = np.floor(centres - 0.5 + _EXACT)
    share = np.maximum(centres - 0.5 - before, 0).astype(np.float32)
    low, high, nearest = (
        np.clip(at, 0, length - 1).astype(np.intp)
        for at in (before, before + 1, np.floor(centres + _EXACT))
    )
    first = int(low[0])
    return _Taps(
        first, int(high[-1]) + 1 - first, low - first, high - first, share, nearest - first
    )


def read_part(
    source: DatasetReader | WarpedVRT,
    indexes: Sequence[int],
    axes: tuple[Axis, Axis],
    nodata: float | None,
    masked: bool,
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None]:
    """Read a window that lies inside a raster.

    Where pixels have the raster's size, values are as they are (grids that are shifted by a part of
    a pixel: of the nearest one). Smaller ones are interpolated here: GDAL's result, in a tenth of
    its time. Larger ones are left to GDAL, which reads overviews where there are any.

    Args:
        source: The open raster.
        indexes: Its bands, counted from 1.
        axes: Rows and columns wanted.
        nodata: Value that means no data.
        masked: Whether a mask or an alpha band says where there is no data.
        resampling: Bilinear or nearest.

    Returns:
        Values in the file's type, [bands, rows, columns], and which of them are missing, of a shape
        that broadcasts to it, or None; zero as ``nodata`` is a value here.
    """
    down, across = axes
    if max(down.step, across.step) > 1 + _EXACT:
        return _smaller(source, indexes, axes, nodata, masked, resampling)
    if min(down.step, across.step) > 1 - _EXACT:
        window = Window(
            _inside(across, source.width), _inside(down, source.height), across.count, down.count
        )
        values = source.read(indexes, window=window)
        return values, _missing(values, nodata, _mask(source, window) if masked else None)
    return _larger(source, indexes, axes, nodata, masked, resampling)


def _inside(axis: Axis, length: int) -> int:
    return min(max(round(axis.offset), 0), max(length - axis.count, 0))


def _smaller(
    source: DatasetReader | WarpedVRT,
    indexes: Sequence[int],
    axes: tuple[Axis, Axis],
    nodata: float | None,
    masked: bool,
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
    shape = (down.count, across.count)
    values = source.read(
        indexes, window=window, out_shape=(len(indexes), *shape), resampling=resampling
    )
    mask = _mask(source, window, shape) if masked else None
    return values, _missing(values, nodata, mask)


def _larger(
    source: DatasetReader | WarpedVRT,
    indexes: Sequence[int],
    axes: tuple[Axis, Axis],
    nodata: float | None,
    masked: bool,
    resampling: Resampling,
) -> tuple[NDArray[Any], Mask | None]:
    down, across = _taps(axes[0], source.height), _taps(axes[1], source.width)
    window = Window(across.first, down.first, across.count, down.count)
    values = source.read(indexes, window=window)
    missing = _missing(values, nodata, _mask(source, window) if masked else None)
    near = (slice(None), down.nearest[:, None], across.nearest)
    if resampling == Resampling.nearest:
        return values[near], None if missing is None else missing[near]
    unknown = _or(missing, values == 0) if nodata == 0 else missing
    if unknown is None or not unknown.any():
        return _as_type(_blend(values.astype(np.float32), down, across), values.dtype), None
    known = np.broadcast_to(~unknown, values.shape)
    weight = _blend(known.astype(np.float32), down, across)
    blended = _blend(np.where(known, values, 0).astype(np.float32), down, across)
    # As in GDAL, a pixel whose own source has no data has none.
    nowhere = ~known[near]
    blended = np.where(nowhere, 0, blended / np.maximum(weight, _EXACT))
    return _as_type(blended, values.dtype), None if missing is None else missing[near]


def _blend(values: NDArray[np.float32], down: _Taps, across: _Taps) -> NDArray[np.float32]:
    """Bilinear interpolation, first along the rows, while there are few."""
    wide = _between(values.take(across.low, 2), values.take(across.high, 2), across.share)
    return _between(wide.take(down.low, 1), wide.take(down.high, 1), down.share[:, None])


def _between(
    low: NDArray[np.float32], high: NDArray[np.float32], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    high -= low
    high *= share
    high += low
    return high


def _as_type(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind not in 'iu':
        return values.astype(dtype)
    # Halves go up, also where the arithmetic falls short of them by its last digits.
    return np.floor(values + np.float32(0.501)).astype(dtype)


def _mask(
    source: DatasetReader | WarpedVRT, window: Window, shape: tuple[int, int] | None = None
) -> Mask:
    """Where a mask or an alpha band says that there is no data, [1, rows, columns]."""
    valid = source.dataset_mask(window=window, out_shape=shape, resampling=Resampling.nearest)
    return (valid == 0)[None]


def _missing(values: NDArray[Any], nodata: float | None, mask: Mask | None) -> Mask | None:
    if values.dtype.kind == 'f':
        mask = _or(mask, ~np.isfinite(values))
    if nodata is not None and nodata != 0 and not np.isnan(nodata):
        mask = _or(mask, values == values.dtype.type(nodata))
    return mask if mask is not None and mask.any() else None


def _or(first: Mask | None, second: Mask) -> Mask:
    return second if first is None else first | second
