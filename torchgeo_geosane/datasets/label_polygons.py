"""Labels as polygons."""

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import rasterize

from torchgeo_geosane.datasets.grid import Grid, Pixels
from torchgeo_geosane.datasets.labels import Labels, Span
from torchgeo_geosane.datasets.legend import Legend
from torchgeo_geosane.datasets.located import Located
from torchgeo_geosane.datasets.open_files import modified
from torchgeo_geosane.errors import DataError, did_you_mean

Layer = str | int


class VectorLabels(Labels):
    """Labels as polygons of any format that geopandas reads; smaller ones lie on top.

    Args:
        paths: The files.
        times: When the labels of each were.
        legend: What the values mean.
        attribute: Column of the values; None where all polygons are of one class.
        background: Class of pixels that no polygon covers; None leaves them without label.
        layer: Name or number of the layer; None where each file has one.

    Raises:
        DataError: If a file cannot be read, has no CRS, lacks the column or the layer or has
            several layers, or if a value or the background is not in the legend.
    """

    def __init__(
        self,
        paths: Sequence[str],
        times: Sequence[Span],
        legend: Legend,
        attribute: str | None = None,
        background: str | None = None,
        layer: Layer | None = None,
    ) -> None:
        if background is not None and background not in legend.classes:
            raise DataError(
                f'unknown background {background!r}{did_you_mean(background, legend.classes)}'
            )
        names = list(legend.classes)
        self._beside = legend.ignore_index if background is None else names.index(background)
        drawn = [name for name in names if name != background]
        if attribute is None and len(drawn) != 1:
            raise DataError(
                f'{len(drawn)} classes, but no attribute: name the column that tells them apart'
            )
        self._layers: list[Located] = []
        self._classes: list[NDArray[np.int64]] = []
        self._areas: list[NDArray[np.float64]] = []
        for path in paths:
            polygons = read_polygons(path, attribute, layer)
            shapes = polygons.geometry.to_numpy()
            # What crosses itself would lose parts where it is cut.
            valid = np.where(shapely.is_valid(shapes), shapes, shapely.make_valid(shapes))
            self._layers.append(Located(valid, polygons.crs.to_wkt()))
            self._areas.append(_areas(polygons))
            self._classes.append(
                np.full(len(polygons), names.index(drawn[0]))
                if attribute is None
                else legend.of_column(polygons[attribute], path)
            )
        extents = [
            (
                Located(
                    np.array([shapely.box(*shapely.total_bounds(located.shapes))]), located.crs
                ),
                np.array([number]),
            )
            for number, located in enumerate(self._layers)
        ]
        super().__init__(legend, extents, times)
        # Polygons stay as they were read, whatever becomes of the files.
        stamps = [(path, modified(path)) for path in paths]
        self._source = f'{stamps} {attribute} {background} {layer}'

    def _stamp(self) -> str:
        return self._source

    def _draw(self, grid: Grid, pixels: Pixels, files: Sequence[int]) -> NDArray[Any]:
        mask = np.full((pixels.height, pixels.width), self._beside, self.legend.dtype)
        area = grid.outline(pixels).bounds
        shapes: list[Any] = []
        classes: list[int] = []
        areas: list[float] = []
        for number in files:
            located = self._layers[number]
            near = located.near(area, grid.crs)
            shapes += list(located.around(area, grid.crs, near))
            classes += self._classes[number][near].tolist()
            areas += self._areas[number][near].tolist()
        order = [
            at for at in np.argsort(-np.array(areas), kind='stable') if not shapes[at].is_empty
        ]
        if order:
            pairs = [(shapes[at], classes[at]) for at in order]
            rasterize(pairs, out=mask, transform=grid.at(pixels))
        return mask


def read_polygons(path: str, attribute: str | None, layer: Layer | None) -> gpd.GeoDataFrame:
    """The features of a file that have a geometry, with their column."""
    try:
        if path.endswith('.parquet'):
            polygons = gpd.read_parquet(path)
        else:
            polygons = gpd.read_file(path, layer=_layer(path, layer), engine='pyogrio')
    except (OSError, RuntimeError, ValueError, shapely.errors.ShapelyError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    if attribute is not None and attribute not in polygons.columns:
        columns = [str(name) for name in polygons.columns if name != 'geometry']
        raise DataError(f'{path} has no column {attribute!r}{did_you_mean(attribute, columns)}')
    if polygons.crs is None:
        raise DataError(f'{path} does not state its coordinate reference system: add it')
    polygons = polygons[~(polygons.geometry.is_empty | polygons.geometry.isna())]
    if not len(polygons):
        raise DataError(f'{path} holds no polygon: restore the file')
    return polygons


def layers_of(path: str) -> list[str]:
    """Names of the layers of a file that have geometries.

    Raises:
        RuntimeError: If it is no file of vectors.
    """
    return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]


def _layer(path: str, wanted: Layer | None) -> Layer:
    names = layers_of(path)
    if wanted is None and len(names) > 1:
        raise DataError(f'{path} has the layers {", ".join(names)}: choose one by layer')
    if isinstance(wanted, int) and not 0 <= wanted < len(names):
        raise DataError(
            f'{path} has {len(names)} layers ({", ".join(names)}), none of number {wanted}'
        )
    if isinstance(wanted, str) and wanted not in names:
        raise DataError(f'{path} has no layer {wanted!r}{did_you_mean(wanted, names)}')
    if not names:
        raise DataError(f'{path} holds no geometries: restore the file')
    return names[wanted] if isinstance(wanted, int) else wanted or names[0]


def _areas(polygons: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """Areas in square metres, near enough to tell the smaller of two."""
    shapes, crs = polygons.geometry.to_numpy(), CRS(polygons.crs)
    unit = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    if not crs.is_geographic:
        return shapely.area(shapes) * unit**2
    _, south, _, north = shapely.bounds(shapes).T
    return shapely.area(shapes) * (unit * 6_371_000) ** 2 * np.cos((south + north) / 2 * unit)
