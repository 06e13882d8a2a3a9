"""Outlines in another coordinate reference system: across its cuts, over poles, beyond its domain."""

from functools import lru_cache

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from shapely.affinity import translate

from torchgeo_geosane.datasets.grid import Coordinates, same_crs

# Points that an outline's sides get, all around: their chords then run close to the true curve.
_POINTS = 84
# How often an outline is quartered where it cannot be transformed whole.
_QUARTERED = 7
# Parts that fail at once: most of the outline lies beyond the target's domain.
_MOST = 1500
# How far the middle of a side may lie from its chord, in its lengths.
_BENT = 0.25
# How far a point may come back from where it was, in sizes of the outline.
_BACK = 1e-3


@lru_cache(maxsize=256)
def transformer(source: str, target: str) -> Transformer:
    """The way from one coordinate reference system, as WKT, to another.

    Raises:
        ProjError: If there is none.
    """
    return Transformer.from_crs(source, target, always_xy=True)


@lru_cache(maxsize=1024)
def around_the_earth(wkt: str) -> float | None:
    """Once around the Earth along x, or None where that is no straight line.

    It is one for longitudes, and in the cylindrical projections (Mercator's, equidistant,
    equal-area).
    """
    crs = CRS.from_wkt(wkt)
    if crs.is_geographic:
        return float(2 * np.pi / crs.axis_info[0].unit_conversion_factor)
    method = '' if crs.coordinate_operation is None else crs.coordinate_operation.method_name
    straight = method.startswith(('Mercator', 'Popular Visualisation', 'Lambert Cylindrical'))
    if not straight and 'Equidistant Cylindrical' not in method:
        return None
    geodetic = crs.geodetic_crs
    assert geodetic is not None
    way = transformer(geodetic.to_wkt(), wkt)
    (west, east), _ = way.transform(np.array([-1.0, 1.0]), np.zeros(2))
    return float(abs(east - west) * 180)


def near(x: Coordinates, middle: float | Coordinates, around: float) -> Coordinates:
    """Places counted around the Earth so that they lie at most half of it from a middle."""
    return x - around * np.floor((x - middle) / around + 0.5)


def everywhere(geometry: shapely.Geometry, wkt: str) -> list[shapely.Geometry]:
    """A geometry as it is and, in a system that runs around the Earth, one turn to either side."""
    around = around_the_earth(wkt)
    if around is None:
        return [geometry]
    return [translate(geometry, turn * around) for turn in (0, -1, 1)]


def reprojected(outlines: gpd.GeoSeries, target: CRS) -> gpd.GeoSeries:
    """Transform polygons, many at once.

    Long sides get more points. What crosses the target's cut, the antimeridian mostly, goes on
    beyond it where x runs around the Earth. What cannot be transformed whole, a pole in longitudes
    or the other side of the Earth in UTM, is quartered until its parts can; what is left then, at a
    singular point or beyond the projection's domain, is left out.

    Args:
        outlines: Polygons, with their coordinate reference system.
        target: The other.

    Returns:
        The polygons there, empty where they have no place in it.

    Raises:
        ProjError: If no transformation leads there.
    """
    source, wkt = outlines.crs.to_wkt(), target.to_wkt()
    if same_crs(source, wkt):
        return outlines.set_crs(target, allow_override=True)
    around = around_the_earth(wkt)
    pieces, owners = outlines.to_numpy(), np.arange(len(outlines))
    done: list[list[shapely.Geometry]] = [[] for _ in range(len(outlines))]
    for _ in range(_QUARTERED):
        moved = _moved(pieces, source, wkt)
        for owner, piece in zip(owners, moved, strict=True):
            if piece is not None:
                done[owner].append(piece)
        failed = np.array([piece is None for piece in moved], bool)
        if not failed.any() or np.bincount(owners[failed]).max() > _MOST:
            break
        pieces, owners = _quarters(pieces[failed], owners[failed])
    found = [
        parts[0] if len(parts) == 1 else _folded(shapely.union_all(parts), around) for parts in done
    ]
    return gpd.GeoSeries(found, index=outlines.index, crs=target)


def _folded(geometry: shapely.Geometry, around: float | None) -> shapely.Geometry:
    """Polygons that go on beyond the cut, put back on its other side."""
    left, _, right, _ = geometry.bounds
    if around is None or (-around / 2 <= left and right <= around / 2):
        return geometry
    parts = [translate(geometry, turn * around) for turn in (0, -1, 1)]
    return shapely.union_all(shapely.clip_by_rect(parts, -around / 2, -np.inf, around / 2, np.inf))


