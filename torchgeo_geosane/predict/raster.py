"""Maps as files: rows as they come, then a cloud-optimised GeoTIFF, whole or not at all."""

import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from matplotlib.colors import to_rgba
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.shutil import copy

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.predict.areas import PixelAreas
from torchgeo_geosane.predict.layers import Layers
from torchgeo_geosane.predict.scenes import Scene

KEY = 'GEOSANE_KEY'
"""Tag with a hash of all that determines a map."""

_ROWS = 64


class MapWriter:
    """Writes the rows of a map, and counts what they cover.

    Attributes:
        areas: Square metres of each class, in the order of the legend; empty without one.
    """

    def __init__(self, file: DatasetWriter, layers: Layers) -> None:
        """Begin at the first row.

        Args:
            file: Where rows go.
            layers: What they hold.
        """
        self._file, self._layers = file, layers
        self._values = () if layers.legend is None else layers.legend.values
        self._pixels = PixelAreas(file.crs, file.transform)
        self.areas = np.zeros(len(self._values))
        self.checksums = [0] * file.count

    def write(self, first: int, rows: NDArray[Any]) -> None:
        """Write rows, [bands, rows, width], from one on; each once, in their order."""
        _, height, width = rows.shape
        self._file.write(rows, window=rasterio.windows.Window(0, first, width, height))
        self.checksums = _added(self.checksums, rows)
        if self._values:
            self.areas += self._pixels.count(rows[0], first, 65535)[list(self._values)]


@contextmanager
def writing(
    path: Path, scene: Scene, layers: Layers, tags: Mapping[str, str]
) -> Iterator[MapWriter]:
    """Write a map on the grid of its scene; ``path`` appears once all is on the disk.

    Rows go to a plain file in a hidden folder beside it, of which GDAL makes the map: tiles,
    overviews, compression. It is read back and compared, since GDAL does not report every failure
    to write, and then takes the place of ``path``.

    Args:
        path: The map.
        scene: Where it lies.
        layers: What it holds.
        tags: What else is to be known of it.

    Raises:
        CacheError: If the disk refuses. Whatever goes wrong, nothing is left behind.
    """
    profile = {
        'driver': 'GTiff',
        'height': scene.pixels.height,
        'width': scene.pixels.width,
        'count': len(layers.bands),
        'dtype': layers.dtype,
        'nodata': layers.nodata,
        'crs': scene.crs,
        'transform': scene.transform,
        'blockysize': _ROWS,
        'interleave': 'band',
        'compress': 'deflate',
        'zlevel': 1,
        'bigtiff': 'if_safer',
    }
    with _folder_beside(path) as folder:
        plain, final = folder / 'rows.tif', folder / path.name
        try:
            with rasterio.open(plain, 'w', **profile) as file:
                _describe(file, layers, tags)
                writer = MapWriter(file, layers)
                yield writer
            with rasterio.Env(
                GDAL_NUM_THREADS=torch.get_num_threads(), GDAL_TIFF_OVR_BLOCKSIZE=512
            ):
                copy(plain, final, driver='COG', **_options(layers))
                _verify(final, writer, layers.dtype)
            with final.open('rb') as whole:
                os.fsync(whole.fileno())
            final.replace(path)
        except (RasterioError, OSError) as error:
            raise CacheError(f'cannot write {path} ({error}): is the disk full?') from error


def _options(layers: Layers) -> dict[str, Any]:
    """How GDAL writes it: https://gdal.org/drivers/raster/cog.html."""
    resampling = 'nearest' if layers.legend is not None or layers.kind == 'labels' else 'average'
    return {
        **({'nbits': 16} if layers.half else {}),
        'compress': 'deflate',
        'predictor': 'yes' if layers.legend is None else 'no',
        'blocksize': 512,
        'overview_resampling': resampling,
        'bigtiff': 'if_safer',
        'num_threads': torch.get_num_threads(),
    }


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OSError):
        return True  # Not ours to judge.
    return True


def _describe(file: DatasetWriter, layers: Layers, tags: Mapping[str, str]) -> None:
    file.update_tags(**tags)
    file.descriptions = layers.bands
    file.scales = (layers.scale,) * len(layers.bands)
    if layers.legend is None:
        return
    legend = layers.legend
    named = dict(zip(legend.values, legend.names, strict=True))
    file.update_tags(1, **{f'class_{value}': name for value, name in named.items()})
    if layers.dtype == 'uint8':
        colours = zip(legend.values, legend.colours, strict=True)
        table = {value: tuple(round(255 * part) for part in to_rgba(c)) for value, c in colours}
        file.write_colormap(1, {**table, int(layers.nodata): (0, 0, 0, 0)})


def _verify(path: Path, writer: MapWriter, dtype: str) -> None:
    """Compare a file with what was written to it.

    Raises:
        OSError: If it holds something else.
    """
    checksums = [0] * len(writer.checksums)
    with rasterio.open(path) as file:
        for first in range(0, file.height, 512):
            rows = min(512, file.height - first)
            window = rasterio.windows.Window(0, first, file.width, rows)
            # GDAL from 3.11 on reads 16 bits as a type of their own.
            checksums = _added(checksums, file.read(window=window, out_dtype=dtype))
    if checksums != writer.checksums:
        raise OSError('it does not hold what was written')


def _added(checksums: list[int], rows: NDArray[Any]) -> list[int]:
    """Checksums of bands, with some more rows."""
    return [
        zlib.crc32(np.ascontiguousarray(band).data, checksum)
        for checksum, band in zip(checksums, rows, strict=True)
    ]


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A hidden folder for what is not finished; those of processes that died are cleared away."""
    folder = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f'.{escape(path.name)}.*.part'):
            if not _is_alive(old.name.split('.')[-2]):
                shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    except OSError as error:
        raise CacheError(f'cannot write {path}: {error}') from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
