"""Pictures of what the package puts out: of the README, and of the page Gallery.

``python docs/gallery.py`` trains what must be trained for a picture, and writes into ``docs/_static``:
the quickstart's map, which README.md shows, what is on the page of that map, and a heat map of
places. The others take seconds, and are drawn when the site is built.
"""

import base64
import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tables
import torch
import yaml
from lightning.pytorch import Trainer, seed_everything
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform, transform_bounds

from torchgeo_geosane import get_sensor
from torchgeo_geosane.cli import main
from torchgeo_geosane.compare.figures import draw_values
from torchgeo_geosane.datamodules import GeoPhotosDataModule, ImageryDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.plotting import (
    class_colours,
    composite,
    plot_segmentation,
    stretched,
)
from torchgeo_geosane.describe.drawing import draw
from torchgeo_geosane.stem import band_mixture
from torchgeo_geosane.tasks import GeoAlignmentTask
from torchgeo_geosane.tasks.location_map import write_location_map
from torchgeo_geosane.transforms import refined_lee, to_decibel

ROOT = Path(__file__).parents[1]
STATIC = Path(__file__).parent / '_static'


def finetuned() -> dict[str, Figure]:
    """The quickstart: its scene, the labels and the map of the whole; and what the map's page shows."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path('examples').symlink_to(ROOT / 'examples')
        for command in (
            'fit --config examples/quickstart.yaml',
            'predict --options examples/predict_scene.yaml',
        ):
            main(command.split())
        with rasterio.open('output/quickstart/map.tif') as file:
            made, hectares = file.read(1), abs(file.transform.a * file.transform.e) / 10_000
    data = _scene()
    sample = data[data.bounds]
    colours = dict(zip(data.classes, class_colours(data.classes), strict=True))
    image = composite(sample['image'].numpy(), data.bands, ['B4', 'B3', 'B2'])
    maps = {'Labels': sample['mask'].numpy(), 'Map': made}
    return {
        'quickstart': plot_segmentation(image, maps, colours),
        'map_page': _map_page(image, made, colours, hectares),
    }


def _map_page(
    image: np.ndarray, made: np.ndarray, colours: dict[str, Any], hectares: float
) -> Figure:
    """The map over the image, and the areas."""
    figure = Figure(figsize=(12, 3.6), layout='constrained')
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    left.imshow(stretched(image))
    painted = np.stack([to_rgb(colour) for colour in colours.values()])[made]
    left.imshow(painted, alpha=0.6, interpolation='nearest')
    left.axis('off')
    areas = hectares * np.bincount(made.ravel(), minlength=len(colours))
    bars = right.barh(list(colours), areas, color=list(colours.values()))
    right.bar_label(bars, [f'{area:,.0f} ha' for area in areas], padding=3)
    right.set_xlim(0, 1.25 * areas.max())
    right.invert_yaxis()
    right.spines[['top', 'right', 'bottom']].set_visible(False)
    right.set_xticks([])
    return figure


def located() -> dict[str, Figure]:
    """Where a place of this look lies, by coordinates and images that were aligned."""
    with tempfile.TemporaryDirectory() as folder:
        world, heat = Path(folder, 'world'), Path(folder, 'heat.tif')
        script = ROOT / 'benchmarks' / 'geo_alignment.py'
        subprocess.run([sys.executable, script, '--world', world], check=True)
        seed_everything(0)
        images = {'sentinel2_4': str(world / 'scene.tif')}
        data = GeoPhotosDataModule(
            images,
            world / 'photos.csv',
            batch_size=64,
            size=48,
            photo_size=32,
            split='blocks',
        )
        task = GeoAlignmentTask(
            'test_resnet',
            'test_resnet',
            in_channels=4,
            embed_dim=64,
            location_hidden=64,
            location_sigmas=(2.0**10, 2.0**12, 2.0**14),
            queue_size=1024,
            lr=2e-3,
        )
        Trainer(accelerator='cpu', max_epochs=8, logger=False, enable_checkpointing=False).fit(
            task, datamodule=data
        )
        with rasterio.open(world / 'scene.tif') as scene:
            bounds = transform_bounds(scene.crs, 'EPSG:4326', *scene.bounds)
            image = composite(scene.read(), scene.descriptions, ['B4', 'B3', 'B2'])
            grid = {'crs': scene.crs, 'transform': scene.transform}
            size = {'width': scene.width, 'height': scene.height}
            batch = next(iter(data.test_dataloader()))
            batch = data.on_after_batch_transfer(batch, 0)
            darkest = int(batch['image'][:, 3].mean((1, 2)).argmin())  # In near infrared: water.
            like = task.eval().embed(batch).local[darkest]
            write_location_map(heat, task.location, like, bounds, res=0.0005)
            (x,), (y,) = transform(
                'EPSG:4326', scene.crs, *batch['location'][darkest, :, None].tolist()
            )
            row, column = scene.index(x, y)
        with (
            rasterio.open(heat) as file,
            WarpedVRT(file, resampling=Resampling.bilinear, **grid, **size) as warped,
        ):
            cosine = warped.read(1)
    figure = Figure(figsize=(12, 3.6), layout='constrained')
    left, right = figure.subplots(1, 2)
    left.imshow(stretched(image))
    drawn = right.imshow(cosine, cmap='magma')
    figure.colorbar(drawn, label='cosine')
    for axes in (left, right):
        axes.plot(column, row, 'o', ms=12, mfc='none', mec='cyan', mew=2)
        axes.axis('off')
    return {'located': figure}


def described() -> Figure:
    """What ``describe`` draws of the quickstart's scene: where it lies, and its parts."""
    data = ImageryDataModule(**_settings())
    data.setup('fit')
    data.setup('test')
    parts = {
        'train': data.train_dataset.dataset,
        'val': data.val_dataset,
        'test': data.test_dataset,
    }
    return draw(_scene(), parts)


