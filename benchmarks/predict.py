"""From a scene to a map: pixels a second, memory, and seams, beside plain loops over windows.

    python benchmarks/predict.py --folder output/benchmark_predict

Goes on where it was interrupted: what is measured lies in the folder. A U-Net with ResNet-18 is
finetuned on the quickstart's scene, 13 bands, and maps it:

- speed: `predict --scene` beside the loop that people write (the scene read into memory, windows one
  after the other or in batches, blended by the same weights, the map written at the end) and
  TerraTorch's tiled inference where it is installed; same windows, in turn in each repeat, each in a
  process of its own;
- memory: scenes of 30,000 columns, 13 bands, of growing height, through a model of four filters;
- seams: the map beside one look at the whole scene, and beside the map whose windows lie elsewhere.

It also draws the picture of a map that README and gallery show, docs/_static/scene_map.png.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import rasterio
import torch
import yaml
from measure import machine
from predict_ways import BATCH, OVERLAP, SIZE, WAYS, measured
from rasterio.transform import from_origin

from torchgeo_geosane.datasets.grid import Pixels
from torchgeo_geosane.predict.finding import find_scenes
from torchgeo_geosane.predict.finetuned import load
from torchgeo_geosane.predict.inference import strips
from torchgeo_geosane.predict.mapping import Inference, Mapper
from torchgeo_geosane.predict.run import Request, predict
from torchgeo_geosane.predict.scenes import Scene
from torchgeo_geosane.predict.tiling import Axis, Tiling

ROOT = Path(__file__).parents[1]
DATA = ROOT / 'examples' / 'data' / 'sentinel2_landuse'
REPORT = ROOT / 'docs' / 'benchmarks' / 'predict.md'
PICTURE = ROOT / 'docs' / '_static' / 'scene_map.png'
HEIGHT, WIDTH = 768, 1536
SIDE = 768
COLUMNS, ROWS = 30_000, (256, 1024)
TILINGS = [(128, 0), (128, 32), (128, 48), (128, 64), (256, 64)]
STRIDE = 32
OURS = 'predict --scene'
RESULTS = 'results.json'

Result = dict[str, Any]


def settings(filters: int | None = None) -> tuple[Result, Result]:
    """Task and data of a fit: a U-Net, or a network of a few filters."""
    quickstart = yaml.safe_load((ROOT / 'examples' / 'quickstart.yaml').read_text())
    network: Result = {'model': 'unet', 'backbone': 'resnet18', 'lr': 1e-3}
    if filters is not None:
        network = {'model': 'fcn', 'num_filters': filters}
    arguments = {**network, 'in_channels': 13, 'num_classes': 8, 'ignore_index': 255}
    data = quickstart['data']
    data['init_args'] |= {
        'images': {'sentinel2_all': str(DATA)},
        'labels': str(next(DATA.glob('*.gpkg'))),
    }
    model = {'class_path': 'torchgeo.trainers.SemanticSegmentationTask', 'init_args': arguments}
    return model, data


def finetuned(folder: Path, steps: int) -> tuple[Path, Path]:
    """Checkpoint and config of the U-Net; trained once."""
    run = folder / 'fit' / 'version_0'
    checkpoint = run / 'checkpoints' / 'best.ckpt'
    if not checkpoint.exists():
        model, data = settings()
        data['init_args']['length'] = 4 * steps // 2
        content = {'seed_everything': 0, 'model': model, 'data': data}
        content['trainer'] = {
            'max_epochs': 2,
            'num_sanity_val_steps': 0,
            'enable_progress_bar': False,
            'logger': {
                'class_path': 'lightning.pytorch.loggers.CSVLogger',
                'init_args': {'save_dir': str(folder), 'name': 'fit', 'version': 0},
            },
            'callbacks': [
                {'class_path': 'torchgeo_geosane.callbacks.MeanIoU'},
                {'class_path': 'torchgeo_geosane.callbacks.MapMetrics'},
                {
                    'class_path': 'lightning.pytorch.callbacks.ModelCheckpoint',
                    'init_args': {'monitor': 'val_mIoU', 'mode': 'max', 'filename': 'best'},
                },
            ],
        }
        config = folder / 'fit.yaml'
        config.write_text(yaml.safe_dump(content))
        fit = 'import sys; from torchgeo_geosane.cli import main; sys.exit(main(sys.argv[1:]))'
        subprocess.run([sys.executable, '-c', fit, 'fit', '--config', str(config)], check=True)
    return checkpoint, run / 'config.yaml'


def tiny(folder: Path) -> tuple[Path, Path]:
    """Checkpoint and config of a network of four filters, as it was drawn."""
    from torchgeo.trainers import SemanticSegmentationTask

    model, data = settings(filters=4)
    data['init_args'] |= {'statistics': 'sensor', 'patch_size': 256}
    config, checkpoint = folder / 'tiny.yaml', folder / 'tiny.ckpt'
    config.write_text(yaml.safe_dump({'model': model, 'data': data}))
    torch.manual_seed(0)
    task = SemanticSegmentationTask(**model['init_args'])
    torch.save({'state_dict': task.state_dict()}, checkpoint)
    return checkpoint, config


def whole_scene(path: Path) -> Path:
    """The quickstart's 13 files as one."""
    if path.exists():
        return path
    files = [rasterio.open(file) for file in sorted(DATA.glob('*.jp2'))]
    # Sorted, B8A comes last.
    files.insert(8, files.pop())
    tile = np.stack([file.read(1, out_shape=(HEIGHT, WIDTH)) for file in files])
    fine = next(file for file in files if file.height == HEIGHT)
    _write(path, tile.shape, fine.crs, fine.transform, tile)
    return path


