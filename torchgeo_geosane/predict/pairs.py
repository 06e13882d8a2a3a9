"""Scenes at two dates: what change detection compares."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchgeo_geosane.datasets.grid import Pixels, same_crs
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.scenes import Scene

_EXACT = 0.01
"""How far pixels of two grids may lie apart, in pixels."""


@dataclass(frozen=True)
class Pair(Scene):
    """A scene with a second date of the same ground, read on the first one's grid.

    Attributes:
        after: The second date.
    """

    after: Scene

    @property
    def dates(self) -> tuple[Scene, ...]:
        """The first date, and the second."""
        return Scene(self.name, self.data, self.images, self.grid, self.pixels), self.after

    def stamps(self) -> list[tuple[str, int]]:
        """The files of both dates, and when they were modified."""
        return [*super().stamps(), *self.after.stamps()]

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read a part: the bands of the second date after those of the first.

        Raises:
            DataError: If a file is damaged.
        """
        return np.concatenate([super().read(rows, columns), self.after.read(rows, columns)])


def pair_of(before: Scene, others: Sequence[Scene]) -> Pair:
    """A scene with the one of the second date that lies on its grid and shares most ground.

    What only one of them covers has no data in the map.

    Args:
        before: The scene.
        others: Those of the second date.

    Raises:
        DataError: If none has pixels at the same places, or several share as much ground.
    """
    shared = [_shared(before, other) for other in others]
    most = max(shared, default=0)
    found = [other for other, area in zip(others, shared, strict=True) if area == most]
    if not most:
        raise DataError(
            f'no image of the second date has its pixels where {before.name} has them, '
            f'{_grid(before)}; {others[0].name} is {_grid(others[0])}: warp it to that grid, by '
            f'rio warp AFTER.tif WARPED.tif --like BEFORE.tif'
        )
    if len(found) > 1:
        raise DataError(
            f'{len(found)} images of the second date lie where {before.name} does '
            f'({", ".join(other.name for other in found)}): name one of them'
        )
    (after,) = found
    if before.date is not None and after.date is not None and after.date < before.date:
        warnings.warn(
            f'{after.name}, the second date, was taken before {before.name}: exchange them, unless '
            'that is what you mean',
            stacklevel=2,
        )
    here = replace(after, grid=before.grid, pixels=before.pixels)
    return Pair(before.name, before.data, before.images, before.grid, before.pixels, here)


def _shared(one: Scene, other: Scene) -> int:
    """Pixels that two scenes have in common; none where their grids differ."""
    if not same_crs(one.grid.crs, other.grid.crs):
        return 0
    there = ~one.transform @ other.transform
    col, row = round(there.c), round(there.f)
    width, height = other.pixels.width, other.pixels.height
    corners = ((0, 0), (width, 0), (0, height), (width, height))
    for corner in corners:
        x, y = there @ corner
        if max(abs(x - corner[0] - col), abs(y - corner[1] - row)) > _EXACT:
            return 0
    common = Pixels(0, 0, one.pixels.width, one.pixels.height).overlap(
        Pixels(col, row, width, height)
    )
    return 0 if common.is_empty else common.width * common.height


def _grid(scene: Scene) -> str:
    x, y = scene.transform.c, scene.transform.f
    size = f'{scene.grid.xres:.6g} x {scene.grid.yres:.6g}'
    return f'pixels of {size} from ({x:.8g}, {y:.8g}) in {scene.crs.to_string()}'
