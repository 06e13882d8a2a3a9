"""What a file says of pixels without data: a value for each band, a mask, an alpha band."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

Mask = NDArray[np.bool_]

_LARGEST = np.finfo(np.float32).max


def nodata_values(file: DatasetReader, numbers: Sequence[int]) -> tuple[float | None, ...]:
    """The value of each band that means no data; None where the band could not hold what is stated.

    Args:
        file: An open file.
        numbers: Its bands, counted from 1.
    """
    return tuple(
        holdable(file.nodatavals[number - 1], file.dtypes[number - 1]) for number in numbers
    )


def holdable(value: float | None, dtype: str | np.dtype[np.generic]) -> float | None:
    """A value for no data, or None where a type cannot hold it: -9999 or 0.5 for uint8, say."""
    kind = np.dtype(dtype)
    if value is None or kind.kind not in 'iu':
        return value
    limits = np.iinfo(kind)
    if not math.isfinite(value) or value != math.floor(value):
        return None
    return value if limits.min <= value <= limits.max else None


def is_masked(file: DatasetReader, numbers: Sequence[int]) -> bool:
    """Whether a mask or an alpha band says where bands have no data.

    An alpha band that is itself among the bands is one of them, and no mask.

    Args:
        file: An open file.
        numbers: Its bands, counted from 1.
    """
    colours = dict(zip(file.indexes, file.colorinterp, strict=True))
    alpha_is_read = any(colours[number] == ColorInterp.alpha for number in numbers)
    flags = [set(file.mask_flag_enums[number - 1]) for number in numbers]
    return any(
        not flag  # A mask of this band alone.
        or (MaskFlags.per_dataset in flag and not (MaskFlags.alpha in flag and alpha_is_read))
        for flag in flags
    )


def unknown(
    values: NDArray[Any], nodata: Sequence[float | None], hidden: Mask | None
) -> Mask | None:
    """Which values are missing: masked, not finite, or their band's value for no data.

    Zero as that value is left to :func:`zeros`, since it counts only where several bands hold it.

    Args:
        values: [bands, rows, columns].
        nodata: Value of each band that means no data.
        hidden: What a mask says is missing, of a shape that broadcasts to the values'.

    Returns:
        A mask that broadcasts to the values, or None where nothing is missing.
    """
    missing = hidden
    if values.dtype.kind in 'fc':
        # The largest number is what GDAL makes of infinity where it combines pixels.
        missing = either(missing, ~(np.abs(values) < _LARGEST))
    told = [value if value is not None and math.isfinite(value) else 0 for value in nodata]
    if any(told):
        with np.errstate(over='ignore'):
            as_held = np.array(told).astype(values.dtype)[:, None, None]
        missing = either(missing, (values == as_held) & (as_held != 0))
    return missing if missing is not None and missing.any() else None


def zeros(values: NDArray[Any], nodata: Sequence[float | None]) -> Mask | None:
    """Where bands whose value for no data is zero hold zero, or None where there is none."""
    if 0 not in nodata:
        return None
    black = (values == 0) & np.array([value == 0 for value in nodata])[:, None, None]
    return black if black.any() else None


def either(first: Mask | None, second: Mask | None) -> Mask | None:
    """Both masks in one; None is a mask of nothing."""
    if first is None or second is None:
        return second if first is None else first
    return first | second
