"""Is a point of a large image told better than the image? Photos far from the middle, four ways to read.

    python benchmarks/geo_away.py --jobs 2

The world of geo_alignment.py with more places, images of 960 m instead of 480, and photos anywhere in
them. INCL alone; one thing differs, how the satellite image's feature map is read. Recalls are counted over all
held-out photos, and over those in the outer half of their image. Runs that ``output`` has are not
repeated. Writes docs/benchmarks/geo_away.md.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from geo_alignment import (
    DOCS,
    OUTPUT,
    Values,
    Variant,
    cell,
    make_world,
    prepare,
    store,
    table_of,
    trainer_of,
    values_of,
)
from measure import machine

from torchgeo_geosane.compare.statistics import Mean
from torchgeo_geosane.datamodules import GeoPhotosDataModule
from torchgeo_geosane.models.interpolation import Interpolation
from torchgeo_geosane.models.location import GLOBAL_SIGMAS
from torchgeo_geosane.tasks import GeoAlignmentTask
from torchgeo_geosane.tasks.contrast import recall, same_place

# Many places seen three times teach more than few seen often, in as many steps.
PLACES, SIZE, EPOCHS = 8000, 96, 3
WITHIN = (1, 10)
PAIRS = ('photo to image', 'outer photo to image', 'image to photo')
COUNTS = ('places', 'outer', 'trained')
# The two that the question is about come first, so that they are what an interrupted run has.
WAYS: dict[Interpolation, str] = {
    'local': 'local interpolation',
    'mean': 'mean of the image',
    'nearest': 'nearest cell',
    'bilinear': 'bilinear',
}


def align(world: Path, output: Path, task: tuple[Interpolation, int]) -> None:
    """One run: a way to read feature maps, and a seed."""
    way, seed = task
    path = output / f'away-{way}-{seed}.json'
    if path.exists():
        return
    variant = Variant(
        f'away-{way}', WAYS[way], ('incl',), way, split='region', sigmas=GLOBAL_SIGMAS, size=SIZE
    )
    data, model = prepare(world, variant, seed, off_centre=1.0)
    model.to(memory_format=torch.channels_last)
    trainer = trainer_of(EPOCHS)
    trainer.fit(model, datamodule=data)
    store(path, evaluate(model, data))


@torch.inference_mode()
def evaluate(model: GeoAlignmentTask, data: GeoPhotosDataModule) -> dict[str, float]:
    """Recalls of the held-out photos among all held-out places."""
    model.eval()
    photos, places, locations, points = [], [], [], []
    for batch in data.test_dataloader():
        found = model.embed(data.on_after_batch_transfer(batch, 0))
        photos.append(found.photo)
        places.append(found.local)
        locations.append(batch['location'])
        points.append(batch['point'])
    photo, place = torch.cat(photos), torch.cat(places)
    location, point = torch.cat(locations), torch.cat(points)
    same = same_place(location, location)
    outer = point.abs().amax(1) > 0.5
    record: dict[str, float] = {
        'places': len(photo),
        'outer': int(outer.sum()),
        'trained': len(data.train_dataset),
    }
    for within in WITHIN:
        record[f'photo to image R@{within}'] = recall(photo, place, same, within)
        record[f'outer photo to image R@{within}'] = recall(
            photo[outer], place, same[outer], within
        )
        record[f'image to photo R@{within}'] = recall(place, photo, same, within)
    return record


def write_away(output: Path, seeds: int) -> None:
    """A table of recalls beside chance, and one of what local interpolation is ahead of another way."""

    def of(way: Interpolation, metric: str) -> Values:
        return values_of(output, f'away-{way}', seeds, metric)

    metrics = [*(f'{pair} R@{within}' for within in WITHIN for pair in PAIRS)]
    done = {way: name for way, name in WAYS.items() if len(of(way, 'places')) > 1}
    counts = {name: round(Mean.of(list(of('local', name).values())).mean) for name in COUNTS}
    header = ['way', *metrics]
    chance = [f'{int(metric.split("@")[1]) / counts["places"]:.3f}' for metric in metrics]
    recalls = [[name, *(cell(of(way, each)) for each in metrics)] for way, name in done.items()]
    ahead = [
        [name, *(cell(of('local', each), of(way, each)) for each in metrics)]
        for way, name in done.items()
        if way != 'local'
    ]
    trained = counts['trained']
    text = (
        f'{machine()} {len(of("mean", "places"))} paired seeds. Regenerate: `python '
        f'benchmarks/geo_away.py`.\n\n{counts["places"]} held-out photos, {counts["outer"]} of them in '
        f'the outer half of their image (beyond half of the way to an edge); {trained} to train on.\n\n'
        f'{table_of(header, [["chance", *chance], *recalls])}\n\n'
        f'Local interpolation minus another way, paired:\n\n{table_of(header, ahead)}'
    )
    (DOCS / 'geo_away.md').write_text(text + '\n')
    print(text)


def main() -> None:
    """Do the runs that are lacking, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--output', type=Path, default=OUTPUT)
    options = parser.parse_args()
    os.environ['OMP_NUM_THREADS'] = '1'
    world = options.output / f'world_{PLACES}'
    make_world(world, PLACES)
    # By pairs: what is done first is what is asked first.
    runs = [
        (way, seed)
        for ways in (('local', 'mean'), ('nearest', 'bilinear'))
        for seed in range(options.seeds)
        for way in ways
    ]
    with ProcessPoolExecutor(options.jobs, get_context('spawn')) as pool:
        list(pool.map(partial(align, world, options.output), runs))
    write_away(options.output, options.seeds)


if __name__ == '__main__':
    main()
