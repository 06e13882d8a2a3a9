"""Writes a miniature of SpaceNet 1: photographs of Rio with one bright building each.

They have their true size: TorchGeo resizes images to it, but not their masks.
"""

import json
from pathlib import Path

import numpy as np
from rasterio.transform import from_origin
from rasters import write_raster

IMAGES, HEIGHT, WIDTH = 24, 406, 439
DEGREES = 4.5e-6


def main(root: Path) -> None:
    """Write ``SN1_buildings/train/3band`` and ``geojson``."""
    folder = root / 'SN1_buildings' / 'train'
    (folder / 'geojson').mkdir(parents=True)
    for number in range(1, IMAGES + 1):
        west, north = -43.6 + 0.001 * number, -22.9
        values = np.full((3, HEIGHT, WIDTH), 10 + number, np.uint8)
        left, top, right, bottom = 80, 120, 200, 280
        values[:, top:bottom, left:right] = 240
        place = {'crs': 'EPSG:4326', 'transform': from_origin(west, north, DEGREES, DEGREES)}
        write_raster(
            folder / '3band' / f'3band_AOI_1_RIO_img{number}.tif',
            values,
            compress='deflate',
            **place,
        )
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        ring = [[west + DEGREES * column, north - DEGREES * row] for column, row in corners]
        building = {'type': 'Polygon', 'coordinates': [ring]}
        feature = {'type': 'Feature', 'properties': {}, 'geometry': building}
        path = folder / 'geojson' / f'Geo_AOI_1_RIO_img{number}.geojson'
        path.write_text(json.dumps({'type': 'FeatureCollection', 'features': [feature]}))