def _quarters(
    pieces: NDArray[np.object_], owners: NDArray[np.intp]
) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    left, bottom, right, top = shapely.bounds(pieces).T
    x, y = (left + right) / 2, (bottom + top) / 2
    parts = np.concatenate(
        [
            shapely.intersection(pieces, shapely.box(west, south, east, north))
            for west, east in ((left, x), (x, right))
            for south, north in ((bottom, y), (y, top))
        ]
    )
    kept = shapely.area(parts) > 0
    return parts[kept], np.tile(owners, 4)[kept]


def _moved(pieces: NDArray[np.object_], source: str, target: str) -> list[shapely.Geometry | None]:
    """Transformed polygons, or None where their sides would be cut or lead nowhere."""
    dense = shapely.segmentize(pieces, np.maximum(shapely.length(pieces) / _POINTS, 1e-12))
    rings, owner = shapely.get_rings(dense, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    if not len(points):
        return list(pieces)
    sides = ring[1:] == ring[:-1]
    given = np.concatenate([points, ((points[1:] + points[:-1]) / 2)[sides]])
    # Which piece each corner, and each middle of a side, belongs to.
    corner = owner[ring]
    middle = corner[1:][sides]
    belongs = np.concatenate([corner, middle])
    moved = np.stack(transformer(source, target).transform(*given.T), 1)
    size = np.ptp(shapely.bounds(pieces).reshape(-1, 2, 2), axis=1).max(axis=1)
    bad = ~(np.abs(moved).max(axis=1) < _farthest(target))
    bad[~bad] = _away(given[~bad], moved[~bad], source, target) > _BACK * size[belongs[~bad]]
    left = ~_any(bad, belongs, len(pieces))
    result: list[shapely.Geometry | None] = [None] * len(pieces)
    around, raw = around_the_earth(target), moved[:, 0].copy()
    first = np.searchsorted(corner, np.arange(len(pieces)))
    for turned in (False, True)[: 1 if around is None else 2]:
        if turned and around is not None:
            moved[:, 0] = near(raw, raw[first][belongs], around)
        cut = _bends(moved[: len(points)], moved[len(points) :], sides, corner, len(pieces))
        whole = left & ~_any(cut, middle, len(pieces))
        there = shapely.set_coordinates(dense[whole].copy(), moved[: len(points)][whole[corner]])
        for at, piece in zip(np.flatnonzero(whole), there, strict=True):
            result[at] = piece if piece.is_valid else _polygons(shapely.make_valid(piece))
        left &= ~whole
    return result


def _any(flags: NDArray[np.bool_], owners: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """Which of the owners have a flag."""
    return np.bincount(owners[flags], minlength=count) > 0


def _away(given: Coordinates, moved: Coordinates, source: str, target: str) -> Coordinates:
    """How far points come back from where they were: beyond its domain a projection leads elsewhere."""
    away = np.stack(transformer(target, source).transform(*moved.T), 1) - given
    around = around_the_earth(source)
    if around is not None:
        away[:, 0] = near(away[:, 0], 0.0, around)
    return np.abs(away).max(axis=1)


def _bends(
    ends: Coordinates,
    middles: Coordinates,
    sides: NDArray[np.bool_],
    corner: NDArray[np.intp],
    count: int,
) -> NDArray[np.bool_]:
    """Which sides of rings have their middle far from their chord."""
    chords, lines = ((ends[1:] + ends[:-1]) / 2)[sides], (ends[1:] - ends[:-1])[sides]
    with np.errstate(invalid='ignore'):
        bent = np.hypot(*(middles - chords).T)
        # Sides that shrink to a point, as a pole's do, have no length.
        least = np.zeros(count)
        np.maximum.at(least, corner[1:][sides], np.hypot(*lines.T))
        return ~(bent <= _BENT * np.hypot(*lines.T) + _BACK * least[corner[1:][sides]])


def _polygons(geometry: shapely.Geometry) -> shapely.Geometry:
    """What a repaired outline has of polygons."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.union_all([part for part in parts if part.geom_type == 'Polygon'])


@lru_cache(maxsize=1024)
def _farthest(wkt: str) -> float:
    """Coordinates that are no place on Earth: once around it, and twice that in degrees."""
    crs = CRS.from_wkt(wkt)
    return (4 * np.pi if crs.is_geographic else 4.1e7) / crs.axis_info[0].unit_conversion_factor
