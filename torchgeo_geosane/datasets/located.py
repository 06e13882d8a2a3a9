"""Geometries in their own coordinate reference system, brought to small areas of any other."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from torchgeo_geosane.datasets.grid import Bounds, Coordinates, same_crs
from torchgeo_geosane.datasets.reprojection import around_the_earth, near, transformer

Shapes = NDArray[Any]
"""Geometries of shapely, [shapes]."""

# What is drawn of a geometry beyond an area, in its sizes, and points along its diagonal.
_MARGIN, _POINTS = 0.1, 64
_NOTHING = shapely.Polygon()


class Located:
    """Geometries that may reach around the Earth, and far beyond where other systems are defined.

    Only what lies around a wanted area is transformed: it is cut out first, and its edges, straight
    in their own system, get points.

    Args:
        shapes: The geometries.
        crs: Their coordinate reference system, as WKT.
    """

    def __init__(self, shapes: Shapes, crs: str) -> None:
        self.shapes, self.crs = shapes, crs
        self._tree: shapely.STRtree | None = None

    def __len__(self) -> int:
        """Return the number of geometries."""
        return len(self.shapes)

    def __getstate__(self) -> dict[str, Any]:
        """What a worker is given: not the tree."""
        return {**self.__dict__, '_tree': None}

    def near(self, area: Bounds, crs: str) -> NDArray[np.intp]:
        """Which geometries may lie in an area, ascending.

        Args:
            area: Its bounds.
            crs: Their coordinate reference system, as WKT.
        """
        if self._tree is None:
            self._tree = shapely.STRtree(self.shapes)
        boxes = shapely.box(*np.array(_surroundings(area, crs, self.crs)).reshape(-1, 4).T)
        return np.unique(self._tree.query(boxes)[1])

    def around(self, area: Bounds, crs: str, which: NDArray[np.intp]) -> Shapes:
        """What lies of some geometries in an area and around it, in the area's system.

        Args:
            area: Its bounds.
            crs: Their coordinate reference system, as WKT.
            which: Some of what lies near.

        Returns:
            One for each; empty where nothing of it lies there. In the same system it is whole.
        """
        shapes = self.shapes[which]
        if same_crs(self.crs, crs):
            turns = _turns(crs)
            pieces = [_beside(shapes, area, turn) for turn in turns] if len(turns) > 1 else [shapes]
        else:
            boxes = _surroundings(area, crs, self.crs)
            pieces = [
                _cut(shapes, box, area, self.crs, crs) for box in boxes if _meet(shapes, box).any()
            ]
        return _joined(pieces, len(shapes))


def _beside(shapes: Shapes, area: Bounds, turn: float) -> Shapes:
    """Geometries that meet an area on another turn around the Earth, moved there; else empty."""
    left, bottom, right, top = area
    meets = _meet(shapes, (left + turn, bottom, right + turn, top))
    moved = shapely.transform(shapes, lambda points: points - (turn, 0)) if turn else shapes
    return np.where(meets, moved, _NOTHING)


def _meet(shapes: Shapes, box: Bounds) -> NDArray[np.bool_]:
    """Which geometries may lie in a rectangle."""
    left, bottom, right, top = shapely.bounds(shapes).T
    return (left <= box[2]) & (right >= box[0]) & (bottom <= box[3]) & (top >= box[1])


def _cut(shapes: Shapes, box: Bounds, area: Bounds, source: str, target: str) -> Shapes:
    """What lies in a rectangle, transformed; empty where that leads nowhere."""
    dense = np.hypot(box[2] - box[0], box[3] - box[1]) / _POINTS
    cut = shapely.segmentize(shapely.clip_by_rect(shapes, *box), dense)
    way, around = transformer(source, target), around_the_earth(target)

    def move(points: Coordinates) -> Coordinates:
        x, y = way.transform(points[:, 0], points[:, 1])
        return np.column_stack(
            [x if around is None else near(x, (area[0] + area[2]) / 2, around), y]
        )

    moved = shapely.transform(cut, move)
    lost = ~shapely.is_empty(moved) & ~np.isfinite(shapely.bounds(moved)).all(axis=-1)
    return np.where(lost, _NOTHING, moved)


def _joined(pieces: Sequence[Shapes], count: int) -> Shapes:
    """One geometry of the pieces of each."""
    pieces = [piece for piece in pieces if not shapely.is_empty(piece).all()]
    if not pieces:
        return np.full(count, _NOTHING)
    joined = pieces[0].copy()
    for piece in pieces[1:]:
        here = ~shapely.is_empty(piece)
        both = shapely.make_valid(np.stack([joined[here], piece[here]]))
        joined[here] = shapely.union_all(both, axis=0)
    return joined


@lru_cache(maxsize=4096)
def _surroundings(area: Bounds, crs: str, target: str) -> tuple[Bounds, ...]:
    """The rectangles of another system that hold an area and a margin: several around the Earth."""
    box = area
    if not same_crs(crs, target):
        try:
            box = transformer(crs, target).transform_bounds(*area, densify_pts=21, errcheck=True)
        except ProjError:
            return ()  # The area lies beyond where the system is defined.
    left, bottom, right, top = box
    if right < left:
        right += around_the_earth(target) or 0.0
    if not same_crs(crs, target):
        across, up = _MARGIN * (right - left), _MARGIN * (top - bottom)
        left, bottom, right, top = left - across, bottom - up, right + across, top + up
    return tuple((left + turn, bottom, right + turn, top) for turn in _turns(target))


def _turns(crs: str) -> tuple[float, ...]:
    around = around_the_earth(crs)
    return (0.0,) if around is None else (0.0, -around, around)
