"""Short class paths of users' configs stay what they are once our modules are imported.

jsonargparse finds ``class_path: EuroSATDataModule`` among all subclasses that are imported, and refuses
a name that several have.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import lightning.pytorch
import pytest
import torch
import torchgeo
import torchgeo.datamodules
import torchgeo.datasets
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback, LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import Dataset, Sampler

import torchgeo_geosane
from torchgeo_geosane import datamodules, tasks

BASES = (LightningModule, LightningDataModule, Callback, Dataset, Sampler, nn.Module)


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """All modules of a package that can be imported here; no program is run."""
    yield package
    for found in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):
        if not found.name.endswith('__main__'):
            try:
                yield importlib.import_module(found.name)
            except ImportError:  # Of an extra, or of the other version of TorchGeo.
                continue


def classes(*packages: ModuleType) -> dict[str, str]:
    """Every public class of these packages that a config could name, and its module."""
    roots = tuple(package.__name__ for package in packages)
    return {
        name: value.__module__
        for package in packages
        for module in modules(package)
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, BASES)
        and value.__module__.startswith(roots)
        and value.__name__ == name
        and not name.startswith('_')
    }


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_no_class_has_a_name_of_others() -> None:
    ours = classes(torchgeo_geosane)
    theirs = classes(torchgeo, lightning.pytorch, torch.nn.modules, torch.utils.data)
    assert 'EuroSATDataModule' in theirs
    assert 'CheckBands' in ours
    assert not {name: ours[name] for name in ours.keys() & theirs.keys()}


@pytest.mark.parametrize(
    ('base', 'name'),
    [
        (LightningDataModule, 'EuroSATDataModule'),
        (LightningDataModule, 'BigEarthNetDataModule'),
        (LightningDataModule, 'RESISC45DataModule'),
        (LightningDataModule, 'SpaceNet1DataModule'),
    ],
)
def test_short_class_paths_are_torchgeos(base: type, name: str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument('--data', type=base)
    chosen = parser.parse_args([f'--data={name}'])
    assert chosen.data.class_path == f'torchgeo.datamodules.{name}'
    # Ours is found by its path, also by the one that it had in earlier versions.
    for path in (f'torchgeo_geosane.datamodules.{name}', f'GeoSANE{name}'):
        found = parser.parse_args([f'--data={path}']).data.class_path.rpartition('.')
        made = getattr(importlib.import_module(found[0]), found[2])
        assert made is getattr(datamodules, f'GeoSANE{name}')


@pytest.mark.parametrize('name', ['ObjectDetectionTask', 'InstanceSegmentationTask'])
def test_tasks_are_found_by_the_path_they_had(name: str) -> None:
    assert getattr(tasks, name) is getattr(tasks, f'GeoSANE{name}')
    assert name not in tasks.__all__
