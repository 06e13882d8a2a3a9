"""Writes a miniature of DFC2020: both parts, all sensors, MODIS and contest labels.

The first patch of each part has a corner without Sentinel-1 and another without Sentinel-2; the
second one of ``ROIs0000_test`` is savanna and snow alone.
"""

from pathlib import Path

import numpy as np
from rasters import UTM, backscatter, decibel, reflectance, write_raster

PARTS = {'validation': ('validation', 2), 'test': ('0', 3)}
"""Part to the scene in the names of its folders, and the number of patches."""


def main(root: Path, size: int = 32) -> None:
    """Write ``ROIs0000_validation`` and ``ROIs0000_test``."""
    generator = np.random.default_rng(1)
    for part, (scene, patches) in PARTS.items():
        for number in range(patches):
            layers = patch(generator, size, corners=number == 0)
            if part == 'test' and number == 1:
                layers['dfc'] = np.where(layers['dfc'] % 2, 3, 8).astype(np.int32)
            for sensor, values in layers.items():
                folder = root / f'ROIs0000_{part}' / f'{sensor}_{scene}'
                write_raster(folder / f'ROIs0000_{part}_{sensor}_0_p{number}.tif', values, **UTM)


def patch(generator: np.random.Generator, size: int, corners: bool) -> dict[str, np.ndarray]:
    """Layers of one patch: columns of the ten land covers, in squares of a quarter."""
    labels = np.resize(np.repeat(np.arange(11), size // 8), (size, size)).astype(np.int32)
    radar = decibel(backscatter(generator, size)).astype(np.float64)
    optical = reflectance(generator, 13, size) * (1 + labels / 20)
    corner = size // 8 if corners else 0
    radar[:, :corner, :corner] = np.nan
    optical[:, size - corner :, :corner] = 0
    modis = np.stack([labels + 1] * 4).astype(np.uint16)
    return {'s1': radar, 's2': optical.round().astype(np.uint16), 'dfc': labels, 'lc': modis}
