"""Pictures of what the package puts out: of the README, and of the page Gallery.

``python docs/gallery.py`` finetunes the quickstart and writes the picture of its map, which README.md
shows, into ``docs/_static``. The others take seconds, and are drawn when the site is built.
"""

import base64
import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rasterio
import tables
import torch
import yaml
from matplotlib.figure import Figure

from torchgeo_geosane import get_sensor
from torchgeo_geosane.cli import main
from torchgeo_geosane.compare.figures import draw_values
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.plotting import class_colours, composite, plot_segmentation
from torchgeo_geosane.describe.drawing import draw
from torchgeo_geosane.stem import band_mixture
from torchgeo_geosane.transforms import refined_lee, to_decibel

ROOT = Path(__file__).parents[1]
STATIC = Path(__file__).parent / '_static'
QUICKSTART = STATIC / 'quickstart.jpg'


def quickstart() -> Figure:
    """Finetune the quickstart, and draw its scene, the labels and the map of the whole."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path('examples').symlink_to(ROOT / 'examples')
        for command in (
            'fit --config examples/quickstart.yaml',
            'predict --options examples/predict_scene.yaml',
        ):
            main(command.split())
        with rasterio.open('output/quickstart/map.tif') as file:
            made = file.read(1)
    data = _scene()
    sample = data[data.bounds]
    colours = dict(zip(data.classes, class_colours(data.classes), strict=True))
    image = composite(sample['image'].numpy(), data.bands, ['B4', 'B3', 'B2'])
    return plot_segmentation(image, {'Labels': sample['mask'].numpy(), 'Map': made}, colours)


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

if __name__ == '__main__':
    quickstart().savefig(QUICKSTART, dpi=110, pil_kwargs={'quality': 85})
    print(f'{QUICKSTART}: {QUICKSTART.stat().st_size // 1000} kB')
