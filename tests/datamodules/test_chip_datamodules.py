"""What holds for every data module of chips."""

import inspect
import pickle

import pytest
from jsonargparse import ArgumentParser
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_geosane import datamodules
from torchgeo_geosane.datamodules.chips import ChipDataModule

MODULES = [
    found
    for found in (getattr(datamodules, name) for name in datamodules.__all__)
    if issubclass(found, ChipDataModule)
]
each = pytest.mark.parametrize('kind', MODULES, ids=lambda kind: kind.__name__)


@each
def test_every_band_has_a_scale_and_sources_are_stated(kind: type[ChipDataModule]) -> None:
    made = kind()
    assert tuple(kind.scales) == made.dataset_class.all_bands
    assert all(scale.std > 0 for scale in kind.scales.values())
    assert kind.statistics_source
    assert set(kind.parts.values()) <= set(made.dataset_class.splits)


@each
def test_bands_and_their_scales_are_in_the_order_asked_for(kind: type[ChipDataModule]) -> None:
    bands = tuple(kind.scales)[::-1]
    made = kind(bands=bands)
    assert made.mean.tolist() == pytest.approx([kind.scales[band].mean for band in bands])
    assert made.fill.shape == (len(bands),)


@each
def test_a_configuration_makes_it(kind: type[ChipDataModule]) -> None:
    parser = ArgumentParser()
    parser.add_subclass_arguments(NonGeoDataModule, 'data')
    band = next(iter(kind.scales))
    settings = {'bands': [band], 'train_fraction': 0.1, 'skip_empty': True}
    path = f'torchgeo_geosane.datamodules.{kind.__name__}'
    parsed = parser.parse_object({'data': {'class_path': path, 'init_args': settings}})
    # Renamed in jsonargparse 4.49.
    made = getattr(parser, 'instantiate', parser.instantiate_classes)(parsed).data
    assert isinstance(made, kind)
    assert (made.bands, made.train_fraction, made.skip_empty) == ((band,), 0.1, True)
    assert pickle.loads(pickle.dumps(made)).bands == (band,)


def test_they_take_the_same_settings() -> None:
    shared = {'root', 'bands', 'batch_size', 'num_workers', 'train_fraction', 'seed', 'skip_empty'}
    for kind in MODULES:
        assert shared <= set(inspect.signature(kind).parameters)
