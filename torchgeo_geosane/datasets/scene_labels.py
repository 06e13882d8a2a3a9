"""Labels of a scene: from polygons, or from a map on the same grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.features import rasterize

from torchgeo_geosane.datasets.labels import IGNORE_INDEX
from torchgeo_geosane.datasets.reading import read_mask
from torchgeo_geosane.datasets.scene import Grid, only_file
from torchgeo_geosane.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from rasterio.crs import CRS


@dataclass(frozen=True)
class PolygonLabels:
    """Polygons of the one GeoPackage in a folder; where two overlap, the smaller counts.

    Attributes:
        classes: Values of ``attribute`` in the order of their class indices.
        attribute: Column of the polygons that names their class.
    """

    classes: tuple[str, ...]
    attribute: str

    def read(self, root: Path, grid: Grid) -> NDArray[np.uint8]:
        """Draw the polygons onto a grid, see :class:`~.scene.Labels`."""
        polygons = _read_polygons(
            only_file(root, '*.gpkg', 'the label layer'), grid.crs, self.classes, self.attribute
        )
        mask: NDArray[np.uint8] = rasterize(
            polygons, grid.shape, fill=IGNORE_INDEX, transform=grid.transform, dtype='uint8'
        )
        return mask


@dataclass(frozen=True)
class MapLabels:
    """A raster of class numbers, from 1 on; 0 is unlabelled.

    Attributes:
        pattern: Pattern of the file's name.
        classes: Number of classes.
    """

    pattern: str
    classes: int

    def read(self, root: Path, grid: Grid) -> NDArray[np.uint8]:
        """Read the map, which is to have the grid's place and size, see :class:`~.scene.Labels`."""
        path = only_file(root, self.pattern, 'the label map')
        legend = {0: IGNORE_INDEX, **{index + 1: index for index in range(self.classes)}}
        mask = read_mask(path, legend, grid.shape).astype(np.uint8)
        with rasterio.open(path) as raster:
            if raster.crs != grid.crs or not raster.transform.almost_equals(grid.transform):
                raise DataError(
                    f'{path} lies at {tuple(raster.bounds)} in {raster.crs}, but the bands in '
                    f'{grid.crs} elsewhere: warp the labels onto the grid of the bands'
                )
        return mask


def _read_polygons(
    path: Path, crs: 'CRS', classes: Sequence[str], attribute: str
) -> list[tuple[object, int]]:
    """Geometries with their class indices, in the order in which they are to be drawn."""
    try:
        polygons = gpd.read_file(path)
    except (OSError, RuntimeError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    if attribute not in polygons.columns:
        hint = did_you_mean(attribute, [str(name) for name in polygons.columns])
        raise DataError(f'{path} has no column {attribute!r}{hint}')
    unknown = sorted(set(polygons[attribute].astype(str)) - set(classes))
    if unknown:
        hint = did_you_mean(unknown[0], classes)
        raise DataError(f'{path} holds polygons of unknown class {unknown[0]!r}{hint}')
    polygons = polygons.to_crs(crs)
    # Small polygons last, so that where two overlap the more specific one is on top.
    polygons = polygons.iloc[np.argsort(-polygons.area.to_numpy(), kind='stable')]
    indices = [classes.index(name) for name in polygons[attribute]]
    return list(zip(polygons.geometry, indices, strict=True))
