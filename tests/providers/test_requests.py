import pickle
import re
from pathlib import Path

import pytest
import torch
import torchgeo.models
from torch import multiprocessing as mp
from torchgeo.datasets import EuroSAT
from torchgeo.models import get_weight

from torchgeo_geosane.errors import GeoSANEError, SensorError
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.providers.torchgeo import weights as ask
from torchgeo_geosane.spec import Spec


def test_anything_can_be_asked_for() -> None:
    member = ask('convnext_tiny', 'landsat_oli_sr', ['B4', 'B3'], seed=7, prompt='random')
    assert member.spec == Spec('convnext_tiny', 'landsat_oli_sr[SR_B4,SR_B3]', ('random',), seed=7)
    assert member.meta['bands'] == ['SR_B4', 'SR_B3']
    assert member.meta['in_chans'] == 2
    assert member.transforms({'image': torch.rand(2, 8, 8)})['image'].shape == (2, 8, 8)
    assert str(member) == member.url
    assert get_weight(str(member)) is member


def test_bands_come_in_the_datasets_order() -> None:
    member = ask('resnet50', EuroSAT.all_band_names)
    assert member.meta['bands'][-3:] == ['B11', 'B12', 'B8A']
    assert member.spec.prompts == ('torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO',)
    assert member.meta['stem_adapted']


@pytest.mark.parametrize(
    'name',
    [
        'geosane://test_resnet?seed=3&prompt=random&sensor=sentinel2_all[B4,B3]',
        'geosane_test_resnet.sentinel2_6&prompt=random',
    ],
)
def test_a_request_is_found_by_what_was_written(name: str) -> None:
    member = get_weight(name)
    assert str(member) == name
    assert get_weight(name) is member
    assert pickle.loads(pickle.dumps(member)) is member
    assert member.spec == find_spec(name)
    # Also where get_weight was imported first, as TorchGeo's tasks have done.
    assert torchgeo.models.get_weight(name) is member


def test_the_url_of_a_request_means_the_same_in_another_process(tmp_path: Path) -> None:
    member = ask('test_resnet', 'sentinel2_all', ['B8A', 'B2'], prompt='random')
    mp.spawn(receive_request, (str(member), str(tmp_path / 'answer')), nprocs=1)
    assert (tmp_path / 'answer').read_text() == member.url


def receive_request(index: int, name: str, path: str) -> None:
    assert index == 0
    Path(path).write_text(get_weight(name).url)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('GeoSANE_ResNet50_Weights.SENTINEL2_AL', "did you mean 'GeoSANE_ResNet50_Weights.SENTI"),
        ('geosane://resnet50?sensor=sentinel2', "unknown sensor 'sentinel2': did you mean"),
        ('geosane_resnet51.rgb', "unknown architecture 'resnet51': did you mean"),
        ('geosane://resnet50?sensor=rgb&prompt=ukis:nothing', "'ukis:nothing'"),
    ],
)
def test_misspelled_names_are_told_the_nearest(name: str, message: str) -> None:
    with pytest.raises(GeoSANEError, match=re.escape(message)):
        get_weight(name)


def test_asking_for_what_is_not_there() -> None:
    with pytest.raises(SensorError, match='more than once'):
        ask('resnet50', 'sentinel2_all', ['B4', 'B04'])
    with pytest.raises(SensorError, match='several sensors'):
        ask('resnet50', ['B4', 'B3'])
