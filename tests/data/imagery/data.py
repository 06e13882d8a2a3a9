"""Writes imagery as users have it: Sentinel-2 one file a band, stacks, radar elsewhere, labels, STAC.

Optical bands hold ``100 * number + column + row / 100`` of their own pixels, so that tests can tell
band, place and resampling from the values. Three land covers lie in stripes from west to east.
"""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
from rasterio.transform import from_origin
from rasters import backscatter, decibel, write_raster
from shapely.geometry import box

WEST, NORTH, CRS = 600_000, 5_800_020, 'EPSG:32632'
WIDTH, HEIGHT = 192, 96
BANDS = {'B02': 10, 'B03': 10, 'B04': 10, 'B08': 10, 'B11': 20}
CLASSES = ('water', 'forest', 'urban')
STRIPE = 16


def main(root: Path) -> None:
    """Write folders ``s2``, ``stacks``, ``s1`` and ``labels``, and ``items.json``."""
    for number, (band, res) in enumerate(BANDS.items(), start=1):
        path = root / 's2' / f'T32UPU_20200601T103031_{band}.tif'
        write_raster(path, band_values(number, res), nodata=0, **place(res))
    stack = np.stack([band_values(number, 10) for number in range(1, 5)])
    for day, east in (('20200615', 0), ('20200702', WIDTH)):
        write_raster(root / 'stacks' / f'scene_{day}_{east}.tif', stack, **place(10, east))
    write_radar(root / 's1' / 'S1_20200603.tif')
    write_raster(root / 'labels' / 'cover.tif', cover(), nodata=0, **place(10))
    write_polygons(root / 'labels' / 'cover.gpkg')
    write_items(root)


def place(res: float, columns: int = 0) -> dict[str, object]:
    """Profile of a raster, some columns of 10 m further east."""
    return {'crs': CRS, 'transform': from_origin(WEST + 10 * columns, NORTH, res, res)}


def band_values(number: int, res: int) -> np.ndarray:
    """A band, uint16, with a corner of 8 x 8 pixels of 10 m that holds no data."""
    step = res // 10
    rows, cols = np.indices((HEIGHT // step, WIDTH // step))
    values = (1000 * number + 4 * cols * step + rows * step).astype(np.uint16)
    values[: 8 // step, : 8 // step] = 0
    return values


def write_radar(path: Path) -> None:
    """VV and VH in dB in the next UTM zone, 40 pixels of 50 m, over all of the optical area."""
    x, y = gpd.GeoSeries([box(WEST, NORTH, WEST, NORTH)], crs=CRS).to_crs(32633).total_bounds[:2]
    values = decibel(backscatter(np.random.default_rng(0), 80))
    values[:, -4:, -4:] = np.nan
    transform = from_origin(round(x) - 1000, round(y) + 1000, 50, 50)
    write_raster(path, values, nodata=np.nan, crs='EPSG:32633', transform=transform)


def cover() -> np.ndarray:
    """Class numbers from 1, in stripes; the last eight rows have none."""
    values = np.repeat(np.arange(WIDTH // STRIPE) % 3 + 1, STRIPE)
    values = np.tile(values, (HEIGHT, 1)).astype(np.uint8)
    values[-8:] = 0
    return values


def write_polygons(path: Path) -> None:
    """The same stripes as polygons in degrees."""
    names = [CLASSES[number % 3] for number in range(WIDTH // STRIPE)]
    lefts = [WEST + 10 * STRIPE * number for number in range(WIDTH // STRIPE)]
    bottom = NORTH - 10 * (HEIGHT - 8)
    stripes = [box(left, bottom, left + 10 * STRIPE, NORTH) for left in lefts]
    frame = gpd.GeoDataFrame({'kind': names}, geometry=stripes, crs=CRS)
    frame.to_crs('EPSG:4326').to_file(path, driver='GPKG')


def write_items(root: Path) -> None:
    """An ItemCollection of the image in ``s2``, with a preview that is no band."""
    assets = {
        band.replace('B0', 'b'): {
            'href': f'./s2/T32UPU_20200601T103031_{band}.tif',
            'roles': ['data'],
            'eo:bands': [{'name': band}],
        }
        for band in BANDS
    }
    assets['preview'] = {'href': './s2/preview.jpg', 'roles': ['thumbnail']}
    item = {
        'type': 'Feature',
        'stac_version': '1.0.0',
        'id': 'S2A_T32UPU_20200601',
        'properties': {'datetime': '2020-06-01T10:30:31Z'},
        'assets': assets,
    }
    collection = {'type': 'FeatureCollection', 'features': [item]}
    (root / 'items.json').write_text(json.dumps(collection))