def empty_scene(path: Path, rows: int) -> Path:
    """A scene of zeros, none of which take room on the disk."""
    _write(path, (13, rows, COLUMNS), 'EPSG:32633', from_origin(3e5, 6e6, 10, 10), None)
    return path


def _write(path: Path, shape: tuple[int, ...], crs: Any, transform: Any, values: Any) -> None:
    profile = {'driver': 'GTiff', 'dtype': 'uint16', 'tiled': True, 'compress': 'deflate'}
    profile |= {'blockxsize': 512, 'blockysize': 512, 'sparse_ok': True, 'bigtiff': 'yes'}
    profile |= dict(zip(('count', 'height', 'width'), shape, strict=True))
    with rasterio.open(path, 'w', crs=crs, transform=transform, **profile) as file:
        if values is not None:
            file.write(values)


def measured_before(folder: Path) -> Result:
    """What lies in the folder."""
    results = folder / RESULTS
    return json.loads(results.read_text()) if results.exists() else {}


def measure(folder: Path, steps: int, repeats: int) -> None:
    """Everything, each part once."""
    results, found = folder / RESULTS, measured_before(folder)

    def once(name: str, work: Callable[[], Any]) -> None:
        if name not in found:
            print(name, flush=True)
            found[name] = work()
            results.write_text(json.dumps(found, indent=1))

    model = finetuned(folder, steps)
    scene = whole_scene(folder / 'scene.tif')
    ways = [way for way in WAYS if way != 'TerraTorch' or find_spec('terratorch')]
    for repeat in range(repeats):
        for way in ways:
            out = folder / 'map.tif'
            out.unlink(missing_ok=True)
            once(f'speed/{way}/{repeat}', partial(measured, way, *model, scene, out))
    for rows in ROWS:
        long, out = folder / 'long.tif', folder / 'long_map.tif'
        out.unlink(missing_ok=True)

        def grow(rows: int = rows, long: Path = long, out: Path = out) -> Result:
            with patch.dict(os.environ, GDAL_CACHEMAX='64'):
                return measured(OURS, *tiny(folder), empty_scene(long, rows), out)

        once(f'memory/{rows}', grow)
    for size, overlap in TILINGS:
        once(f'seams/{size}/{overlap}', partial(seams, model, size, overlap))


def seams(model: tuple[Path, Path], size: int, overlap: int) -> Result:
    """Pixels in % whose class is another, by one look at the whole and by windows that lie elsewhere."""
    finetuned_model = load(*model)
    (found,) = find_scenes(finetuned_model.data, str(DATA)).scenes.values()
    scene = replace(found, pixels=Pixels(WIDTH - SIDE, 0, SIDE, SIDE))
    mapper = Mapper(finetuned_model, scene.data, Inference(window=size))
    one = _map(mapper, scene, size, overlap)
    image = torch.from_numpy(scene.read(slice(0, SIDE), slice(0, SIDE)).astype(np.float32))
    whole, _ = mapper.model(image[None])
    shift = _shift(SIDE, size, overlap)
    rest = Pixels(WIDTH - SIDE + shift, shift, SIDE - shift, SIDE - shift)
    other = _map(mapper, replace(scene, pixels=rest), size, overlap)
    return {'whole': _differ(one, whole[0]), 'moved': _differ(one[:, shift:, shift:], other)}


def _shift(length: int, size: int, overlap: int) -> int:
    """Rows to leave out so that windows lie elsewhere, by whole strides of the network."""
    first = Axis(length, size, overlap).starts[0]
    for shift in range(1, size):
        moved = shift + Axis(length - shift, size, overlap).starts[0] - first
        if moved % STRIDE == 0 and moved % (size - overlap):
            return shift
    raise SystemExit(f'no other place for windows of {size} pixels that share {overlap}')


