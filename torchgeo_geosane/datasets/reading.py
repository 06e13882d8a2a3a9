"""Rasters of a chip: one file or many, bands as asked for, no data as NaN, labels by a legend."""

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, WindowError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from torchgeo_geosane.datasets.legend import IGNORE_INDEX
from torchgeo_geosane.datasets.open_files import decoding
from torchgeo_geosane.errors import DataError


@dataclass(frozen=True)
class Raster:
    """A file of a chip and what its bands are.

    Attributes:
        path: The file.
        bands: Names of all its bands, in its order.
        nodata: Value that means no data, beside the one that the file states; None where the
            data set has none.
    """

    path: Path
    bands: tuple[str, ...]
    nodata: float | None = None


def read_image(
    rasters: Sequence[Raster], bands: Sequence[str], window: Window | None = None
) -> NDArray[np.float32]:
    """Read bands of one chip onto one grid, that of its finest file.

    Only files that hold a band asked for are opened. Coarser ones are resampled bilinearly.
    Georeference is not needed, but where two files have one it must be the same, within a pixel.

    Args:
        rasters: Files that hold the bands.
        bands: Bands in the order wanted.
        window: Part of the finest grid, in whole pixels, clipped to it; None reads everything.

    Returns:
        Values in the files' own units, [bands, height, width]; NaN where they are not finite, and
        where all bands read from a file hold its value for no data.

    Raises:
        DataError: If a file is missing, damaged, has another number of bands than it should, or
            lies elsewhere than the others, or if the window lies beside them.
    """
    needed = holding(rasters, bands)
    with ExitStack() as stack:
        files = [stack.enter_context(_opened(raster)) for raster in needed]
        finest = max(files, key=lambda file: file.height * file.width)
        for file in files:
            _check_same_grid(file, finest)
        window = _clipped(window, finest)
        image = np.empty((len(bands), window.height, window.width), np.float32)
        for raster, file in zip(needed, files, strict=True):
            rows = [row for row, band in enumerate(bands) if band in raster.bands]
            indexes = [raster.bands.index(bands[row]) + 1 for row in rows]
            values = _decode(file, indexes, finest, window)
            _mark_missing(values, {raster.nodata, file.nodata})
            image[rows] = values
    return image


def read_mask(path: Path, legend: Mapping[int, int], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Read the labels of one chip.

    Args:
        path: File with one band.
        legend: Value in the file to class index, or to :data:`~.legend.IGNORE_INDEX`.
        shape: Height and width of the chip.

    Returns:
        Class indices, [height, width]. The file's own value for no data and NaN are ignored,
        unless the legend knows them.

    Raises:
        DataError: If the file is missing, damaged or of another size, or holds other values.
    """
    with _opened(Raster(path, ('label',))) as file:
        if file.shape != shape:
            raise DataError(
                f'{path} has {_size(file.shape)} pixels, but its image has {_size(shape)}: '
                'restore both files'
            )
        values = _decode(file, [1], file, Window(0, 0, file.width, file.height), file.dtypes[0])[0]
        nodata = file.nodata
    mask = np.full(values.shape, -1, np.int64)
    for value, index in legend.items():
        mask[values == value] = index
    mask[(mask < 0) & (np.isnan(values) | (values == nodata))] = IGNORE_INDEX
    if (mask < 0).any():
        found = ', '.join(f'{value:g}' for value in np.unique(values[mask < 0])[:5])
        known = ', '.join(str(value) for value in legend)
        raise DataError(f'{path} holds the labels {found}, expected {known}: restore the file')
    return mask


def holding(rasters: Iterable[Raster], bands: Iterable[str]) -> list[Raster]:
    """The files that hold at least one of some bands."""
    return [raster for raster in rasters if not set(raster.bands).isdisjoint(bands)]


def check_files(paths: Iterable[str | Path], listed_in: Path) -> None:
    """Check that files exist.

    Args:
        paths: The files.
        listed_in: The file or folder whose samples they belong to.

    Raises:
        DataError: If some do not exist; it says how many, and which is the first.
    """
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise DataError(
            f'{len(missing)} files of the samples in {listed_in} do not exist, first {missing[0]}: '
            f'restore them, or take their samples out of {listed_in}'
        )


@contextmanager
def _opened(raster: Raster) -> Iterator[DatasetReader]:
    try:
        with warnings.catch_warnings():
            # Chips are read by pixel: those without georeference, JPEG say, are as good.
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            file = rasterio.open(raster.path)
    except rasterio.RasterioIOError as error:
        raise DataError(f'cannot open {raster.path} ({error}): restore the file') from error
    with decoding(), file:
        if file.count != len(raster.bands):
            raise DataError(
                f'{raster.path} holds {file.count} bands, expected {len(raster.bands)} '
                f'({", ".join(raster.bands)}): restore the file'
            )
        yield file


def _clipped(window: Window | None, file: DatasetReader) -> Window:
    whole = Window(0, 0, file.width, file.height)
    try:
        return whole if window is None else window.intersection(whole)
    except WindowError as error:
        raise DataError(
            f'{window} lies beside {file.name}, which has {_size(file.shape)} pixels: '
            'correct the window, or restore the file'
        ) from error


def _check_same_grid(file: DatasetReader, finest: DatasetReader) -> None:
    if _is_georeferenced(file) and _is_georeferenced(finest):
        pixel = max(map(abs, (*file.res, *finest.res)))
        if file.crs == finest.crs and np.allclose(file.bounds, finest.bounds, rtol=0, atol=pixel):
            return
    elif file.shape == finest.shape:
        return
    raise DataError(
        f'{file.name} is {_place(file)}, but {finest.name} is {_place(finest)}: '
        'bring all bands of the chip to one extent'
    )


def _is_georeferenced(file: DatasetReader) -> bool:
    return file.crs is not None and not file.transform.is_identity


def _place(file: DatasetReader) -> str:
    size = f'{_size(file.shape)} pixels'
    if not _is_georeferenced(file):
        return f'{size} without georeference'
    return f'{size} over {tuple(round(bound, 6) for bound in file.bounds)} in {file.crs}'


def _size(shape: tuple[int, ...]) -> str:
    return ' x '.join(map(str, shape))


def _decode(
    file: DatasetReader,
    indexes: Sequence[int],
    grid: DatasetReader,
    window: Window,
    dtype: str = 'float32',
) -> NDArray[Any]:
    """Read the part of a file below a window of another one's grid."""
    down, right = file.height / grid.height, file.width / grid.width
    part = Window(
        window.col_off * right, window.row_off * down, window.width * right, window.height * down
    )
    try:
        return file.read(
            indexes,
            window=part,
            out_shape=(len(indexes), window.height, window.width),
            out_dtype=dtype,
            resampling=Resampling.bilinear,
        )
    except rasterio.RasterioIOError as error:
        raise DataError(f'cannot decode {file.name} ({error}): restore the file') from error


def _mark_missing(values: NDArray[np.float32], nodata: Iterable[float | None]) -> None:
    """Write NaN in place. A zero in one band of several, cirrus say, is a value and stays."""
    for value in nodata:
        if value is not None and not math.isnan(value):
            values[:, (values == np.float32(value)).all(axis=0)] = np.nan
    values[~np.isfinite(values)] = np.nan
