"""Writes a miniature of EuroSAT: some patches a class and part."""

from pathlib import Path

import numpy as np
from rasters import UTM, reflectance, write_raster
from torchgeo.datasets import EuroSAT

CLASSES = (
    *('AnnualCrop', 'Forest', 'HerbaceousVegetation', 'Highway', 'Industrial'),
    *('Pasture', 'PermanentCrop', 'Residential', 'River', 'SeaLake'),
)
PARTS = ('train', 'val', 'test')


def main(root: Path, size: int = 64, patches: int = 1) -> None:
    """Write the patches, and the lists of the parts."""
    for part, name in enumerate(PARTS):
        listed = []
        for category in CLASSES:
            for number in range(part * patches + 1, (part + 1) * patches + 1):
                generator = np.random.default_rng(number)
                path = root / EuroSAT.base_dir / category / f'{category}_{number}.tif'
                write_raster(path, reflectance(generator, 13, size).astype(np.uint16), **UTM)
                listed.append(f'{category}_{number}.jpg\n')
        (root / EuroSAT.split_filenames[name]).write_text(''.join(listed))
