"""Writes a miniature of examples/data/landsat7_landcover: 120 x 48 pixels.

Band number ``i`` holds ``10 * (i + 1)`` plus the class index of the pixel, so that tests can tell
bands and labels from the values alone.
"""

from pathlib import Path

import numpy as np
from rasterio.transform import from_origin
from rasters import write_raster

WIDTH, HEIGHT, SQUARE, CLASSES = 120, 48, 6, 7
BANDS = ('B1', 'B2', 'B3', 'B4', 'B5', 'B7')
PROFILE = {'crs': 'EPSG:32119', 'transform': from_origin(632_158.5, 226_803, 28.5, 28.5)}


def main(root: Path) -> None:
    """Write six bands and the map: squares of 6 pixels."""
    rows, columns = np.indices((HEIGHT, WIDTH)) // SQUARE
    classes = (rows + columns) % CLASSES
    for i, band in enumerate(BANDS):
        values = (10 * (i + 1) + classes).astype(np.uint8)
        write_raster(root / f'lsat7_2000_{band}.tif', values, **PROFILE)
    write_raster(root / 'landcover_1996.tif', (classes + 1).astype(np.uint8), **PROFILE)
