"""From a scene to a map: pixels a second, memory, and seams, beside a plain loop over windows.

    python benchmarks/predict.py

The scenes are the quickstart's, 13 bands, written side by side and below each other as one tiled
GeoTIFF. The plain loop is what people write: the scene read into memory, windows one after the
other, blended by the same weights, the map written at the end. Both run the same U-Net
(ResNet-18) over the same windows, in turn in each repeat, each in a process of its own.
TerraTorch's tiled inference takes part where it is installed.

Seams: the model is finetuned for a minute, since random weights see no context; the map is made
twice, with windows that lie elsewhere, and pixels whose class differs are counted.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
import torch
import yaml
from measure import machine

from torchgeo_geosane.cli import main as command
from torchgeo_geosane.datamodules.pipelines import normalisation
from torchgeo_geosane.datasets.grid import Pixels
from torchgeo_geosane.predict.finding import find_scenes
from torchgeo_geosane.predict.finetuned import Finetuned, load
from torchgeo_geosane.predict.inference import strips
from torchgeo_geosane.predict.mapping import Inference, Mapper
from torchgeo_geosane.predict.scenes import Scene
from torchgeo_geosane.predict.tiling import Tiling

HERE = Path(__file__).parent
DATA = HERE.parent / 'examples' / 'data' / 'sentinel2_landuse'
REPORT = HERE.parent / 'docs' / 'benchmarks' / 'predict.md'
LABELS = 'gis_osm_landuse-water_a_free_1_area-10000-to-500000.gpkg'
CLASSES = ('farm', 'forest', 'grass', 'meadow', 'residential', 'scrub', 'water', 'wetland')
SIZE, OVERLAP, BATCH, SHIFT = 128, 32, 8, 40


def write_fit(folder: Path, steps: int) -> tuple[Path, Path]:
    """Finetune a U-Net on the quickstart's scene; config and checkpoint."""
    config = folder / 'fit.yaml'
    config.write_text(
        yaml.safe_dump(
            {
                'seed_everything': 0,
                'model': {
                    'class_path': 'torchgeo.trainers.SemanticSegmentationTask',
                    'init_args': {
                        'model': 'unet',
                        'backbone': 'resnet18',
                        'in_channels': 13,
                        'num_classes': len(CLASSES),
                        'ignore_index': 255,
                        'lr': 1e-3,
                    },
                },
                'data': {
                    'class_path': 'torchgeo_geosane.datamodules.ImageryDataModule',
                    'init_args': {
                        'images': {'sentinel2_all': str(DATA)},
                        'labels': str(DATA / LABELS),
                        'attribute': 'fclass',
                        'classes': list(CLASSES),
                        'patch_size': SIZE,
                        'batch_size': 4,
                        'length': 4 * steps,
                    },
                },
                'trainer': {
                    'max_epochs': 1,
                    'num_sanity_val_steps': 0,
                    'limit_val_batches': 1,
                    'logger': False,
                    'enable_progress_bar': False,
                    'enable_model_summary': False,
                    'callbacks': [
                        {
                            'class_path': 'lightning.pytorch.callbacks.ModelCheckpoint',
                            'init_args': {'dirpath': str(folder), 'filename': 'last'},
                        }
                    ],
                },
                'test_after_fit': False,
            }
        )
    )
    command(['fit', '--config', str(config)])
    return config, folder / 'last.ckpt'


def write_scene(path: Path, rows: int, columns: int) -> None:
    """The quickstart's scene, some times below and beside itself, mirrored so that edges meet."""
    files = [rasterio.open(DATA / f'T33UUU_20170216T102101_{band}.jp2') for band in _bands()]
    height, width = max(file.height for file in files), max(file.width for file in files)
    tile = np.stack([file.read(1, out_shape=(height, width)) for file in files])
    fine = next(file for file in files if file.height == height)
    profile = {
        'driver': 'GTiff',
        'height': rows * height,
        'width': columns * width,
        'count': len(files),
        'dtype': 'uint16',
        'crs': fine.crs,
        'transform': fine.transform,
        'tiled': True,
        'blockxsize': 512,
        'blockysize': 512,
        'compress': 'deflate',
        'zlevel': 1,
    }
    with rasterio.open(path, 'w', **profile) as file:
        for row in range(rows):
            for column in range(columns):
                part = tile[:, :: -1 if row % 2 else 1, :: -1 if column % 2 else 1]
                window = rasterio.windows.Window(column * width, row * height, width, height)
                file.write(part, window=window)


def _bands() -> list[str]:
    return [*(f'B{number:02d}' for number in range(1, 9)), 'B8A', 'B09', 'B10', 'B11', 'B12']


def ours(finetuned: Finetuned, scene: Path, out: Path) -> None:
    """This package's way."""
    inference = Inference(window=SIZE, overlap=OVERLAP, batch_size=BATCH)
    (found,) = find_scenes(finetuned.data, str(scene)).scenes.values()
    Mapper(finetuned, found.data, inference).map(found, out)


