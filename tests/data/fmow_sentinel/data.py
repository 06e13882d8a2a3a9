"""Writes a miniature of fMoW-Sentinel: small images of several sizes, and a csv file a part.

The last image of the training part holds no data; a file that failed to download has one band.
"""

import csv
from pathlib import Path

import numpy as np
from rasters import LATLON, reflectance, write_raster

IMAGES = {
    'train': (
        ('airport', 0, 6),
        ('airport', 0, 101),
        ('multi-unit_residential', 3, 0),
        ('zoo', 12, 100),
    ),
    'val': (('airport', 7, 1), ('zoo', 40, 103)),
    'test_gt': (('port', 2, 0),),
}
COLUMNS = ('', 'category', 'location_id', 'image_id', 'timestamp', 'polygon', 'image_path')


def main(root: Path) -> None:
    """Write the folder ``fmow-sentinel``."""
    generator = np.random.default_rng(5)
    folder = root / 'fmow-sentinel'
    for part, images in IMAGES.items():
        rows = []
        for row, (category, location, image) in enumerate(images):
            place = f'{category}_{location}'
            path = folder / part / category / place / f'{place}_{image}.tif'
            values = reflectance(generator, 13, 20 + row)
            if (category, image) == ('zoo', 100):
                values[:] = 0
            write_raster(path, values.round().astype(np.uint16), **LATLON)
            polygon = 'POLYGON ((32.6 0.05, 32.7 0.05, 32.7 0.04, 32.6 0.04, 32.6 0.05))'
            stated = f'fmow-sentinel/{category}/{place}_{image}.tif'
            rows.append((row, category, location, image, '2017-01-01T00:00:00Z', polygon, stated))
        with (folder / f'{part}.csv').open('w', newline='') as file:
            csv.writer(file).writerows([COLUMNS, *rows])
    failed = folder / 'train' / 'airport' / 'airport_0' / 'airport_0_102.tif'
    write_raster(failed, np.zeros((1, 20, 20), np.uint16), **LATLON)
