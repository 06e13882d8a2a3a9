"""Writes a miniature of a set of GEO-Bench-2 in its file format: tortillas in a tortilla (TACO, version 1).

A tortilla begins with ``#y`` and where its table lies, a Parquet of names, places and kinds of its files.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasters import UTM, quiet

from torchgeo_geosane.datasets.geobench2 import find_set

PARTS = ('train', 'validation', 'test')
SIZE = 32
_HEADER = 200


def main(root: Path, benchmark_set: str, samples: int = 4) -> None:
    """Write files with some samples a part; the number in ``seed`` of each makes its values."""
    from geobench_v2 import datasets

    images, _ = find_set(benchmark_set, None)
    maker = getattr(datasets, images.maker)
    rows = []
    for part in PARTS:
        for number in range(samples):
            seed = 10 * PARTS.index(part) + number
            content = tortilla(sample(benchmark_set, maker, seed))
            rows.append(
                {
                    'tortilla:id': f'{part}_{number}',
                    'tortilla:file_format': 'TORTILLA',
                    'tortilla:data_split': part,
                    'content': content,
                }
            )
    paths = list(maker.paths)
    root.mkdir(parents=True, exist_ok=True)
    for at, path in enumerate(paths):
        mine = rows[at :: len(paths)] or rows[:1]
        (root / path).write_bytes(tortilla(mine))


def sample(name: str, maker: Any, seed: int) -> list[dict[str, Any]]:
    """The files of one sample, in the order in which the package reads them."""
    rng = np.random.default_rng(seed)
    config = maker.dataset_band_config

    def image(bands: int) -> np.ndarray:
        # Each band has its number in its values, so that their order can be told.
        numbers = np.arange(1, bands + 1)[:, None, None]
        return (100 * numbers + rng.integers(50, size=(1, SIZE, SIZE))).astype(np.float32)

    def mask(classes: int) -> np.ndarray:
        return rng.integers(classes, size=(1, SIZE, SIZE)).astype(np.int16)

    def count(modality: str = 'self') -> int:
        return len(config.modalities[modality].default_order)

    facts: dict[str, Any] = {}
    match name:
        case 'benv2':
            rasters = [image(count('s1')), image(count('s2'))]
            facts = {'labels': list(maker.label_names)[seed % 3 : seed % 3 + 2]}
        case 'so2sat':
            rasters = [image(count('s1')), image(count('s2'))]
            facts = {'labels': seed % maker.num_classes}
        case 'treesatai':
            rasters = [image(count(each)) for each in ('aerial', 's1', 's2')]
            facts = {'species_labels': [maker.classes[0]], 'dist_labels': [1.0]}
        case 'forestnet':
            rasters = [image(count())]
            facts = {'labels': seed % maker.num_classes}
        case 'fotw':
            rasters = [image(4), image(4), mask(3), mask(3)]
        case 'flair2':
            rasters = [image(5), mask(12) + 1]
        case 'spacenet7':
            rasters = [image(count()), mask(2)]
        case 'burn_scars':
            rasters = [image(count()), mask(3) - 1]
        case _:
            rasters = [image(count()), mask(maker.num_classes)]
    return [
        {
            'tortilla:id': str(at),
            'tortilla:file_format': 'GTiff',
            'stac:centroid': 'POINT (13.5 52.5)',
            **facts,
            'content': tiff(values),
        }
        for at, values in enumerate(rasters)
    ]


def tiff(values: np.ndarray) -> bytes:
    """Values [bands, height, width] as the bytes of a GeoTIFF."""
    count, height, width = values.shape
    shape = {'count': count, 'height': height, 'width': width, 'dtype': values.dtype.name}
    with rasterio.MemoryFile() as file:
        with quiet(), file.open(driver='GTiff', **shape, **UTM) as raster:
            raster.write(values)
        return file.read()


def tortilla(rows: list[dict[str, Any]]) -> bytes:
    """Files, and the table of them."""
    import pyarrow as pa
    from pyarrow import parquet

    body, table, place = b'', [], _HEADER
    for row in rows:
        content = row['content']
        about = {key: value for key, value in row.items() if key != 'content'}
        table.append({**about, 'tortilla:offset': place, 'tortilla:length': len(content)})
        body += content
        place += len(content)
    written = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(table), written)
    footer = written.getvalue()
    head = b'#y' + place.to_bytes(8, 'little') + len(footer).to_bytes(8, 'little')
    return head.ljust(_HEADER, b'\0') + body + footer
