"""Writes a miniature of fMoW-rgb: photographs of several sizes, with the box of the place bright."""

import json
from pathlib import Path

import numpy as np
from rasters import write_raster

PLACES = {
    'train': ('airport_0', 'airport_1', 'multi-unit_residential_3', 'zoo_12'),
    'val': ('airport_7', 'zoo_40'),
}
SHAPE = (40, 56)
BOX = (20, 10, 24, 16)
"""Left, top, width and height of the place in each image."""


def main(root: Path, more: tuple[str, ...] = ()) -> None:
    """Write the folders ``train``, with more places if asked for, and ``val``."""
    generator = np.random.default_rng(4)
    for part, places in PLACES.items():
        for place in (*places, *more) if part == 'train' else places:
            category = place.rpartition('_')[0]
            for number in range(2):
                start = root / part / category / place / f'{place}_{number}_rgb.jpg'
                values = generator.integers(60, 90, (3, SHAPE[0] + number, SHAPE[1]))
                left, top, width, height = BOX
                values[:, top : top + height, left : left + width] += 120
                write_raster(start, values.astype(np.uint8), quality=95)
                write_raster(
                    start.with_name(f'{place}_{number}_msrgb.jpg'), values.astype(np.uint8)
                )
                box = {'ID': 1, 'box': list(BOX), 'category': category}
                other = {'ID': 2, 'box': [0, 0, 4, 4], 'category': 'false_detection'}
                boxes = [other, box] if number else box
                start.with_suffix('.json').write_text(
                    json.dumps(
                        {'gsd': 0.5, 'timestamp': '2016-02-04T12:29:21Z', 'bounding_boxes': boxes}
                    )
                )
