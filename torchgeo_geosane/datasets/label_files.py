"""Labels in files: rasters of class values, or polygons."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.features import rasterize

from torchgeo_geosane.datasets.acquisitions import Acquisition, Paths, find_acquisitions
from torchgeo_geosane.datasets.decoding import Values, decode_values
from torchgeo_geosane.datasets.footprints import outlines
from torchgeo_geosane.datasets.grid import Grid, Pixels
from torchgeo_geosane.datasets.labels import IGNORE_INDEX, Labels, Legend
from torchgeo_geosane.datasets.open_files import modified
from torchgeo_geosane.datasets.raster_files import SUFFIXES
from torchgeo_geosane.datasets.reprojection import everywhere
from torchgeo_geosane.errors import DataError, did_you_mean
from torchgeo_geosane.sensors import Band, Sensor

_LABEL = Sensor('labels', 'class values', (Band('label', None, 'class'),), '')


class RasterLabels(Labels):
    """Labels in rasters of one band, read as the nearest pixel.

    Args:
        paths: A folder, a glob, files or STAC items.
        legend: What the values mean; a file's own value for no data is no label.

    Raises:
        DataError: If there is no file, or one is damaged or has several bands.
    """

    def __init__(self, paths: Paths, legend: Legend) -> None:
        self._maps = find_acquisitions(paths, _LABEL)
        self._numbers = legend.numbers()
        self._outlines: dict[str, gpd.GeoSeries] = {}

    def outline(self, crs: CRS) -> gpd.GeoSeries:
        """The outlines of all files."""
        return outlines(self._maps, ('label',), crs)

    def _stamp(self) -> str:
        files = [file.path for one in self._maps for file in one.files]
        return f'{[(path, modified(path)) for path in files]} {self._numbers}'

    def _draw(self, grid: Grid, pixels: Pixels) -> NDArray[np.uint8]:
        mask = np.full((1, pixels.height, pixels.width), IGNORE_INDEX, np.uint8)
        windows = everywhere(grid.outline(pixels), grid.crs)
        _, near = self._outline_in(grid.crs).sindex.query(windows)
        for index in np.unique(near):
            found = self._maps[int(index)]
            values = decode_values(found, ('label',), grid, pixels, resampling=Resampling.nearest)
            labelled = self._indices(values, found)
            mask = np.where(labelled == IGNORE_INDEX, mask, labelled)
        return mask

    def _outline_in(self, wkt: str) -> gpd.GeoSeries:
        if wkt not in self._outlines:
            self._outlines[wkt] = self.outline(CRS.from_wkt(wkt))
        return self._outlines[wkt]

    def _indices(self, read: Values, source: Acquisition) -> NDArray[np.uint8]:
        values = read.values
        indices = np.full(values.shape, -1, np.int16)
        for value, index in self._numbers.items():
            indices[values == value] = index
        if read.missing is not None:
            indices[read.missing] = IGNORE_INDEX
        file = source.files[0]
        if (indices < 0).any():
            found = ', '.join(f'{value:g}' for value in np.unique(values[indices < 0])[:5])
            known = ', '.join(str(value) for value in self._numbers)
            raise DataError(
                f'{file.path} holds the labels {found}, expected {known}: '
                'add them to classes or to ignored'
            )
        return indices.astype(np.uint8)


class VectorLabels(Labels):
    """Labels as polygons of any format that geopandas reads; smaller ones lie on top.

    Args:
        paths: A file or several.
        legend: What the values mean.
        attribute: Column of the values; None where all polygons are of one class.
        background: Class of pixels that no polygon covers; None leaves them without label.

    Raises:
        DataError: If a file cannot be read, has no CRS or lacks the column, or if a value or the
            background is not in the legend.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        legend: Legend,
        attribute: str | None = None,
        background: str | None = None,
    ) -> None:
        if background is not None and background not in legend.classes:
            raise DataError(
                f'unknown background {background!r}{did_you_mean(background, legend.classes)}'
            )
        names = list(legend.classes)
        self._beside = IGNORE_INDEX if background is None else names.index(background)
        drawn = [name for name in names if name != background]
        if attribute is None and len(drawn) != 1:
            raise DataError(
                f'{len(drawn)} classes, but no attribute: name the column that tells them apart'
            )
        only = names.index(drawn[0])
        layers = [_read_layer(Path(path), legend, attribute, only) for path in paths]
        self._layers = layers[0]
        if len(layers) > 1:
            crs = layers[0].crs
            self._layers = pd.concat([layer.to_crs(crs) for layer in layers])
        self._projected: dict[str, gpd.GeoDataFrame] = {}
        # Polygons stay as they were read, whatever becomes of the files.
        stamps = [(str(path), modified(str(path))) for path in paths]
        self._source = f'{stamps} {legend} {attribute} {background}'

    def outline(self, crs: CRS) -> gpd.GeoSeries:
        """The rectangle around all polygons."""
        return gpd.GeoSeries([shapely.box(*self._layers.to_crs(crs).total_bounds)], crs=crs)

    def _stamp(self) -> str:
        return self._source

    def _draw(self, grid: Grid, pixels: Pixels) -> NDArray[np.uint8]:
        if grid.crs not in self._projected:
            polygons = self._layers.to_crs(grid.crs)
            order = np.argsort(-polygons.area.to_numpy(), kind='stable')
            self._projected[grid.crs] = polygons.iloc[order]
        polygons = self._projected[grid.crs]
        # The index of a query is in the order of the drawing.
        here = polygons.iloc[np.sort(polygons.sindex.query(grid.outline(pixels)))]
        mask: NDArray[np.uint8] = np.full((pixels.height, pixels.width), self._beside, np.uint8)
        if len(here):
            rasterize(
                zip(here.geometry, here['index'], strict=True),
                out=mask,
                transform=grid.at(pixels),
            )
        return mask[None]


