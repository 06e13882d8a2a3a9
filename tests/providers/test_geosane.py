"""timm's registry knows our names: as pretrained, with the right channels, and with any tag."""

import importlib
import json
import pickle
import pkgutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
from timm.data import resolve_model_data_config
from timm.models import resolve_model_input_args

import torchgeo_geosane
from torchgeo_geosane.architectures import list_architectures
from torchgeo_geosane.errors import SpecError
from torchgeo_geosane.providers import geosane
from torchgeo_geosane.providers.catalog import catalogue, timm_name
from torchgeo_geosane.sensors import SENSORS, get_sensor

TAGS = ['', '.sentinel2_all', '.sentinel1_grd&seed=7', '.sentinel2_all[B8A,B4]&prompt=random']


def timms_architectures() -> list[str]:
    """Without the networks that other tests register, later than our names are made."""
    return [
        name
        for name in list_architectures()
        if timm.models.model_entrypoint(name).__module__.startswith('timm.')
    ]


def test_there_is_a_name_for_every_architecture() -> None:
    names = set(timm.list_models(module='geosane'))
    assert names == {f'geosane_{architecture}' for architecture in timms_architectures()}
    assert len(names) > 1000
    # The ensemble's members follow its dot.
    assert {*timm.list_models('geosane_*')} == names | {'geosane_ensemble'}


@pytest.mark.parametrize('tag', TAGS)
@pytest.mark.parametrize('architecture', ['resnet18', 'convnext_atto', 'vit_tiny_patch16_224'])
def test_it_is_pretrained(architecture: str, tag: str) -> None:
    name = f'geosane_{architecture}{tag}'
    assert timm.is_model(name)
    assert timm.is_model_pretrained(name)
    # How TerraTorch looks.
    assert name in timm.list_models(pretrained=True)
    assert name in timm.list_pretrained('geosane_*')
    sensor = geosane.find_spec(name).target
    described = timm.get_pretrained_cfg(name)
    assert described.input_size[0] == sensor.in_chans
    assert described.architecture == f'geosane_{architecture}'
    assert not described.hf_hub_id
    assert timm.get_pretrained_cfg_value(name, 'license') == described.license != 'apache-2.0'
    assert ', '.join(sensor.band_names) in str(described.notes)


@pytest.mark.parametrize('name', ['geosane_resnet18.sentinel2', 'geosane_resnet18.rgb&sead=1'])
def test_what_stands_for_nothing_is_not(name: str) -> None:
    assert not timm.is_model_pretrained(name)
    assert name not in timm.list_models(pretrained=True)
    with pytest.raises(SpecError, match='did you mean'):
        timm.get_pretrained_cfg(name)


def test_names_of_others_are_as_before() -> None:
    assert timm.get_pretrained_cfg('resnet18').hf_hub_id == 'timm/resnet18.a1_in1k'
    assert timm.is_model_pretrained('resnet18.a1_in1k')
    assert not timm.is_model_pretrained('resnet18.nothing')
    assert not timm.is_model_pretrained('geosane_nothing.rgb')
    assert timm.get_pretrained_cfg('geosane_nothing') is None
    with pytest.raises(RuntimeError, match='Invalid pretrained tag'):
        timm.get_pretrained_cfg('resnet18.nothing')
    assert 'resnet18.nothing' not in timm.list_models(pretrained=True)


def test_the_catalogue_is_listed() -> None:
    listed = timm.list_pretrained('geosane_*')
    assert len(listed) == len(set(listed)) == (len(timms_architectures()) + len(list(catalogue())))
    assert {timm_name(entry.spec) for entry in catalogue()} <= set(listed)


def test_smp_normalises_as_the_sensor_does() -> None:
    parameters = smp.encoders.get_preprocessing_params('tu-geosane_convnext_atto.sentinel2_all')
    sensor = get_sensor('sentinel2_all')
    assert (parameters['mean'], parameters['std']) == (list(sensor.mean), list(sensor.std))
    preprocess = smp.encoders.get_preprocessing_fn('tu-geosane_convnext_atto.sentinel2_all')
    # Reflectance of thousands is not taken for bytes.
    assert preprocess(np.array([[sensor.mean]])).tolist() == [[[0.0] * 13]]


def test_smp_divides_bytes_as_ever() -> None:
    ours = smp.encoders.get_preprocessing_fn('tu-geosane_resnet18.rgb')
    theirs = smp.encoders.get_preprocessing_fn('tu-resnet18')
    image = np.arange(48).reshape(4, 4, 3)
    assert ours(image) == pytest.approx(theirs(image), abs=1e-3)


@pytest.mark.parametrize('sensor', SENSORS)
def test_every_sensor_is_described(sensor: str) -> None:
    described = timm.get_pretrained_cfg(f'geosane_resnet50.{sensor}')
    assert len(described.mean) == len(described.std) == described.input_size[0]
    json.dumps(described.to_dict())


def test_what_timms_scripts_ask() -> None:
    # They resolve a name to a description, and create the model from that.
    arguments = resolve_model_input_args('geosane_test_vit.sentinel2_6&prompt=random', img_size=64)
    model = timm.create_model(arguments.pop('model_name'), **arguments)
    assert model.patch_embed.proj.in_channels == 6
    assert resolve_model_data_config(model)['input_size'] == (6, 160, 160)


def test_entry_points_pickle() -> None:
    entrypoint = timm.models.model_entrypoint('geosane_resnet18')
    assert pickle.loads(pickle.dumps(entrypoint)) is entrypoint


def modules() -> list[str]:
    found = pkgutil.walk_packages(torchgeo_geosane.__path__, 'torchgeo_geosane.')
    return ['torchgeo_geosane', *(module.name for module in found)]


@pytest.mark.parametrize('name', modules())
def test_star_imports(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:  # Of an extra, or of the other version of TorchGeo.
        if (error.name or '').startswith('torchgeo_geosane'):
            raise
        pytest.skip(str(error))
    scope: dict[str, Any] = {}
    exec(f'from {name} import *', scope)
    assert set(getattr(module, '__all__', ())) <= scope.keys()


_TWICE = """
import warnings, timm
warnings.simplefilter('ignore')
import torchgeo_geosane
from torchgeo_geosane.providers import geosane
before = timm.list_models(pretrained=True)
geosane.register()
assert timm.list_models(pretrained=True) == before
assert 'geosane_resnet18.rgb&seed=3' in timm.list_models(pretrained=True)
assert timm.get_pretrained_cfg('geosane_resnet18').input_size == (3, 224, 224)
"""


def test_registering_twice_does_no_harm() -> None:
    done = subprocess.run(
        [sys.executable, '-c', _TWICE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
