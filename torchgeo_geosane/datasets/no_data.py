"""What a file says of pixels without data: a value for each band, a mask, an alpha band."""

import math
from collections.abc import Sequence

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader


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
