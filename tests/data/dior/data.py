"""Writes a miniature of DIOR: dark photographs with bright objects in their boxes."""

from pathlib import Path

import numpy as np
from rasters import write_raster

IMAGES = {'train': 20, 'val': 4}
CLASSES = ('airplane', 'windmill')


def main(root: Path, size: int = 64) -> None:
    """Write photographs, annotations and the table of samples."""
    generator = np.random.default_rng(7)
    rows, number = ['image_path,label_path,split\n'], 0
    for part, count in IMAGES.items():
        for _ in range(count):
            number += 1
            values = generator.integers(10, 40, (3, size, size)).astype(np.uint8)
            objects = []
            for index, category in enumerate(CLASSES):
                left, top = (int(start) for start in generator.integers(0, size // 4, 2))
                left += index * size // 2
                right, bottom = left + size // 4, top + size // 3
                values[:, top:bottom, left:right] = 240
                # As in Pascal VOC, the last pixel is inside.
                objects.append(annotated(category, (left, top, right - 1, bottom - 1)))
            image, label = f'Images_trainval/{number:05}.jpg', f'Annotations/{number:05}.xml'
            write_raster(root / image, values, quality=95)
            (root / label).parent.mkdir(exist_ok=True)
            content = f'<annotation><filename>{number:05}.jpg</filename>{"".join(objects)}'
            (root / label).write_text(f'{content}</annotation>')
            rows.append(f'{image},{label},{part}\n')
    (root / 'sample_df.csv').write_text(''.join(rows))


def annotated(category: str, box: tuple[int, int, int, int]) -> str:
    names = ('xmin', 'ymin', 'xmax', 'ymax')
    edges = ''.join(f'<{name}>{edge}</{name}>' for name, edge in zip(names, box, strict=True))
    return f'<object><name>{category}</name><bndbox>{edges}</bndbox></object>'
