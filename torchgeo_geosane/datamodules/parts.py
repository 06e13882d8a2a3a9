"""Training, validation and test parts of large images."""

import copy
import hashlib
import math
from typing import Literal

from shapely import box

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.scene_chips import split_columns
from torchgeo_geosane.errors import DataError

PARTS: tuple[Literal['train', 'val', 'test'], ...] = ('train', 'val', 'test')


def by_region(data: Imagery) -> dict[str, Imagery]:
    """Divide the whole extent from west to east: training, validation, test.

    Parts lie as far apart as two pixels of the coarsest band, which interpolation may share.

    Raises:
        DataError: If the extent is too narrow, or a part holds no image.
    """
    x, y, _ = data.bounds
    width = round((x.stop - x.start) / data.res[0])
    gap = 2 * math.ceil(data.stack.coarseness)
    parts: dict[str, Imagery] = {}
    for name in PARTS:
        columns = split_columns(width, name, gap)
        west, east = (x.start + at * data.res[0] for at in (columns.start, columns.stop))
        part = copy.copy(data)
        part.index = data.index.clip(box(west, y.start, east, y.stop), keep_geom_type=True)
        if not len(part.index):
            raise DataError(f'no image lies in the part {name!r} of the extent: split by scene')
        parts[name] = part
    return parts


def by_scene(data: Imagery) -> dict[str, Imagery]:
    """Divide the images, 70 to 15 to 15 %; those of one outline, at several dates, stay together.

    Raises:
        DataError: If there are fewer than three outlines.
    """
    outlines = [
        ' '.join(f'{bound / data.res[0]:.0f}' for bound in bounds)
        for bounds in data.index.bounds.to_numpy()
    ]
    order = sorted(set(outlines), key=lambda name: hashlib.sha256(name.encode()).digest())
    if len(order) < 3:
        raise DataError(
            f'{len(order)} scenes cannot be divided into training, validation and test: '
            'split by region'
        )
    held_out = max(1, round(0.15 * len(order)))
    chosen = {
        'train': order[2 * held_out :],
        'val': order[:held_out],
        'test': order[held_out : 2 * held_out],
    }
    parts: dict[str, Imagery] = {}
    for name in PARTS:
        parts[name] = copy.copy(data)
        parts[name].index = data.index[[outline in chosen[name] for outline in outlines]]
    return parts