def _read_layer(path: Path, legend: Legend, attribute: str | None, only: int) -> gpd.GeoDataFrame:
    """Geometries with their class index."""
    try:
        layer = gpd.read_parquet(path) if path.suffix == '.parquet' else gpd.read_file(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    if layer.crs is None:
        raise DataError(f'{path} does not state its coordinate reference system: add it')
    layer = layer[~(layer.geometry.is_empty | layer.geometry.isna())]
    if not len(layer):
        raise DataError(f'{path} holds no polygon: restore the file')
    if attribute is None:
        indices: Any = only
    else:
        if attribute not in layer.columns:
            columns = [str(name) for name in layer.columns]
            raise DataError(f'{path} has no column {attribute!r}{did_you_mean(attribute, columns)}')
        known = legend.texts()
        values = layer[attribute].astype(str)
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise DataError(
                f'{path} holds the labels {", ".join(unknown[:5])}, expected {", ".join(known)}: '
                'add them to classes or to ignored'
            )
        indices = values.map(known)
    return gpd.GeoDataFrame({'index': indices}, geometry=layer.geometry, crs=layer.crs)


def find_labels(
    paths: Paths,
    legend: Legend,
    attribute: str | None = None,
    background: str | None = None,
) -> Labels:
    """Labels in rasters or in polygons, by the files' endings.

    Raises:
        DataError: As the two classes state.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    endings = (*SUFFIXES, '.json') if attribute is None and background is None else SUFFIXES
    vectors = [
        path for path in listed if Path(path).is_file() and not str(path).lower().endswith(endings)
    ]
    if len(vectors) == len(listed) and vectors:
        return VectorLabels(vectors, legend, attribute, background)
    if attribute is not None or background is not None:
        raise DataError(
            f'{paths} are rasters or do not exist: attribute and background are for polygons'
        )
    return RasterLabels(paths, legend)