def plain(finetuned: Finetuned, scene: Path, out: Path) -> None:
    """A loop over windows that holds the scene, and what it sums, in memory."""
    (found,) = find_scenes(finetuned.data, str(scene)).scenes.values()
    normalise = normalisation(list(found.data.units.values()), finetuned.data.scales(found.data))
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    task = finetuned.task.to(device).eval()
    with rasterio.open(scene) as file:
        image, profile = torch.from_numpy(file.read().astype(np.float32)), file.profile
    tiling = Tiling(*image.shape[1:], SIZE, OVERLAP)
    down, across = tiling.down, tiling.across
    reach = SIZE
    padded = torch.nn.functional.pad(image[None], (reach,) * 4, mode='reflect')[0]
    total = torch.zeros(len(CLASSES), *padded.shape[1:])
    for row, top in enumerate(down.starts):
        for column, left in enumerate(across.starts):
            place = (
                slice(reach + top, reach + top + SIZE),
                slice(reach + left, reach + left + SIZE),
            )
            window = normalise({'image': padded[:, *place][None].to(device)})['image']
            with torch.no_grad():
                seen = task(window).softmax(1)[0].cpu()
            weight = down.weights[row][:, None] * across.weights[column]
            total[:, *place] += seen * torch.from_numpy(weight)
    inside = slice(reach, -reach)
    classes = total[:, inside, inside].argmax(0).to(torch.uint8).numpy()
    profile.update(driver='COG', count=1, dtype='uint8', nodata=255)
    for key in ('blockxsize', 'blockysize', 'tiled', 'interleave', 'zlevel'):
        profile.pop(key, None)
    with rasterio.open(out, 'w', **profile) as file:
        file.write(classes, 1)


def terratorch(finetuned: Finetuned, scene: Path, out: Path) -> None:
    """TerraTorch's tiled inference, on the scene in memory."""
    from terratorch.tasks.tiled_inference import tiled_inference

    (found,) = find_scenes(finetuned.data, str(scene)).scenes.values()
    normalise = normalisation(list(found.data.units.values()), finetuned.data.scales(found.data))
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    task = finetuned.task.to(device).eval()
    with rasterio.open(scene) as file:
        image, profile = torch.from_numpy(file.read().astype(np.float32))[None], file.profile
    image = normalise({'image': image})['image']
    with torch.no_grad():
        seen = tiled_inference(
            lambda windows, **_: task(windows.to(device)),
            image,
            crop=SIZE,
            stride=SIZE - OVERLAP,
            delta=OVERLAP // 4,
            batch_size=BATCH,
            average_patches=True,
            blend_overlaps=True,
            padding='reflect',
        )
    classes = seen[0].argmax(0).to(torch.uint8).cpu().numpy()
    profile.update(driver='COG', count=1, dtype='uint8', nodata=255)
    for key in ('blockxsize', 'blockysize', 'tiled', 'interleave', 'zlevel'):
        profile.pop(key, None)
    with rasterio.open(out, 'w', **profile) as file:
        file.write(classes, 1)


WAYS: dict[str, Callable[[Finetuned, Path, Path], None]] = {
    'ours': ours,
    'plain loop': plain,
    'TerraTorch': terratorch,
}


def run_one(way: str, checkpoint: Path, config: Path, scene: Path, out: Path) -> None:
    """One measurement, in this process: seconds and peak memory as JSON."""
    finetuned = load(checkpoint, config)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, began = time.process_time(), time.perf_counter()
    WAYS[way](finetuned, scene, out)
    print(
        json.dumps(
            {
                'seconds': time.perf_counter() - began,
                'cpu': time.process_time() - cpu,
                'memory': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                'model': before / 1024,
            }
        )
    )


def measured(way: str, *paths: Path) -> dict[str, float]:
    """The same in a process of its own."""
    command_line = [sys.executable, __file__, '--one', way, *map(str, paths)]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def probabilities(mapper: Mapper, scene: Scene, tiling: Tiling) -> torch.Tensor:
    """A map in memory, [classes, rows, columns]."""
    return torch.cat([strip.values for strip in strips(mapper.model, scene, tiling, BATCH)], 1)


