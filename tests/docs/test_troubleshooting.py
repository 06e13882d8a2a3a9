"""Every error that the page quotes is raised here, and reads as it is quoted; … stands for any text."""

import importlib.metadata
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import geopandas
import numpy as np
import pytest
import timm
import torch
from rasters import UTM, write_raster
from safetensors.torch import save_file
from shapely import box
from torchgeo.models import get_weight

import torchgeo_geosane
from torchgeo_geosane import Spec, generate
from torchgeo_geosane.callbacks.band_lists import Delivered, Wanted
from torchgeo_geosane.callbacks.band_report import explain
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datamodules.task_check import Facts, check_task
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.errors import DataError, GeoSANEError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.prompts.network import unreachable
from torchgeo_geosane.providers.state_dict import GeneratedStateDict
from torchgeo_geosane.rank import rank

PAGE = (Path(__file__).parents[2] / 'docs' / 'troubleshooting.md').read_text()
QUOTED = re.findall(r'```text\n(.*?)\n```', PAGE, re.DOTALL)
B4 = 'tf_efficientnet_b4'
AREA = (330_000, 5_821_400, 330_640, 5_822_040)
IMAGES = {'sentinel2_4': 'scene.tif'}


def scene(bands: int = 4, path: str = 'scene.tif', size: int = 64, **profile: object) -> None:
    values = np.ones((bands, size, size), np.uint16)
    write_raster(Path(path), values, **(UTM | profile))


def no_weights() -> None:
    get_weight('GeoSANE_ResNet50_Weights.SENTINEL2')


def no_architecture() -> None:
    Spec.parse('geosane://resnet5?sensor=sentinel2_all')


def no_package() -> None:
    def missing(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.metadata, 'distribution', missing)
        generate(Spec(B4, 'sentinel2_all', prompts=('ukis:6b_l1c',)))


def no_network() -> NoReturn:
    prompt = 'torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO'
    raise unreachable(prompt, 'resnet18', '[Errno -3] Temporary failure in name resolution')


def other_architecture() -> None:
    save_file(timm.create_model('resnet34', in_chans=13).state_dict(), 'mine.safetensors')
    generate(Spec('resnet50', 'sentinel2_all', prompts=('file:mine.safetensors',)))


def other_stem() -> None:
    save_file(timm.create_model('resnet18').state_dict(), 'mine.safetensors')
    generate(Spec('resnet18', 'sentinel2_all', prompts=('file:mine.safetensors',)))


def not_a_number() -> None:
    tensors = timm.create_model('resnet18').state_dict()
    tensors['layer1.0.conv1.weight'] = torch.full((64, 64, 3, 3), torch.nan)
    save_file(tensors, 'mine.safetensors')
    generate(Spec('resnet18', 'rgb', prompts=('file:mine.safetensors',)))


def dropped_stem() -> None:
    tensors = GeneratedStateDict({}, Spec('resnet18', 'sentinel2_all'))
    del tensors['conv1.weight']


def other_channels() -> None:
    timm.create_model('geosane_resnet18.sentinel2_all', pretrained=True, in_chans=3)


def bands_in_another_order() -> NoReturn:
    spec = Spec('resnet18', 'sentinel2_4')
    wanted = Wanted('ResNet18', ('B2', 'B3', 'B4', 'B8'), architecture='resnet18', spec=spec)
    bands = ('B4', 'B3', 'B2', 'B8')
    raise DataError(explain(wanted, Delivered('MyData', bands, bands, selectable=True)))


def task(**arguments: object) -> None:
    module = SimpleNamespace(hparams=arguments)
    facts = Facts(['B2', 'B3', 'B4', 'B8'], ['water', 'forest'], 255)
    check_task(SimpleNamespace(trainer=SimpleNamespace(lightning_module=module)), facts)  # type: ignore[arg-type]


def nothing_to_judge_by() -> None:
    scene(size=256)
    settings = {'images': IMAGES, 'patch_size': 32, 'length': 8}
    arguments = {'model': 'unet', 'backbone': 'resnet18', 'in_channels': 4, 'num_classes': 2}
    rank(
        {
            'model': {
                'class_path': 'torchgeo.trainers.SemanticSegmentationTask',
                'init_args': arguments,
            },
            'data': {
                'class_path': 'torchgeo_geosane.datamodules.ImageryDataModule',
                'init_args': settings,
            },
        }
    )


def no_files() -> None:
    Imagery({'sentinel2_4': 'scenes'})


def no_georeference() -> None:
    scene(crs=None, transform=None)
    Imagery(IMAGES)


def no_system() -> None:
    scene(crs=None)
    Imagery(IMAGES)


def too_many_bands() -> None:
    scene(5)
    Imagery(IMAGES)


def one_band_that_says_nothing() -> None:
    scene(1)
    Imagery(IMAGES)


def value_without_class() -> None:
    scene()
    scene(1, 'labels.tif')
    data = Imagery(IMAGES, labels='labels.tif', classes={'water': 2, 'forest': 3})
    x, y, _ = data.bounds
    data[x, y]


def no_column() -> None:
    scene()
    polygons = geopandas.GeoDataFrame({'fclass': ['water']}, geometry=[box(*AREA)], crs=32633)
    polygons.to_file('landuse.gpkg')
    Imagery(IMAGES, labels='landuse.gpkg', attribute='class', classes=['water'])


def labels_elsewhere() -> None:
    scene()
    polygons = geopandas.GeoDataFrame({'fclass': ['water']}, geometry=[box(0, 0, 1, 1)], crs=4326)
    polygons.to_file('landuse.gpkg')
    Imagery(IMAGES, labels='landuse.gpkg', attribute='fclass', classes=['water'])


def one_small_image() -> None:
    scene(size=2)
    ImageryDataModule(IMAGES, batch_size=1, patch_size=64).setup('fit')


def no_foundry() -> None:
    Path('my_foundry').mkdir()
    Foundry.load('my_foundry')


RAISERS: list[Callable[[], None]] = [
    no_weights,
    no_architecture,
    no_package,
    no_network,
    other_architecture,
    other_stem,
    not_a_number,
    dropped_stem,
    other_channels,
    bands_in_another_order,
    lambda: task(in_channels=13),
    lambda: task(num_classes=8),
    lambda: task(ignore_index=None),
    nothing_to_judge_by,
    no_files,
    no_georeference,
    no_system,
    too_many_bands,
    one_band_that_says_nothing,
    value_without_class,
    no_column,
    labels_elsewhere,
    one_small_image,
    no_foundry,
]


@pytest.mark.parametrize(('quoted', 'raiser'), list(zip(QUOTED, RAISERS, strict=True)))
def test_errors_read_as_they_are_quoted(
    quoted: str, raiser: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCHGEO_GEOSANE_CACHE', str(tmp_path / 'cache'))
    with pytest.raises(GeoSANEError) as caught:
        raiser()
    assert re.fullmatch('.*'.join(map(re.escape, quoted.split('…'))), str(caught.value), re.DOTALL)


@pytest.mark.parametrize(
    ('module', 'text'),
    [
        ('provenance.py', 'is damaged: it does not have the sha256 that its header states'),
        ('cache.py', 'Set aside as %s; generating it again.'),
        ('cache.py', 'The generated weights were not cached: '),
    ],
)
def test_warnings_read_as_they_are_quoted(module: str, text: str) -> None:
    assert text.replace('%s', '…') in PAGE
    assert text in Path(torchgeo_geosane.__file__).with_name(module).read_text()
