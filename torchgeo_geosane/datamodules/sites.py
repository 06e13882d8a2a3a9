"""Sites: images whose ground is connected, in one of TorchGeo's indices."""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.index_table import Boxes

_SHARED = 1e-3


def boxes_of(data: Imagery) -> Boxes:
    """What chips may show of each row of the index: left, bottom, right, top, [rows, 4]."""
    return data.index.bounds.to_numpy()


def sites_of(boxes: Boxes, res: tuple[float, float], apart: int = 0) -> NDArray[np.intp]:
    """The site of each box: those that overlap, and what overlaps these, are one.

    Args:
        boxes: Left, bottom, right, top, [boxes, 4].
        res: Width and height of a pixel.
        apart: Boxes at most as many pixels apart are one site too; at 0 edges may touch.

    Returns:
        Numbers of sites from 0, [boxes].
    """
    reach = np.array(res) * (apart / 2 if apart else -_SHARED)
    grown = np.concatenate([boxes[:, :2] - reach, boxes[:, 2:] + reach], axis=1)
    unique, back = np.unique(grown, axis=0, return_inverse=True)
    shapes = shapely.box(*unique.T)
    first, second = shapely.STRtree(shapes).query(shapes, predicate='intersects')
    pairs = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(unique),) * 2)
    _, numbers = connected_components(pairs, directed=False)
    return numbers[back.reshape(-1)]


def areas_of(boxes: Boxes, sites: NDArray[np.intp]) -> NDArray[np.float64]:
    """Ground of each site, counted once, [sites]."""
    order = np.argsort(sites, kind='stable')
    shapes = np.split(shapely.box(*boxes[order].T), np.cumsum(np.bincount(sites))[:-1])
    return np.array([shapely.union_all(site).area for site in shapes])


def extents_of(boxes: Boxes, sites: NDArray[np.intp]) -> Boxes:
    """The box around each site, [sites, 4]."""
    extents = np.tile([np.inf, np.inf, -np.inf, -np.inf], (int(sites.max()) + 1, 1))
    np.minimum.at(extents[:, :2], sites, boxes[:, :2])
    np.maximum.at(extents[:, 2:], sites, boxes[:, 2:])
    return extents


def coarsest(data: Imagery) -> float:
    """Width of the coarsest pixel that is read, in pixels of a chip; at least 1."""
    metres = _metres(data.crs) * min(data.res)
    widths = (
        max(file.res) * _metres(CRS.from_wkt(file.crs))
        for source in data.stack.sources
        for image in source.acquisitions
        for file in image.holding(source.bands)
    )
    return max(1.0, max(widths) / metres)


def _metres(crs: CRS) -> float:
    """Length of a unit: a degree is taken at the equator."""
    factor = crs.axis_info[0].unit_conversion_factor if crs.axis_info else 1.0
    return float(factor * 6_371_000 if crs.is_geographic else factor)