def cut(tiling: Tiling) -> Tiling:
    """The same windows, cut in the middle of what they share and put side by side."""
    for axis in (tiling.down, tiling.across):
        hard = np.zeros_like(axis.weights)
        for number, start in enumerate(axis.starts):
            first = max(0, -start) if number == 0 else axis.overlap // 2
            hard[number, first : axis.size - axis.overlap // 2] = 1
        hard[-1, axis.size // 2 :] = 1
        axis.__dict__['weights'] = hard
    return tiling


def seams(checkpoint: Path, config: Path) -> list[tuple[str, float, float]]:
    """How far a map depends on where windows lie: classes that differ in %, probabilities at most."""
    finetuned = load(checkpoint, config)
    (scene,) = find_scenes(finetuned.data, str(DATA)).scenes.values()
    whole = scene.pixels
    moved = replace(scene, pixels=Pixels(SHIFT, SHIFT, whole.width - SHIFT, whole.height - SHIFT))
    rows = []
    for name, size, overlap, change in (
        (f'{SIZE}², side by side', SIZE, 0, None),
        (f'{SIZE}², {OVERLAP} shared, cut in the middle', SIZE, OVERLAP, cut),
        (f'{SIZE}², {OVERLAP} shared, blended', SIZE, OVERLAP, None),
        (f'{SIZE}², {SIZE // 2} shared, blended', SIZE, SIZE // 2, None),
        ('256², 128 shared, blended', 256, 128, None),
    ):
        mapper = Mapper(finetuned, scene.data, Inference(window=size, overlap=overlap))
        found = []
        for each in (scene, moved):
            tiling = Tiling(each.pixels.height, each.pixels.width, size, overlap)
            found.append(probabilities(mapper, each, change(tiling) if change else tiling))
        one, other = found[0][:, SHIFT:, SHIFT:], found[1]
        inner = (slice(None), slice(SIZE, -SIZE), slice(SIZE, -SIZE))
        one, other = one[inner], other[inner]
        changed = (one.argmax(0) != other.argmax(0)).float().mean()
        rows.append((name, 100 * changed.item(), (one - other).abs().max().item()))
    return rows


def report(folder: Path, repeats: int, steps: int) -> str:
    """Run everything, and write it up."""
    config, checkpoint = write_fit(folder, steps)
    ways = [way for way in WAYS if way != 'TerraTorch' or find_spec('terratorch')]
    speed: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    scene = folder / 'scene.tif'
    write_scene(scene, 1, 1)
    megapixels = 1536 * 768 / 1e6
    for repeat in range(repeats):
        for way in ways:
            found = measured(way, checkpoint, config, scene, folder / f'{repeat}{way}.tif')
            speed[way].append(found)
    lines = [
        '# From a scene to a map',
        '',
        f'Written by `python benchmarks/predict.py`: the quickstart’s scene, {megapixels:.1f} '
        f'megapixels of 13 bands, U-Net with ResNet-18, windows of {SIZE}² that share '
        f'{OVERLAP}, batches of {BATCH}, {repeats} repeats in turn, each in a fresh process: mean '
        f'± standard deviation, ratios of each repeat. {machine()}',
        '',
        '| way | megapixels / s | × plain loop | CPU s | peak memory, MB above the model’s |',
        '|---|---|---|---|---|',
    ]
    for way in ways:
        rates = [megapixels / found['seconds'] for found in speed[way]]
        pairs = zip(speed['plain loop'], speed[way], strict=True)
        ratios = [plain['seconds'] / found['seconds'] for plain, found in pairs]
        cpu = [found['cpu'] for found in speed[way]]
        memory = [found['memory'] - found['model'] for found in speed[way]]
        lines.append(
            f'| {way} | {spread(rates, 3)} | {spread(ratios, 2)} | {spread(cpu, 1)} '
            f'| {spread(memory, 0)} |'
        )
    lines += ['', 'Memory, as the scene grows in height:', '']
    lines += ['| rows | ours, MB above the model’s | plain loop |', '|---|---|---|']
    for rows in (1, 3):
        write_scene(scene, rows, 1)
        found = [
            measured(way, checkpoint, config, scene, folder / f'{rows}{way}.tif')
            for way in ('ours', 'plain loop')
        ]
        memory = [each['memory'] - each['model'] for each in found]
        lines.append(f'| {768 * rows} | {memory[0]:.0f} | {memory[1]:.0f} |')
    lines += [
        '',
        f'Seams: the map is made twice, with windows {SHIFT} pixels apart; what lies within a '
        'window of the scene’s edge is left out.',
        '',
        '| windows | pixels whose class differs, % | largest difference of a probability |',
        '|---|---|---|',
    ]
    lines += [
        f'| {name} | {share:.2f} | {most:.3f} |' for name, share, most in seams(checkpoint, config)
    ]
    return '\n'.join(lines) + '\n'


def spread(values: list[float], digits: int) -> str:
    """Mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f'{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--one', nargs=5, help=argparse.SUPPRESS)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--steps', type=int, default=100, help='of the finetuning')
    arguments = parser.parse_args()
    if arguments.one:
        way, *paths = arguments.one
        run_one(way, *map(Path, paths))
        return
    with tempfile.TemporaryDirectory() as name:
        REPORT.write_text(report(Path(name), arguments.repeats, arguments.steps))
    print(REPORT.read_text())


if __name__ == '__main__':
    main()
