"""Writes a miniature world: a Sentinel-2 image of coloured squares, and photos of the squares.

A photo shows the colour of the square in which it was taken, so that image and photo tell of each
other, and ``kind`` says which of four kinds the square is.
"""

import csv
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from pyproj import Transformer
from rasterio.transform import from_origin

WEST, NORTH, CRS = 330_000, 5_822_040, 'EPSG:32633'
SIZE, SQUARE, PHOTOS = 512, 16, 60


def main(root: Path) -> None:
    """Write ``scene.tif`` (four bands), ``photos/*.png`` and ``photos.csv``."""
    random = np.random.default_rng(0)
    kinds = random.integers(0, 4, (SIZE // SQUARE, 2 * SIZE // SQUARE))
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]])
    pixels = np.kron(kinds, np.ones((SQUARE, SQUARE), int))
    image = 10 * colours[pixels].transpose(2, 0, 1)
    bands = np.concatenate([image[::-1], 3000 - image[:1]]).astype(np.uint16)
    place = {'crs': CRS, 'transform': from_origin(WEST, NORTH, 10, 10)}
    size = {'width': 2 * SIZE, 'height': SIZE, 'count': 4, 'dtype': 'uint16'}
    with rasterio.open(root / 'scene.tif', 'w', driver='GTiff', **size, **place) as file:
        file.write(bands)
        file.descriptions = ('B2', 'B3', 'B4', 'B8')
    to_degrees = Transformer.from_crs(CRS, 'EPSG:4326', always_xy=True)
    (root / 'photos').mkdir()
    with (root / 'photos.csv').open('w', newline='') as table:
        rows = csv.writer(table)
        rows.writerow(['file', 'longitude', 'latitude', 'kind', 'height'])
        for number in range(PHOTOS):
            col, row = random.uniform(0, 2 * SIZE), random.uniform(0, SIZE)
            kind = kinds[int(row) // SQUARE, int(col) // SQUARE]
            noise = random.normal(0, 10, (40, 60, 3))
            photo = np.clip(colours[kind] + noise, 0, 255).astype(np.uint8)
            Image.fromarray(photo).save(root / 'photos' / f'{number}.png')
            longitude, latitude = to_degrees.transform(WEST + 10 * col, NORTH - 10 * row)
            name = ('red', 'green', 'blue', 'yellow')[kind]
            rows.writerow([f'photos/{number}.png', longitude, latitude, name, float(kind)])
