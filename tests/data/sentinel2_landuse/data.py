"""Makes the miniature beside it: the files of examples/data/sentinel2_landuse, 192 x 96 pixels.

Band number ``i`` holds ``1000 * (i + 1)`` plus the class index of the polygon below, so that tests
can tell bands and labels from the values alone.
"""

from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import MultiPolygon, box

WIDTH, HEIGHT = 192, 96
WEST, NORTH, CRS = 330_000, 5_822_040, 'EPSG:32633'
RESOLUTION = {
    **dict.fromkeys(('B02', 'B03', 'B04', 'B08'), 10),
    **dict.fromkeys(('B05', 'B06', 'B07', 'B8A', 'B11', 'B12'), 20),
    **dict.fromkeys(('B01', 'B09', 'B10'), 60),
}
BANDS = (
    *('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B10', 'B11', 'B12'),
)
CLASSES = ('farm', 'forest', 'grass', 'meadow', 'residential', 'scrub', 'water', 'wetland')
STRIPE, SQUARE = 24, 12


def main(root: Path) -> None:
    """Write the bands as lossless JPEG 2000 and the polygons as GeoPackage."""
    for i, band in enumerate(BANDS):
        write_band(root, i, band)
    write_labels(root / 'landuse.gpkg')


def write_band(root: Path, i: int, band: str) -> None:
    step = RESOLUTION[band] // 10
    shape = (HEIGHT // step, WIDTH // step)
    column = np.arange(shape[1]) * step // SQUARE
    row = np.arange(shape[0]) * step // STRIPE
    values = 1000 * (i + 1) + (row[:, None] + column[None]) % len(CLASSES)
    with rasterio.open(
        root / f'T33UUU_20170216T102101_{band}.jp2',
        'w',
        driver='JP2OpenJPEG',
        dtype='uint16',
        count=1,
        crs=CRS,
        height=shape[0],
        width=shape[1],
        transform=from_origin(WEST, NORTH, RESOLUTION[band], RESOLUTION[band]),
        REVERSIBLE='YES',
        QUALITY=100,
    ) as raster:
        raster.write(values.astype(np.uint16), 1)


def write_labels(path: Path) -> None:
    """Squares of 12 pixels in stripes of 24; the lower half of a stripe stays without a label."""
    names, squares = [], []
    for top in range(0, HEIGHT, STRIPE):
        for left in range(0, WIDTH, SQUARE):
            names.append(CLASSES[(top // STRIPE + left // SQUARE) % len(CLASSES)])
            x, y = WEST + 10 * left, NORTH - 10 * top
            squares.append(MultiPolygon([box(x, y - 10 * SQUARE, x + 10 * SQUARE, y)]))
    frame = gpd.GeoDataFrame({'fclass': names}, geometry=squares, crs=CRS)
    frame.to_file(path, layer='landuse', driver='GPKG')


if __name__ == '__main__':
    main(Path(__file__).parent)
