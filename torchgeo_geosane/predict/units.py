"""Whether a scene's values can be what a model was trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchgeo_geosane.datasets.chips import DB
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.scenes import Scene
from torchgeo_geosane.predict.tiling import Tiling

_FAR = 20
"""No ground is so many standard deviations brighter than the average, in all bands, on the whole."""
_FAINT = 0.02
"""None is so dark in all bands: water reflects more than this share of the average."""


def check_units(scene: Scene, tiling: Tiling, mean: Sequence[float], std: Sequence[float]) -> None:
    """Look at nine windows of a scene, before hours are spent on it.

    Args:
        scene: The scene.
        tiling: Where windows lie.
        mean: Mean of each band in the model's training, radar in dB.
        std: Standard deviation of each band.

    Raises:
        DataError: If values are of another order of magnitude, as fractions are where integers are
            expected, or radar in dB is never negative, or power ever.
    """
    values = _sample(scene, tiling)
    if not values.size:
        return
    names, units = scene.data.bands, list(scene.data.units.values())
    low, middle, high = np.percentile(values, (1, 50, 99), axis=1)
    for name, unit, least, most in zip(names, units, low, high, strict=True):
        if unit == DB and least >= 0:
            raise DataError(
                f'{scene.name} holds {name} from {least:.3g} to {most:.3g}, which is power and not '
                'dB: convert it, or set radar: linear where the model was trained so'
            )
        if unit != DB and least < 0 and 'power' in unit:
            raise DataError(
                f'{scene.name} holds {name} down to {least:.3g}, which is no power: is it in dB?'
            )
    optical = [at for at, unit in enumerate(units) if unit != DB and 'power' not in unit]
    means, stds = np.array(mean)[optical], np.array(std)[optical]
    if not optical or (middle[optical] == 0).all():
        return
    if (high[optical] < _FAINT * means).all() or (middle[optical] > means + _FAR * stds).all():
        at = optical[0]
        raise DataError(
            f'{scene.name} holds {names[at]} from {low[at]:.3g} to {high[at]:.3g}, but the model '
            f'was trained on {units[at]}, {mean[at]:.4g} on average: bring it into that unit'
        )


def _sample(scene: Scene, tiling: Tiling) -> NDArray[np.float32]:
    """Pixels of nine windows that have data in all bands, [bands, pixels]."""
    found = []
    for rows in _three(tiling, len(tiling.down.starts), down=True):
        for columns in _three(tiling, len(tiling.across.starts), down=False):
            window = scene.read(rows, columns).astype(np.float32)
            window = window.reshape(len(window), -1)
            found.append(window[:, ~np.isnan(window).any(axis=0)])
    return np.concatenate(found, axis=1)


def _three(tiling: Tiling, count: int, down: bool) -> list[slice]:
    axis = tiling.down if down else tiling.across
    return [axis.inside(number) for number in sorted({0, count // 2, count - 1})]
