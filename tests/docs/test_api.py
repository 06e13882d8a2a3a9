"""The reference has every public name: what rooms export, and every module that is no detail."""

import importlib
import inspect
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import torchgeo_geosane

PAGES = Path(__file__).parents[2] / 'docs' / 'api'
TEXT = '\n'.join(page.read_text() for page in sorted(PAGES.glob('*.md')))
DOCUMENTED = {
    name: options
    for name, options in re.findall(r'\.\. automodule:: (\S+)\n((?:   :.*\n)*)', TEXT)
    if ':members:' in options
}
# TorchGeo 0.8 has no masked autoencoder, which ours extends.
ABSENT = set() if find_spec('torchgeo.tasks') else {'torchgeo_geosane.tasks.mae'}
ROOMS = sorted(
    f'torchgeo_geosane.{module.name}'
    for module in pkgutil.iter_modules(torchgeo_geosane.__path__)
    if module.ispkg and module.name != 'cli'
)
# What one begins with: how it is used is shown where it is described.
SHOWN = [
    'torchgeo_geosane.Spec',
    'torchgeo_geosane.generate',
    'torchgeo_geosane.weights',
    'torchgeo_geosane.datasets.Imagery',
    'torchgeo_geosane.datamodules.ImageryDataModule',
    'torchgeo_geosane.callbacks.CheckBands',
    'torchgeo_geosane.callbacks.ConditionBatchNorm',
    'torchgeo_geosane.callbacks.SelectCandidates',
    'torchgeo_geosane.models.FeatureEnsemble',
    'torchgeo_geosane.transforms.RandomSpeckle',
    'torchgeo_geosane.export.export',
]


def exported(room: str) -> list[tuple[str, object]]:
    """Public names of a room, and what they are."""
    module = importlib.import_module(room)
    return [(name, getattr(module, name)) for name in getattr(module, '__all__', ())]


def home(room: str, value: object, name: str) -> str:
    """The documented module that a room's name comes from; empty if there is none."""
    if isinstance(value, type) or inspect.isroutine(value):
        return value.__module__ if value.__module__ in DOCUMENTED else ''
    imported = inspect.getsource(importlib.import_module(room))
    renamed = re.search(rf'^from (\S+) import .*\w as {name}\b', imported, re.MULTILINE)
    if renamed is not None:
        return renamed[1] if renamed[1] in DOCUMENTED else ''
    for module in sorted(DOCUMENTED.keys() - ABSENT):  # A constant does not know its module.
        source = inspect.getsource(importlib.import_module(module))
        if re.search(rf'^{name}\b.* = ', source, re.MULTILINE):
            return module
    return ''


@pytest.mark.parametrize('room', ROOMS)
def test_what_a_room_exports_is_documented(room: str) -> None:
    assert not [name for name, value in exported(room) if not home(room, value, name)]


@pytest.mark.parametrize('room', ['torchgeo_geosane', *ROOMS])
def test_what_a_room_exports_has_a_docstring(room: str) -> None:
    for name, value in exported(room):
        if isinstance(value, type) or inspect.isroutine(value):
            assert (value.__doc__ or '').strip(), f'{room}.{name}'


def test_the_first_page_has_the_names_of_the_package() -> None:
    index = (PAGES / 'index.md').read_text()
    assert not [name for name in torchgeo_geosane.__all__ if f'.{name}`' not in index]


def test_pages_name_modules_that_exist() -> None:
    for name in DOCUMENTED.keys() - ABSENT:
        assert isinstance(importlib.import_module(name), ModuleType)


@pytest.mark.parametrize('path', SHOWN)
def test_what_one_begins_with_has_an_example(path: str) -> None:
    module, _, name = path.rpartition('.')
    value = getattr(importlib.import_module(module), name)
    text = f'{value.__doc__}\n{value.__init__.__doc__}'
    assert re.search(r'>>>|Example:', text), path
