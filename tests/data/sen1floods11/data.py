"""Writes a miniature of Sen1Floods11 v1.1: all layers, labels by hand and weak ones, split files.

The first chip of each part has a corner without Sentinel-1, another without Sentinel-2 and a third
without label; the last one of the training part holds no data at all.
"""

from pathlib import Path

import numpy as np
from rasters import LATLON, backscatter, decibel, reflectance, write_raster

PARTS = {
    'train': ('Ghana_1033830', 'Spain_7370579', 'USA_181263', 'Mekong_922373'),
    'valid': ('Ghana_103272', 'Spain_6199994'),
    'test': ('Ghana_313799', 'India_1018317'),
    'bolivia': ('Bolivia_103757', 'Bolivia_23014'),
}
WEAK = ('Bolivia_129334', 'Ghana_1078550', 'India_103447')
EMPTY = 'Mekong_922373'


def main(root: Path, size: int = 32) -> None:
    """Write the files below ``root/v1.1``."""
    generator = np.random.default_rng(0)
    events = root / 'v1.1' / 'data' / 'flood_events'
    splits = root / 'v1.1' / 'splits' / 'flood_handlabeled'
    splits.mkdir(parents=True)
    for part, names in PARTS.items():
        rows = [f'{name}_S1Hand.tif,{name}_LabelHand.tif\n' for name in names]
        (splits / f'flood_{part}_data.csv').write_text(''.join(rows))
        for name in names:
            layers = chip(generator, size, corners=name == names[0], empty=name == EMPTY)
            water = layers['Label']
            hand = {**layers, 'JRCWater': (water == 1).astype(np.uint8), 'S1OtsuLabel': water}
            for layer, values in hand.items():
                write(events / 'HandLabeled', f'{layer}Hand', name, values)
    for name in WEAK:
        layers = chip(generator, size, corners=True)
        water = layers.pop('Label')
        weak = {**layers, 'S1OtsuLabel': water, 'S2IndexLabel': np.roll(water, 1, axis=0)}
        for layer, values in weak.items():
            write(events / 'WeaklyLabeled', f'{layer}Weak', name, values)


def chip(
    generator: np.random.Generator, size: int, corners: bool, empty: bool = False
) -> dict[str, np.ndarray]:
    """Layers of one chip: open land, and a lake that is dark in radar and in infrared."""
    water = np.zeros((size, size), bool)
    water[size // 4 : size // 2, size // 4 :] = True
    radar = decibel(backscatter(generator, size))
    radar[:, water] -= 8
    optical = reflectance(generator, 13, size)
    optical[6:, water] *= 0.2
    label = water.astype(np.int16)
    corner = size if empty else size // 8 if corners else 0
    radar[:, :corner, :corner] = np.nan
    optical[:, size - corner :, :corner] = 0
    label[:corner, size - corner :] = -1
    # Cirrus is often zero where there is data.
    optical[10, size // 2 :, size // 2 :] = 0
    return {'S1': radar, 'S2': optical.round().astype(np.int16), 'Label': label}


def write(folder: Path, layer: str, name: str, values: np.ndarray) -> None:
    """Write a layer of a chip."""
    nodata = {'S1': np.nan, 'S2': 0}.get(layer[:2]) if 'Label' not in layer else None
    write_raster(folder / layer / f'{name}_{layer}.tif', values, nodata=nodata, **LATLON)
