"""Writes a miniature of the California wildfires: one file a band, images of several sizes.

Image 7 exists with and without a fire; the last image without a fire holds no data.
"""

from pathlib import Path

import numpy as np
from rasters import UTM, reflectance, write_raster

BANDS = ('B8A', 'B11', 'B12')
IDS = {'fire': range(12), 'no-fire': (7, *range(20, 32))}


def main(root: Path, size: int = 16) -> None:
    """Write the folder ``images``."""
    generator = np.random.default_rng(3)
    for folder, identifiers in IDS.items():
        for identifier in identifiers:
            values = reflectance(generator, 3, size + identifier % 4)
            if folder == 'fire':
                values[2, 4:8, 4:8] += 8000
            if identifier == 31:
                values[:] = 0
            for band, plane in zip(BANDS, values.round().astype(np.uint16), strict=True):
                write_raster(root / 'images' / folder / f'{identifier}_{band}.tif', plane, **UTM)
