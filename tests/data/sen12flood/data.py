"""Writes a miniature of SEN12-FLOOD: series of both sensors, and the lists that label them.

Of each sequence the first image shows no flood and the others do, save for two without any flood.
The second image of the first sequence covers half of the area; its third one holds no data.
"""

import json
from pathlib import Path

import numpy as np
from rasters import LATLON, UTM, backscatter, reflectance, write_raster

SEQUENCES = ('0001', '0002', '0003', '0004', '0005', '0006', '0007', '0012', '1', '16')
DRY = ('0002', '0005')
LEVEL2A = (
    *('B01', 'B02', 'B03', 'B04', 'B05', 'B06'),
    *('B07', 'B08', 'B8A', 'B09', 'B11', 'B12'),
)
DATES = {'S1': ('2019-01-21', '2019-02-02', '2019-02-14'), 'S2': ('2019-01-24', '2019-02-13')}


def main(root: Path, size: int = 24) -> None:
    """Write the folder ``SEN12FLOOD``."""
    generator = np.random.default_rng(2)
    folder = root / 'SEN12FLOOD'
    for sensor, dates in DATES.items():
        listed: dict[str, dict[str, object]] = {}
        for sequence in SEQUENCES:
            listed[sequence] = {'count': len(dates), 'folder': sequence, 'geo': {'type': 'Polygon'}}
            for number, date in enumerate(dates, start=1):
                first = sequence == SEQUENCES[0]
                keep = {2: 0.5, 3: 0.0}.get(number, 1.0) if first else 1.0
                filename = write_image(folder / sequence, sensor, date, generator, size, keep)
                listed[sequence][str(number)] = {
                    'date': date,
                    'FLOODING': number > 1 and sequence not in DRY,
                    'FULL-DATA-COVERAGE': keep == 1,
                    'filename': filename,
                }
        (folder / f'{sensor}list.json').write_text(json.dumps(listed))


def write_image(
    folder: Path,
    sensor: str,
    date: str,
    generator: np.random.Generator,
    size: int,
    keep: float,
) -> str:
    """Write one image, of which a part of the columns holds data; its name is returned."""
    covered = np.arange(size) < keep * size
    if sensor == 'S1':
        day = date.replace('-', '')
        filename = f'S1A_IW_GRDH_1SDV_{day}T030815_{day}T030840_026328_02F196_7D7C'
        for band, values in zip(('VV', 'VH'), backscatter(generator, size), strict=True):
            write_raster(folder / f'{filename}_corrected_{band}.tif', values * covered, **LATLON)
        return filename
    filename = f'S2_{date}'
    for band, values in zip(LEVEL2A, reflectance(generator, 12, size), strict=True):
        digital = (values * covered).round().astype(np.uint16)
        write_raster(folder / f'{filename}_{band}.tif', digital, **UTM)
    return filename
