"""What alignment and local interpolation are worth: GAIR in small, on real ground.

    python benchmarks/geo_alignment.py --jobs 2

Places all over the shipped Sentinel-2 scene, and a photo of each: the ground around it
through another camera, in other bands, turned and discoloured. Trains small encoders on the west and
looks for held-out photos in the east; and on blocks all over the scene, to look for photos in between,
where a coordinate can tell something. Runs that ``output`` has are not repeated. Writes
docs/benchmarks/geo_alignment.md.
"""

import argparse
import csv
import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import rasterio
import torch
from lightning.pytorch import Trainer, seed_everything
from measure import machine
from PIL import Image
from pyproj import Transformer
from rasterio.transform import from_origin

from torchgeo_geosane.compare.statistics import Difference, Mean
from torchgeo_geosane.compare.verdict import format_estimate
from torchgeo_geosane.datamodules import GeoPhotosDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.photo_parts import By
from torchgeo_geosane.models.interpolation import Interpolation
from torchgeo_geosane.models.location import GLOBAL_SIGMAS
from torchgeo_geosane.tasks import GeoAlignmentTask
from torchgeo_geosane.tasks.geo_alignment import Objective

ROOT = Path(__file__).parents[1]
SCENE = ROOT / 'examples' / 'data' / 'sentinel2_landuse'
DOCS = ROOT / 'docs' / 'benchmarks'
OUTPUT = ROOT / 'output' / 'geo_alignment'

PLACES, CROP, PHOTO = 2000, 16, 32
BANDS = ('B2', 'B3', 'B4', 'B8')

Values = dict[int, float]  # By seed.

# Waves of 20, 5 and 1.2 km: the scene is 15 km wide.
DISTRICT_SIGMAS = (2.0**10, 2.0**12, 2.0**14)


@dataclass(frozen=True)
class Variant:
    """One way to align.

    Attributes:
        key: In the names of files.
        name: In the table.
        objectives: The losses.
        interpolation: How the satellite image is read at the photo's point.
        split: Where the held-out places are.
        sigmas: Scales of the location encoder.
        size: Height and width of a satellite image in pixels.
    """

    key: str
    name: str
    objectives: tuple[Objective, ...]
    interpolation: Interpolation = 'local'
    split: By = 'blocks'
    sigmas: tuple[float, ...] = DISTRICT_SIGMAS
    size: int = 48


BOTH: tuple[Objective, ...] = ('incl', 'secl')
INCL: tuple[Objective, ...] = ('incl',)
BETWEEN = (
    Variant('both', 'INCL and SECL, local interpolation', BOTH),
    Variant('incl', 'INCL alone, local interpolation', INCL),
    Variant('secl', 'SECL alone, local interpolation', ('secl',)),
    Variant('bilinear', 'INCL and SECL, bilinear', BOTH, 'bilinear'),
    Variant('nearest', 'INCL and SECL, nearest cell', BOTH, 'nearest'),
    Variant('mean', 'INCL and SECL, mean of the image', BOTH, 'mean'),
    Variant('globe', 'INCL and SECL, scales of the globe', BOTH, sigmas=GLOBAL_SIGMAS),
)
_elsewhere = partial(Variant, split='region', sigmas=GLOBAL_SIGMAS, size=64)
ELSEWHERE = (
    _elsewhere('east-incl', 'INCL alone, local interpolation', INCL),
    _elsewhere('east-both', 'INCL and SECL, local interpolation', BOTH),
)
RECALLS = (
    *('photo_to_image_R@1', 'photo_to_image_R@10', 'image_to_photo_R@10'),
    *('photo_to_location_R@10', 'image_to_location_R@10'),
)
COMPARED = ('photo_to_image_R@10', 'photo_to_location_R@10', 'image_to_location_R@10')


def make_world(root: Path, places: int = PLACES) -> None:
    """The scene's visible and near infrared bands in one file, and photos of random places."""
    if (root / 'photos.csv').exists():
        return
    (root / 'photos').mkdir(parents=True, exist_ok=True)
    imagery = Imagery({'sentinel2_all': str(SCENE)}, bands=BANDS)
    x, y, time = imagery.bounds
    pixels = imagery.pixels((x, y, time)).astype(np.uint16)
    profile = {'crs': imagery.crs.to_wkt(), 'transform': from_origin(x.start, y.stop, 10, 10)}
    size = {'count': 4, 'height': pixels.shape[1], 'width': pixels.shape[2], 'dtype': 'uint16'}
    with rasterio.open(root / 'scene.tif', 'w', driver='GTiff', **size, **profile) as file:
        file.write(pixels)
        file.descriptions = BANDS
    random = np.random.default_rng(0)
    # Another camera: each colour a mixture of the bands, with a gamma of its own.
    mixture = random.dirichlet(np.ones(4), 3)
    camera = np.einsum(
        'cb,bij->cij', mixture, pixels / np.percentile(pixels, 99, (1, 2))[:, None, None]
    )
    to_degrees = Transformer.from_crs(imagery.crs, 'EPSG:4326', always_xy=True)
    with (root / 'photos.csv').open('w', newline='') as table:
        rows = csv.writer(table)
        rows.writerow(['file', 'longitude', 'latitude'])
        for number in range(places):
            col = random.uniform(CROP, pixels.shape[2] - CROP)
            row = random.uniform(CROP, pixels.shape[1] - CROP)
            left, top = round(col - CROP / 2), round(row - CROP / 2)
            crop = camera[:, top : top + CROP, left : left + CROP]
            crop = np.rot90(crop, random.integers(4), (1, 2))
            gain, gamma = random.uniform(0.8, 1.2, (2, 3, 1, 1))
            photo = 255 * np.clip(crop * gain, 0, 1) ** gamma + random.normal(0, 4, crop.shape)
            image = Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8).transpose(1, 2, 0))
            image.resize((PHOTO, PHOTO), Image.Resampling.BICUBIC).save(
                root / 'photos' / f'{number}.png'
            )
            place = to_degrees.transform(x.start + 10 * col, y.stop - 10 * row)
            rows.writerow([f'photos/{number}.png', *place])


