"""Writes a miniature of BigEarthNet: two patches a part, of both sensors at their resolutions."""

import json
from pathlib import Path

import numpy as np
from rasters import UTM, backscatter, decibel, reflectance, write_raster
from torchgeo.datasets import BigEarthNet

SIZES = {
    **dict.fromkeys(('B02', 'B03', 'B04', 'B08'), 120),
    **dict.fromkeys(('B05', 'B06', 'B07', 'B8A', 'B11', 'B12'), 60),
    **dict.fromkeys(('B01', 'B09'), 20),
}
LABELS = ('Pastures', 'Water bodies')


def main(root: Path) -> None:
    """Write Level 2A's 12 bands, VH and VV in dB, labels and the lists of the parts."""
    generator = np.random.default_rng(5)
    s1, s2 = (root / BigEarthNet.metadata[sensor]['directory'] for sensor in ('s1', 's2'))
    for part, name in enumerate(('train', 'val', 'test')):
        pairs = []
        for number in range(2):
            labels = json.dumps({'labels': LABELS[: number + 1]})
            optical = f'S2A_MSIL2A_20170613T101031_{part}_{number}'
            for band, size in SIZES.items():
                values = reflectance(generator, 1, size).astype(np.uint16)
                write_raster(s2 / optical / f'{optical}_{band}.tif', values, **UTM)
            (s2 / optical / f'{optical}_labels_metadata.json').write_text(labels)
            radar = f'S1A_IW_GRDH_1SDV_20170613T165043_{part}_{number}'
            power = decibel(backscatter(generator, 120))
            for band, values in zip(('VV', 'VH'), power, strict=True):
                write_raster(s1 / radar / f'{radar}_{band}.tif', values, **UTM)
            (s1 / radar / f'{radar}_labels_metadata.json').write_text(labels)
            pairs.append(f'{optical},{radar}\n')
        (root / BigEarthNet.splits_metadata[name]['filename']).write_text(''.join(pairs))