def stem() -> Figure:
    """How much of each band of a prompt goes into each band of the sensor."""
    source, target = get_sensor('sentinel2_6'), get_sensor('sentinel2_all')
    figure = Figure(figsize=(8, 3.2), layout='constrained')
    axes = figure.subplots()
    drawn = axes.imshow(band_mixture(source.bands, target.bands).T, cmap='Blues', vmin=0, vmax=1)
    axes.set_xticks(range(target.in_chans), target.band_names)
    axes.set_yticks(range(source.in_chans), source.band_names)
    axes.set(xlabel='band of the sensor', ylabel='band of the prompt')
    figure.colorbar(drawn, label='share')
    return figure


def speckle() -> Figure:
    """A simulated radar image before and after the filter."""
    rows, columns = torch.meshgrid(torch.arange(120), torch.arange(120), indexing='ij')
    ground = torch.full((1, 120, 120), 0.05)
    ground[:, rows + columns > 130] = 0.2
    ground[:, (rows - 35) ** 2 + (columns - 35) ** 2 < 500] = 0.008
    looks = torch.zeros(4, 1, 120, 120).exponential_(generator=torch.Generator().manual_seed(0))
    images = {'with speckle': ground * looks.mean(0)}
    images['refined_lee'] = refined_lee(images['with speckle'], looks=4)
    figure = Figure(figsize=(8, 4), layout='constrained')
    for axis, (title, image) in zip(figure.subplots(1, 2), images.items(), strict=True):
        axis.imshow(to_decibel(image)[0], cmap='gray', vmin=-24, vmax=-4)
        axis.set_title(title)
        axis.axis('off')
    return figure


def compared() -> str:
    """A figure of the report of ``compare``."""
    results = tables.results('landsat7')
    return draw_values(results, results.settings[0]).svg


def _settings() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / 'examples' / 'quickstart.yaml').read_text())
    settings = config['data']['init_args']
    settings['images'] = {name: str(ROOT / path) for name, path in settings['images'].items()}
    settings['labels'] = str(ROOT / settings['labels'])
    return settings


def _scene() -> Imagery:
    wanted = ('images', 'labels', 'attribute', 'classes')
    return Imagery(**{name: _settings()[name] for name in wanted})


def html(name: str) -> str:
    """A picture as an element of a page, without a file of its own."""
    made = PICTURES[name]()
    if isinstance(made, str):
        return made
    written = io.BytesIO()
    made.savefig(written, format='webp', dpi=100)
    content = base64.b64encode(written.getvalue()).decode()
    return f'<img src="data:image/webp;base64,{content}" alt="{(PICTURES[name].__doc__ or "").strip()}">'


PICTURES: dict[str, Callable[[], Figure | str]] = {
    made.__name__: made for made in (described, stem, speckle, compared)
}

TRAINED = (finetuned, located)

if __name__ == '__main__':
    for make in TRAINED:
        for title, picture in make().items():
            path = STATIC / f'{title}.jpg'
            picture.savefig(path, dpi=110, pil_kwargs={'quality': 85})
            print(f'{path}: {path.stat().st_size // 1000} kB')
