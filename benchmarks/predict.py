"""From a scene to a map: pixels a second, memory, and seams, beside plain loops over windows.

    python benchmarks/predict.py --folder output/benchmark_predict

Goes on where it was interrupted: each run leaves a record in the folder, and the page is written from
them; ``--parts`` names what to run. A U-Net with ResNet-18 is finetuned on the quickstart's scene, 13
bands, and maps it:

- speed: `predict --scene` beside the loop that people write (the scene read into memory, windows one
  after the other or in batches, blended by the same weights, the map written at the end) and
  TerraTorch's tiled inference where it is installed; same windows, in turn in each repeat, each in a
  process of its own;
- memory: scenes of 30,000 columns, 13 bands, of growing height, through one linear map a pixel;
- seams: maps by finetunings three times as long, of several seeds, each beside one look at the whole
  scene, and beside the map whose windows lie elsewhere.

It also draws the picture of a map that the docs show, docs/_static/scene_map.png.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
import yaml
from measure import machine
from predict_ways import BATCH, OVERLAP, SIZE, WAYS, PixelTask, measured
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
COLUMNS, ROWS = 30_000, (256, 1024, 4096, 16_384, 30_000)
TILINGS = [(128, 0), (128, 32), (128, 48), (128, 64), (256, 64), (256, 128), (512, 64), (512, 128)]
STRIDE = 32
STEPS = 200
# A network that has learned little is of two minds about many pixels, whatever the windows.
LEARNED, SEEDS = 600, 3
OURS, OURS_BF16 = 'predict --scene', 'predict --scene --precision bf16'
PARTS = ('speed', 'precision', 'memory', 'seams')
CACHE = 64

Result = dict[str, Any]


def settings(path: str = 'torchgeo.trainers.SemanticSegmentationTask') -> tuple[Result, Result]:
    """Task and data of a fit: a U-Net, where the task builds it."""
    quickstart = yaml.safe_load((ROOT / 'examples' / 'quickstart.yaml').read_text())
    arguments: Result = {'model': 'unet', 'backbone': 'resnet18', 'lr': 1e-3}
    arguments |= {'in_channels': 13, 'num_classes': 8, 'ignore_index': 255}
    data = quickstart['data']
    data['init_args'] |= {
        'images': {'sentinel2_all': str(DATA)},
        'labels': str(next(DATA.glob('*.gpkg'))),
    }
    return {'class_path': path, 'init_args': arguments}, data


def finetuned(folder: Path, steps: int = STEPS, seed: int = 0) -> tuple[Path, Path]:
    """Checkpoint and config of the U-Net; trained once."""
    name = f'fit_{steps}_{seed}'
    run = folder / name / 'version_0'
    checkpoint = run / 'checkpoints' / 'best.ckpt'
    if not checkpoint.exists():
        model, data = settings()
        data['init_args']['length'] = 4 * steps // 2
        content = {'seed_everything': seed, 'model': model, 'data': data}
        content['trainer'] = {
            'max_epochs': 2,
            'num_sanity_val_steps': 0,
            'enable_progress_bar': False,
            'logger': {
                'class_path': 'lightning.pytorch.loggers.CSVLogger',
                'init_args': {'save_dir': str(folder), 'name': name, 'version': 0},
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
        config = folder / f'{name}.yaml'
        config.write_text(yaml.safe_dump(content))
        fit = 'import sys; from torchgeo_geosane.cli import main; sys.exit(main(sys.argv[1:]))'
        subprocess.run([sys.executable, '-c', fit, 'fit', '--config', str(config)], check=True)
    return checkpoint, run / 'config.yaml'


def linear(folder: Path) -> tuple[Path, Path]:
    """Checkpoint and config of one linear map a pixel, as it was drawn."""
    model, data = settings('predict_ways.PixelTask')
    data['init_args'] |= {'statistics': 'sensor'}
    config, checkpoint = folder / 'linear.yaml', folder / 'linear.ckpt'
    config.write_text(yaml.safe_dump({'model': model, 'data': data}))
    torch.manual_seed(0)
    task = PixelTask(**model['init_args'])
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


def measure(folder: Path, parts: Sequence[str], repeats: int) -> None:
    """Some parts, each run once."""
    model, scene = finetuned(folder), whole_scene(folder / 'scene.tif')
    out = folder / 'map.tif'
    ways = [way for way in WAYS if way != 'TerraTorch' or find_spec('terratorch')]

    def once(name: str, work: Callable[[], Result]) -> None:
        record = folder / 'records' / f'{name}.json'
        if name.partition('/')[0] not in parts or record.exists():
            return
        print(name, flush=True)
        out.unlink(missing_ok=True)
        found = {**work(), 'machine': machine()}
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(found, indent=1))

    for repeat in range(repeats):
        for way in ways:
            once(f'speed/{way}/{repeat}', partial(measured, way, *model, scene, out))
    once('precision/bf16', partial(precision, model, scene, out))
    for rows in ROWS:
        once(f'memory/{rows}', partial(grown, folder, rows, out))
    for seed in range(SEEDS):
        for size, overlap in TILINGS:
            once(f'seams/{size}/{overlap}/{seed}', partial(seams, folder, seed, size, overlap))


def grown(folder: Path, rows: int, out: Path) -> Result:
    """Memory for a scene of some height."""
    return measured(OURS, *linear(folder), empty_scene(folder / 'long.tif', rows), out)


def precision(model: tuple[Path, Path], scene: Path, out: Path) -> Result:
    """Pixels in % whose class is another in bfloat16."""
    maps = []
    for way in (OURS, OURS_BF16):
        out.unlink(missing_ok=True)
        measured(way, *model, scene, out)
        with rasterio.open(out) as file:
            maps.append(file.read(1))
    return {'differ': 100 * float((maps[0] != maps[1]).mean())}


def seams(folder: Path, seed: int, size: int, overlap: int) -> Result:
    """Pixels in % whose class is another, by one look at the whole and by windows that lie elsewhere."""
    finetuned_model = load(*finetuned(folder, LEARNED, seed))
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


def report(folder: Path) -> str:
    """Tables of what was measured."""
    lines = ['# From a scene to a map', '']
    lines += ['Regenerate: `python benchmarks/predict.py`, in parts by `--parts`.']
    speed, memory, seen = (_records(folder, part) for part in ('speed', 'memory', 'seams'))
    if speed:
        lines += ['', *_speed(speed)]
    for run in _records(folder, 'precision').values():
        lines += ['', f'In bfloat16 {run["differ"]:.2f} % of the pixels have another class.']
    if memory:
        lines += ['', *_memory(memory)]
    if seen:
        lines += ['', *_seams(seen)]
    return '\n'.join(lines) + '\n'


def _speed(records: Mapping[str, Result]) -> list[str]:
    megapixels = HEIGHT * WIDTH / 1e6
    lines = [
        f'Speed: a U-Net with ResNet-18, finetuned for {STEPS} steps on the quickstart’s scene, '
        f'{megapixels:.1f} megapixels of 13 bands; windows of {SIZE}² that share {OVERLAP}, batches of '
        f'{BATCH}; each way in a process of its own, in turn in each repeat: mean ± standard deviation '
        'over the repeats, in brackets how many, ratios of pairs in one repeat. The machine was shared: '
        f'CPU seconds are what tells. {_machine(records)}',
        '',
        '| way | CPU s | × plain loop, CPU | megapixels / s | × plain loop, wall clock | memory, MB |',
        '|---|---|---|---|---|---|',
    ]
    runs = {way: [records[name] for name in records if name.split('/')[0] == way] for way in WAYS}
    plain = runs['plain loop']
    for way, found in runs.items():
        if not found:
            continue
        cells = [
            _spread([run['cpu'] for run in found], 1),
            _spread([a['cpu'] / b['cpu'] for a, b in zip(plain, found, strict=False)], 2),
            _spread([megapixels / run['seconds'] for run in found], 3),
            _spread([a['seconds'] / b['seconds'] for a, b in zip(plain, found, strict=False)], 2),
            _spread([run['memory'] for run in found], 0),
        ]
        lines.append(f'| {way} ({len(found)}) | {" | ".join(cells)} |')
    return lines


def _memory(records: Mapping[str, Result]) -> list[str]:
    lines = [
        f'Memory, as a scene of {COLUMNS:,} columns and 13 bands of uint16 grows in height: the same '
        'windows, one linear map to eight classes a pixel instead of the network, a sparse file of '
        f'zeros, GDAL’s cache of blocks bounded to {CACHE} MB. Peak of anonymous memory beyond that '
        f'of the loaded model. {_machine(records)}',
        '',
        '| rows | in memory such a scene takes, GB | memory of predict --scene, MB | CPU s |',
        '|---|---|---|---|',
    ]
    for rows in ROWS:
        if run := records.get(f'{rows}'):
            size = 13 * COLUMNS * rows * 2 / 1e9
            lines.append(f'| {rows:,} | {size:.1f} | {run["memory"]:.0f} | {run["cpu"]:.0f} |')
    return lines


def _seams(records: Mapping[str, Result]) -> list[str]:
    lines = [
        f'Seams: pixels of the eastern {SIDE}² whose class is another, in %; 64 pixels at the edges are '
        'left out. Other windows lie elsewhere by a multiple of 32 pixels, the stride of the network. '
        f'Means ± standard deviations over networks of {SEEDS} seeds, finetuned for {LEARNED} steps. '
        f'{_machine(records)}',
        '',
        '| windows | shared | by one look at the whole | by other windows |',
        '|---|---|---|---|',
    ]
    for size, overlap in TILINGS:
        runs = [run for name, run in records.items() if name.startswith(f'{size}/{overlap}/')]
        if runs:
            cells = [_spread([run[name] for run in runs], 2) for name in ('whole', 'moved')]
            lines.append(f'| {size}² | {overlap} | {" | ".join(cells)} |')
    return lines


def _records(folder: Path, part: str) -> dict[str, Result]:
    """Runs of a part by name, in the order of the repeats."""
    root = folder / 'records' / part
    paths = sorted(root.rglob('*.json'))
    return {
        str(path.relative_to(root).with_suffix('')): json.loads(path.read_text()) for path in paths
    }


def _machine(records: Mapping[str, Result]) -> str:
    """Where the runs of a part were made."""
    return ' '.join(sorted({run['machine'] for run in records.values()}))


def _spread(values: list[float], digits: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f'{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--folder', type=Path, default=Path('output/benchmark_predict'))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--parts', nargs='*', choices=PARTS, default=PARTS, help='what to run')
    arguments = parser.parse_args()
    # GDAL looks at it once.
    os.environ['GDAL_CACHEMAX'] = str(CACHE)
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    measure(folder, arguments.parts, arguments.repeats)
    REPORT.write_text(report(folder))
    checkpoint, config = finetuned(folder, LEARNED)
    wanted = Request(checkpoint, str(DATA), folder / 'picture.tif', config=config, force=True)
    predict(replace(wanted, preview=PICTURE, page=folder / 'picture.html'))
    print(REPORT.read_text())


if __name__ == '__main__':
    main()
