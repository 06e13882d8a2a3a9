"""Training, validation and test parts of large images, which share no ground."""

import copy
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import shapely
from geopandas.array import from_shapely
from numpy.typing import NDArray

from torchgeo_geosane.datamodules.sites import areas_of, boxes_of, coarsest, extents_of, sites_of
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.index_table import Boxes
from torchgeo_geosane.errors import DataError

By = Literal['region', 'scene']
Part = Literal['train', 'val', 'test']
Shares = Mapping[Part, tuple[int, int]]
"""Columns of a site that a part has: the first, and the one behind the last."""
_Cuts = dict[Part, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""West and east of a part, for each row of the index; where they meet it has nothing of the row."""

PARTS: tuple[Part, ...] = get_args(Part)
_ALL = (0, 2**53)
_HELD_OUT = 0.15
_EXACT = 1e-4


def divide(data: Imagery, by: By, gap: int | None = None) -> dict[Part, Imagery]:
    """Divide imagery into parts that share no ground, whatever the dates.

    Args:
        data: The imagery.
        by: ``'region'`` divides each site, connected ground, from west to east: training,
            validation (a sixth of its width) and test (the eastern third). ``'scene'`` divides the
            sites, about 70 to 15 to 15 % of the ground; of two the larger one trains, and of the
            other the western third validates.
        gap: Columns left out between two parts of a site; None is two pixels of the coarsest band,
            which interpolation may share.

    Raises:
        DataError: If no site is wide enough, or there is only one to divide by scene.
    """
    gap = 2 * math.ceil(coarsest(data) - _EXACT) if gap is None else gap
    boxes = boxes_of(data)
    try:
        cuts = _WAYS[by](data, boxes, gap)
    except DataError as error:
        raise DataError(f'{error}: {_advice(data, boxes, gap, by)}') from error
    parts = {part: _cut(data, boxes, *cuts[part]) for part in PARTS}
    for part, found in parts.items():
        if not len(found.index):
            raise DataError(f'no image lies in the part {part!r}: use larger images, or more')
    return parts


def by_region(data: Imagery, gap: int | None = None) -> dict[Part, Imagery]:
    """Divide each site from west to east, see :func:`divide`."""
    return divide(data, 'region', gap)


def by_scene(data: Imagery, gap: int | None = None) -> dict[Part, Imagery]:
    """Divide the sites, see :func:`divide`."""
    return divide(data, 'scene', gap)


def other_way(by: By) -> By:
    """The way to divide that is not this one."""
    return 'scene' if by == 'region' else 'region'


def _advice(data: Imagery, boxes: Boxes, gap: int, by: By) -> str:
    other = other_way(by)
    try:
        _WAYS[other](data, boxes, gap)
    except DataError:
        return f'neither can they by {other}; use larger images, more of them, or a smaller gap'
    return f'split by {other}, or add images of other places'


def _cut_regions(data: Imagery, boxes: Boxes, gap: int) -> _Cuts:
    sites = sites_of(boxes, data.res, gap)
    widths = _widths(boxes, sites, data)
    shares = [thirds(width, gap) for width in widths]
    if not any(shares):
        raise DataError(
            f'{len(boxes)} images cannot be divided by region: the widest site, connected ground, '
            f'has {max(widths)} columns, and {gap} are left out between two parts'
        )
    # Sites that are too narrow to be divided train.
    return _cuts(data, boxes, sites, [share or {'train': _ALL} for share in shares])


def _cut_scenes(data: Imagery, boxes: Boxes, gap: int) -> _Cuts:
    sites = sites_of(boxes, data.res)
    areas = areas_of(boxes, sites)
    if len(areas) == 1:
        raise DataError(
            f'{len(boxes)} images cannot be divided by scene: all are of one site, connected ground'
        )
    if len(areas) > 2:
        corners = extents_of(boxes, sites)[:, :2] / data.res
        parts = _dealt(areas, [f'{x:.0f} {y:.0f}' for x, y in corners])
        return _cuts(data, boxes, sites, [{part: _ALL} for part in parts])
    smaller = int(np.argmin(areas))
    width = _widths(boxes, sites, data)[smaller]
    val = width // 3
    if val == 0 or val + gap >= width:
        raise DataError(
            f'two sites cannot be divided by scene: the smaller one has {width} columns, too few to '
            f'validate on its west and to test on its east, {gap} columns apart'
        )
    halves: Shares = {'val': (0, val), 'test': (val + gap, width)}
    return _cuts(
        data, boxes, sites, [halves if at == smaller else {'train': _ALL} for at in (0, 1)]
    )


_WAYS: dict[By, Callable[[Imagery, Boxes, int], _Cuts]] = {
    'region': _cut_regions,
    'scene': _cut_scenes,
}


def thirds(width: int, gap: int) -> Shares | None:
    """Columns of training in the west, of validation, and of test in the east.

    Args:
        width: Columns of the whole.
        gap: Columns left out between two parts.

    Returns:
        None where it is too narrow.
    """
    test, val = width // 3, width // 6
    train = width - test - val - 2 * gap
    if train <= 0 or val == 0:
        return None
    return {
        'train': (0, train),
        'val': (train + gap, train + gap + val),
        'test': (width - test, width),
    }


def _dealt(areas: NDArray[np.float64], names: Sequence[str]) -> list[Part]:
    """The part of each site: the largest one trains; a hash of its place orders the others."""
    rest = sorted(range(len(areas)), key=lambda at: hashlib.sha256(names[at].encode()).digest())
    rest.remove(int(np.argmax(areas)))
    parts: list[Part] = ['train'] * len(areas)
    held_out: tuple[Part, ...] = ('val', 'test')
    for part in held_out:
        room = _HELD_OUT * areas.sum() * (1 + _EXACT)
        chosen: list[int] = []
        # What brings a part nearer to its share belongs to it; one site is left to the test.
        for at in rest[: len(rest) - (part == 'val')]:
            if areas[at] / 2 <= room:
                chosen.append(at)
                room -= areas[at]
        for at in chosen or [min(rest, key=areas.__getitem__)]:
            parts[at] = part
            rest.remove(at)
    return parts


def _widths(boxes: Boxes, sites: NDArray[np.intp], data: Imagery) -> list[int]:
    """Columns of each site."""
    extents = extents_of(boxes, sites)
    widths: list[int] = np.round((extents[:, 2] - extents[:, 0]) / data.res[0]).astype(int).tolist()
    return widths


def _cuts(data: Imagery, boxes: Boxes, sites: NDArray[np.intp], shares: Sequence[Shares]) -> _Cuts:
    west = extents_of(boxes, sites)[:, 0]
    cuts: _Cuts = {}
    for part in PARTS:
        columns = np.array([share.get(part, (0, 0)) for share in shares])[sites]
        begin, end = (west[sites, None] + columns * data.res[0]).T
        cuts[part] = begin, end
    return cuts


def _cut(
    data: Imagery, boxes: Boxes, west: NDArray[np.float64], east: NDArray[np.float64]
) -> Imagery:
    """What lies between two meridians of each row, in whole pixels of the row."""
    left, bottom, right, top = boxes.T
    width = data.res[0]
    begin = left + np.ceil(np.maximum(west - left, 0) / width - _EXACT) * width
    end = np.where(east < right, left + np.floor((east - left) / width + _EXACT) * width, right)
    kept = np.flatnonzero(end - begin > width / 2)
    limits = shapely.box(begin[kept], bottom[kept], end[kept], top[kept])
    index = data.index.iloc[kept]
    geometry = shapely.intersection(index.geometry.to_numpy(), limits)
    part = copy.copy(data)
    part.index = index.set_geometry(from_shapely(geometry, crs=index.crs))
    part.index = part.index[part.index.area > 0]
    return part
