"""Writes a miniature of RESISC45: photographs of three of its classes."""

from pathlib import Path

import numpy as np
from rasters import write_raster

CLASSES = ('airplane', 'beach', 'wetland')
PER_PART = 2


def main(root: Path, size: int = 48) -> None:
    """Write the photographs, and the lists of the parts."""
    generator = np.random.default_rng(6)
    for part, name in enumerate(('train', 'val', 'test')):
        listed = []
        for category in CLASSES:
            for number in range(PER_PART):
                file = f'{category}_{part * PER_PART + number + 1:03}.jpg'
                values = generator.integers(60, 200, (3, size, size)).astype(np.uint8)
                write_raster(root / 'NWPU-RESISC45' / category / file, values)
                listed.append(f'{file}\n')
        (root / f'resisc45-{name}.txt').write_text(''.join(listed))
