"""Training, validation and test places whose chips share no ground."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from torchgeo_geosane.datasets.geo_photos import GeoPhotos
from torchgeo_geosane.datasets.index_table import Boxes
from torchgeo_geosane.errors import DataError, did_you_mean

By = Literal['region', 'blocks']

# Wide enough to keep four of nine places; narrow enough that a small area has many.
_BLOCK_IN_CHIPS = 3

_Parts = tuple[list[int], list[int], list[int]]


def split_photos(
    data: GeoPhotos,
    shares: Sequence[float] = (0.7, 0.15, 0.15),
    by: By = 'region',
    seed: int = 0,
) -> _Parts:
    """Divide places so that chips of different parts share no ground.

    Args:
        data: The places.
        shares: Of the places in each part, before those are left out whose chips reach into
            another part's ground.
        by: ``'region'``, from west to east: how well a model does elsewhere. ``'blocks'``, squares
            three chips wide, drawn for the parts at random (spatial block cross-validation): how
            well it does in between. What depends on the coordinate can only be judged in between.
        seed: Draws the blocks.

    Returns:
        Numbers of the places of each part.

    Raises:
        DataError: If a part is empty, or ``by`` is unknown.
    """
    if by not in get_args(By):
        raise DataError(f'split {by!r}: name region or blocks{did_you_mean(by, get_args(By))}')
    boxes = data.boxes
    parts = _strips(boxes, shares) if by == 'region' else _blocks(boxes, shares, seed)
    if not all(parts):
        counts = ', '.join(str(len(part)) for part in parts)
        way = 'from west to east' if by == 'region' else 'into blocks'
        raise DataError(
            f'{len(data)} places cannot be divided {way} without shared ground (training, '
            f'validation, test: {counts}): give more places, further apart, or a smaller size'
        )
    return parts


def _strips(boxes: Boxes, shares: Sequence[float]) -> _Parts:
    """From west to east."""
    left, right = boxes[:, 0], boxes[:, 2]
    cuts = np.quantile((left + right) / 2, np.cumsum(shares)[:2])
    return (
        np.flatnonzero(right <= cuts[0]).tolist(),
        np.flatnonzero((left >= cuts[0]) & (right <= cuts[1])).tolist(),
        np.flatnonzero(left >= cuts[1]).tolist(),
    )


def _blocks(boxes: Boxes, shares: Sequence[float], seed: int) -> _Parts:
    """Squares in random order, as many for each part as hold its share of the places."""
    side = _BLOCK_IN_CHIPS * (boxes[:, 2:] - boxes[:, :2]).max()
    origin = boxes[:, :2].min(axis=0)
    first = np.floor((boxes[:, :2] - origin) / side).astype(np.int64)
    # A chip that ends at a border has not crossed it.
    last = np.ceil((boxes[:, 2:] - origin) / side).astype(np.int64) - 1
    inside = np.flatnonzero((first == last).all(axis=1))
    _, block, places = np.unique(first[inside], axis=0, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(places))
    # A block belongs to the part in whose share the middle of its places lies.
    middles = (np.cumsum(places[order]) - places[order] / 2) / max(len(inside), 1)
    part_of = np.empty(len(places), np.int64)
    part_of[order] = np.searchsorted(np.cumsum(shares)[:2], middles)
    train, val, test = (inside[part_of[block.reshape(-1)] == part].tolist() for part in range(3))
    return train, val, test
