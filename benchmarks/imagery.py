"""Loading imagery: TorchGeo's ``Sentinel2`` and our ``Imagery``, and the loader beside a step.

    python benchmarks/imagery.py

All read the same random chips of the scene in ``examples/data``, 13 bands with one file each, as
JPEG 2000 and as COG, and their pixels are compared. Every case runs in turn in each repeat, in one
process without workers. "First" is the first pass over the chips after the files were opened;
GDAL keeps decoded blocks in memory, so that later passes decode little. With ``--block-cache`` GDAL
keeps less than a scene, as in training over many.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
import torch
import torchgeo
from measure import machine
from rasterio.shutil import copy
from torchgeo.datasets import Sentinel2

from torchgeo_geosane.datasets import Imagery

HERE = Path(__file__).parent
SCENE = HERE.parent / 'examples' / 'data' / 'sentinel2_landuse'
REPORT = HERE.parent / 'docs' / 'benchmarks' / 'imagery.md'
GRANULE = 'T33UUU_20170216T102101_B*'
SENSOR = 'sentinel2_all'
# TorchGeo names the bands in an order of its own.
BANDS = Sentinel2.all_bands

if TYPE_CHECKING:
    from collections.abc import Callable

Query = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Cost:
    """One pass.

    Attributes:
        wall: Seconds a chip.
        cpu: CPU seconds a chip, of all threads.
    """

    wall: float
    cpu: float


def convert(folder: Path, form: str) -> Path:
    """The scene as JPEG 2000, as it is, or as COG."""
    if form == 'JPEG 2000':
        return SCENE
    target = folder / 'cog'
    target.mkdir(exist_ok=True)
    for path in SCENE.glob(f'{GRANULE}.jp2'):
        copy(str(path), str(target / f'{path.stem}.tif'), driver='COG', COMPRESS='DEFLATE')
    return target


def queries(data: Sentinel2, chips: int, size: int, seed: int) -> list[Query]:
    """Random chips in whole pixels of 10 m."""
    x, y, time_range = data.bounds
    random = np.random.default_rng(seed)
    cols = random.integers(0, round((x.stop - x.start) / 10) - size, chips)
    rows = random.integers(0, round((y.stop - y.start) / 10) - size, chips)
    return [
        (
            slice(x.start + 10 * col, x.start + 10 * (col + size), 10),
            slice(y.stop - 10 * (row + size), y.stop - 10 * row, 10),
            time_range,
        )
        for col, row in zip(cols.tolist(), rows.tolist(), strict=True)
    ]


def timed(data: Sentinel2 | Imagery, where: list[Query]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    for query in where:
        _ = data[query]['image']
    return Cost((time.perf_counter() - wall) / len(where), (time.process_time() - cpu) / len(where))


def difference(one: Sentinel2, other: Imagery, where: list[Query]) -> list[float]:
    """The largest difference of each band."""
    pairs = ((one[query]['image'], other[query]['image'].float()) for query in where)
    found = torch.stack([(a - b).abs().amax(dim=(1, 2)) for a, b in pairs])
    return found.amax(dim=0).tolist()


def measure(
    form: str, chips: int, size: int, seed: int, block_cache: int | None
) -> dict[str, object]:
    """One repeat of one form, in this process, which has opened no file yet."""
    options = {} if block_cache is None else {'GDAL_CACHEMAX': block_cache}
    with tempfile.TemporaryDirectory() as folder, rasterio.Env(**options):
        root = convert(Path(folder), form)
        files = str(root / GRANULE)
        with_cache = {'cache': Path(folder) / 'blocks'}
        makers: dict[str, Callable[[], Sentinel2 | Imagery]] = {
            'TorchGeo': lambda: Sentinel2(str(root)),
            'ours': lambda: Imagery({SENSOR: files}, bands=BANDS, native=True),
            'ours, block cache': lambda: Imagery(
                {SENSOR: files}, bands=BANDS, native=True, **with_cache
            ),
        }
        theirs = Sentinel2(str(root))
        where = queries(theirs, chips, size, seed)
        costs: dict[str, dict[str, float]] = {}
        kept = {}
        for name, make in makers.items():
            _forget_blocks()
            kept[name] = make()
            for which in ('first', 'later'):
                cost = timed(kept[name], where)
                costs[f'{name}, {which}'] = {'wall': cost.wall, 'cpu': cost.cpu}
        apart = difference(theirs, kept['ours'], where[:20])
        cached = difference(theirs, kept['ours, block cache'], where[:20])
    return {'costs': costs, 'difference': [apart, cached]}


def _forget_blocks() -> None:
    """Close what was read, so that the next case decodes again."""
    from torchgeo_geosane.datasets import open_files

    open_files._process.handles.clear()


def step_ratio(size: int, batch: int, steps: int) -> dict[str, float]:
    """Loader and training step on Sen1Floods11 chips of full size: seconds a batch."""
    import segmentation_models_pytorch as smp

    sys.path.insert(0, str(HERE.parent / 'tests'))
    from rasters import write_miniature

    from torchgeo_geosane.datamodules import Sen1Floods11DataModule

    with tempfile.TemporaryDirectory() as folder:
        root = write_miniature('sen1floods11', Path(folder), size=size)
        bands = ('VV', 'VH', 'B04', 'B03', 'B02', 'B08')
        module = Sen1Floods11DataModule(root, bands=bands, batch_size=batch, skip_empty=False)
        module.setup('fit')
        model = smp.Unet('resnet50', encoder_weights=None, in_channels=len(bands), classes=2)
        loss = torch.nn.CrossEntropyLoss(ignore_index=255)
        optimizer = torch.optim.AdamW(model.parameters())
        loading, stepping = [], []
        while len(stepping) < steps:
            batches = iter(module.train_dataloader())
            start = time.perf_counter()
            for sample in batches:
                loading.append(time.perf_counter() - start)
                start = time.perf_counter()
                optimizer.zero_grad()
                augmented = module.train_aug(sample)
                loss(model(augmented['image']), augmented['mask'].long()).backward()
                optimizer.step()
                stepping.append(time.perf_counter() - start)
                start = time.perf_counter()
    return {
        'loading': statistics.mean(loading[:steps]),
        'step': statistics.mean(stepping[:steps]),
    }


def in_a_fresh_process(arguments: list[str]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def spread(values: list[float], unit: float = 1.0, digits: int = 2) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f'{unit * statistics.mean(values):.{digits}f} ± {unit * deviation:.{digits}f}'


def table(runs: list[dict[str, dict[str, dict[str, float]]]]) -> str:
    rows = ['| case | samples / s | CPU ms / sample | × samples | × CPU |', '|---|---|---|---|---|']
    for name in runs[0]['costs']:
        pass_name = name.rsplit(', ', 1)[1]
        base = f'TorchGeo, {pass_name}'
        walls = [run['costs'][name]['wall'] for run in runs]
        cpus = [run['costs'][name]['cpu'] for run in runs]
        gain, less = (
            [run['costs'][base][kind] / run['costs'][name][kind] for run in runs]
            for kind in ('wall', 'cpu')
        )
        rows.append(
            f'| {name} | {spread([1 / wall for wall in walls], digits=0)} '
            f'| {spread(cpus, 1000)} | {spread(gain, digits=1)} | {spread(less, digits=1)} |'
        )
    return '\n'.join(rows)


def largest(runs: list[dict[str, list[list[float]]]]) -> str:
    per_band = torch.tensor([run['difference'] for run in runs]).amax(dim=(0, 1))
    return f'{per_band.max():g}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--chips', type=int, default=100)
    parser.add_argument('--size', type=int, default=256, help='pixels')
    parser.add_argument('--block-cache', type=int, default=4, help='MB, in the second half')
    parser.add_argument('--steps', type=int, default=4, help='training steps; 0 leaves them out')
    parser.add_argument('--out', type=Path, default=REPORT)
    parser.add_argument('--one', nargs=3, metavar=('FORM', 'SEED', 'MB'), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        form, seed, megabytes = given.one
        limit = None if megabytes == '0' else int(megabytes) * 2**20
        print(json.dumps(measure(form, given.chips, given.size, int(seed), limit)))
        return
    common = ['--chips', str(given.chips), '--size', str(given.size)]
    parts = [
        '# Loading imagery\n',
        f'Written by `python benchmarks/imagery.py`: {given.chips} random chips of {given.size}² '
        f'pixels, 13 bands, one file a band, {given.repeats} repeats in fresh processes, mean ± '
        f'standard deviation. × is TorchGeo {torchgeo.__version__} ÷ the row, of the same pass. '
        f'Theirs are float32; ours travel as the files’ uint16, to become float32 on the device. '
        f'GDAL {rasterio.__gdal_version__}. {machine()}',
    ]
    cases = [(form, mb) for mb in (0, given.block_cache) for form in ('JPEG 2000', 'COG')]
    results: dict[tuple[str, int], list[dict[str, object]]] = {case: [] for case in cases}
    for repeat in range(given.repeats):
        for form, megabytes in cases:
            one = ['--one', form, str(repeat), str(megabytes)]
            results[form, megabytes].append(in_a_fresh_process([*common, *one]))
    for (form, megabytes), runs in results.items():
        memory = 'as it is by default' if megabytes == 0 else f'{megabytes} MB'
        parts.append(
            f'\n**{form}**, GDAL’s block cache {memory}; largest difference of a pixel: '
            f'{largest(runs)}\n\n{table(runs)}'
        )
    if given.steps:
        found = step_ratio(512, 2, given.steps)
        parts.append(
            '\n**Sen1Floods11**, miniature with chips of 512² pixels, 6 bands, batches of 2, U-Net '
            f'with ResNet-50, on this device and without workers: {found["loading"]:.3f} s to load '
            f'a batch, {found["step"]:.2f} s for a training step: the loader takes '
            f'{100 * found["loading"] / found["step"]:.1f} % of a step.'
        )
    report = '\n'.join(parts) + '\n'
    given.out.write_text(report)
    print(report)


if __name__ == '__main__':
    main()