def align(world: Path, output: Path, task: tuple[Variant, int]) -> None:
    """One run: a variant and a seed."""
    variant, seed = task
    path = output / f'{variant.key}-{seed}.json'
    if path.exists():
        return
    data, model = prepare(world, variant, seed, off_centre=0.8)
    trainer = trainer_of(8)
    trainer.fit(model, datamodule=data)
    found = trainer.test(model, datamodule=data, verbose=False)[0]
    record = {name: found[f'test_{name}'] for name in RECALLS}
    store(path, {**record, 'places': len(data.test_dataset)})


def prepare(
    world: Path, variant: Variant, seed: int, off_centre: float
) -> tuple[GeoPhotosDataModule, GeoAlignmentTask]:
    """Data and task of a run, which begins with its seed."""
    torch.set_num_threads(1)
    seed_everything(seed, verbose=False)
    data = GeoPhotosDataModule(
        {'sentinel2_4': str(world / 'scene.tif')},
        world / 'photos.csv',
        batch_size=64,
        size=variant.size,
        photo_size=PHOTO,
        off_centre=off_centre,
        split=variant.split,
        seed=seed,
    )
    task = GeoAlignmentTask(
        'test_resnet',
        'test_resnet',
        in_channels=4,
        embed_dim=64,
        location_hidden=64,
        location_sigmas=variant.sigmas,
        queue_size=1024,
        objectives=variant.objectives,
        interpolation=variant.interpolation,
        lr=2e-3,
    )
    return data, task


def trainer_of(epochs: int) -> Trainer:
    return Trainer(
        accelerator='cpu',
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )


def store(path: Path, record: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    provisional = path.with_suffix(f'.{os.getpid()}')
    provisional.write_text(json.dumps(record))
    provisional.replace(path)


def values_of(output: Path, name: str, seeds: int, metric: str) -> Values:
    records = {seed: output / f'{name}-{seed}.json' for seed in range(seeds)}
    return {
        seed: json.loads(path.read_text())[metric]
        for seed, path in records.items()
        if path.exists()
    }


def cell(values: Values, reference: Values | None = None) -> str:
    if reference is None:
        mean = Mean.of(list(values.values()))
        return format_estimate(mean.mean, mean.low, mean.high)
    mean = Difference.between(values, reference).mean
    return format_estimate(mean.mean, mean.low, mean.high, sign=True)


def table_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in (header, ['---'] * len(header), *rows))


def write_alignment(output: Path, seeds: int) -> None:
    """One table of places elsewhere and one of places in between, each beside chance."""
    text = (
        f'{machine()} {seeds} paired seeds. Regenerate: `python benchmarks/geo_alignment.py`.\n\n'
        '**Held-out places in blocks between those trained on**; the location encoder has waves of 20, 5 '
        f'and 1.2 km where nothing else is said.\n\n{_alignment_table(output, seeds, BETWEEN)}\n\n'
        '**Held-out places in the east, where nothing was trained**\n\n'
        + _alignment_table(output, seeds, ELSEWHERE)
    )
    (DOCS / 'geo_alignment.md').write_text(text + '\n')
    print(text)


def _alignment_table(output: Path, seeds: int, variants: Sequence[Variant]) -> str:
    """Recalls of some variants, and the differences of two recalls to the first."""
    held_out = values_of(output, variants[0].key, seeds, 'places').values()
    places = sum(held_out) / len(held_out)
    header = ['variant', *(name.replace('_', ' ') for name in RECALLS)]
    rows = [['chance', *(f'{int(name.split("@")[1]) / places:.3f}' for name in RECALLS)]]
    for variant in variants:
        recalls = (values_of(output, variant.key, seeds, name) for name in RECALLS)
        rows.append([variant.name, *map(cell, recalls)])
    differences = [
        [
            variant.name,
            *(
                cell(
                    values_of(output, variants[0].key, seeds, name),
                    values_of(output, variant.key, seeds, name),
                )
                for name in COMPARED
            ),
        ]
        for variant in variants[1:]
    ]
    return (
        f'{places:.0f} held-out photos.\n\n{table_of(header, rows)}\n\n'
        'The first variant minus another, paired:\n\n'
        + table_of(['variant', *(name.replace('_', ' ') for name in COMPARED)], differences)
    )


def main() -> None:
    """Do the runs that are lacking, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--output', type=Path, default=OUTPUT)
    parser.add_argument('--world', type=Path, help='only write the places and photos here')
    options = parser.parse_args()
    os.environ['OMP_NUM_THREADS'] = '1'
    world = options.world or options.output / 'world'
    make_world(world)
    if options.world:
        return
    runs = [(variant, seed) for seed in range(options.seeds) for variant in BETWEEN + ELSEWHERE]
    with ProcessPoolExecutor(options.jobs, get_context('spawn')) as pool:
        list(pool.map(partial(align, world, options.output), runs))
    write_alignment(options.output, options.seeds)


if __name__ == '__main__':
    main()