def _map(mapper: Mapper, scene: Scene, size: int, overlap: int) -> torch.Tensor:
    tiling = Tiling(scene.pixels.height, scene.pixels.width, size, overlap)
    return torch.cat([strip.values for strip in strips(mapper.model, scene, tiling, BATCH)], 1)


def _differ(one: torch.Tensor, other: torch.Tensor) -> float:
    """Beyond 64 pixels from the edges, where mirrored pixels are others."""
    one, other = (each[:, 64:-64, 64:-64] for each in (one, other))
    return 100 * (one.argmax(0) != other.argmax(0)).float().mean().item()


def report(found: Result, steps: int) -> str:
    """Tables of what was measured."""
    megapixels = HEIGHT * WIDTH / 1e6
    lines = [
        '# From a scene to a map',
        '',
        f'Written by `python benchmarks/predict.py`: a U-Net with ResNet-18, finetuned for {steps} '
        f'steps on the quickstart’s scene, {megapixels:.1f} megapixels of 13 bands; windows of {SIZE}² '
        f'that share {OVERLAP}, batches of {BATCH}; each way in a process of its own, in turn in each '
        'repeat: mean ± standard deviation over the repeats, in brackets how many, ratios of pairs in '
        f'one repeat. The machine was shared: CPU seconds are what tells. {machine()}',
        '',
        '| way | CPU s | × plain loop, CPU | megapixels / s | × plain loop, wall clock | memory, MB |',
        '|---|---|---|---|---|---|',
    ]
    speed = _table(found, 'speed')
    plain = speed['plain loop']
    for way, runs in speed.items():
        cells = [
            _spread([run['cpu'] for run in runs], 1),
            _spread([a['cpu'] / b['cpu'] for a, b in zip(plain, runs, strict=False)], 2),
            _spread([megapixels / run['seconds'] for run in runs], 3),
            _spread([a['seconds'] / b['seconds'] for a, b in zip(plain, runs, strict=False)], 2),
            _spread([run['memory'] for run in runs], 0),
        ]
        lines.append(f'| {way} ({len(runs)}) | {" | ".join(cells)} |')
    memory, tilings = _table(found, 'memory'), _tilings(found)
    lines += [
        '',
        f'Memory, as a scene of {COLUMNS:,} columns and 13 bands of uint16 grows in height: the same '
        'windows, a network of four filters, a file of zeros, GDAL’s cache of blocks bounded to 64 MB.',
        '',
        '| rows | in memory such a scene takes, GB | memory of predict --scene, MB | CPU s |',
        '|---|---|---|---|',
    ]
    for rows, (run,) in memory.items():
        size = 13 * COLUMNS * int(rows) * 2 / 1e9
        lines.append(f'| {int(rows):,} | {size:.1f} | {run["memory"]:.0f} | {run["cpu"]:.0f} |')
    lines += [
        '',
        f'Seams: pixels of the eastern {SIDE}² whose class is another, in %; 64 pixels at the edges are '
        'left out. Other windows lie elsewhere by a multiple of 32 pixels, the stride of the network.',
        '',
        '| windows | shared | by one look at the whole | by other windows |',
        '|---|---|---|---|',
    ]
    for (size, overlap), run in tilings.items():
        cells = [f'{run[name]:.2f}' for name in ('whole', 'moved')]
        lines.append(f'| {size}² | {overlap} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def _table(found: Result, part: str) -> dict[str, list[Result]]:
    """Runs of a part by what was run, in the order of the repeats."""
    table: dict[str, list[Result]] = {}
    for name, run in found.items():
        first, what, *_ = name.split('/')
        if first == part:
            table.setdefault(what, []).append(run)
    return table


def _tilings(found: Result) -> dict[tuple[int, int], Result]:
    """Size and overlap of windows, to their seams."""
    named = {pair: f'seams/{pair[0]}/{pair[1]}' for pair in TILINGS}
    return {pair: found[name] for pair, name in named.items() if name in found}


def _spread(values: list[float], digits: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f'{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--folder', type=Path, default=Path('output/benchmark_predict'))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--steps', type=int, default=200, help='of the finetuning')
    parser.add_argument('--report', action='store_true', help='write up what is measured so far')
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not arguments.report:
        measure(folder, arguments.steps, arguments.repeats)
    found = measured_before(folder)
    REPORT.write_text(report(found, arguments.steps))
    checkpoint, config = finetuned(folder, arguments.steps)
    wanted = Request(checkpoint, str(DATA), folder / 'picture.tif', config=config, force=True)
    predict(replace(wanted, preview=PICTURE, page=folder / 'picture.html'))
    print(REPORT.read_text())


if __name__ == '__main__':
    main()
