import re
from collections import Counter
from dataclasses import replace

import pytest
import timm
from timm.models import split_model_name_tag

from torchgeo_geosane.errors import SpecError
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.providers.catalog import (
    ARCHITECTURES,
    catalogue,
    find_spec,
    is_name,
    official,
    timm_name,
)
from torchgeo_geosane.sensors import SENSORS
from torchgeo_geosane.spec import Spec

ENTRIES = list(catalogue())


def test_names_are_unique_and_so_is_what_they_stand_for() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert len({entry.spec.url for entry in ENTRIES}) == len(ENTRIES)


def test_names_say_architecture_and_sensor() -> None:
    for entry in ENTRIES:
        title = entry.enum.removeprefix('GeoSANE_').removesuffix('_Weights')
        assert ARCHITECTURES[title] == entry.spec.architecture
        assert SENSORS[entry.member.lower()] is entry.spec.target
        assert entry.name == f'GeoSANE_{title}_Weights.{entry.member}'


def test_specs_are_the_defaults() -> None:
    for entry in ENTRIES:
        assert entry.spec == Spec(entry.spec.architecture, entry.spec.sensor)
        assert entry.spec.foundry == 'embedded'
        assert entry.spec.seed == 0


def test_every_architecture_for_sentinel2_and_colour() -> None:
    offered = {(entry.spec.architecture, entry.spec.sensor) for entry in ENTRIES}
    for architecture in ARCHITECTURES.values():
        mobile = architecture.startswith('mobilenet')
        satellite = () if mobile else ('sentinel2_all', 'sentinel2_6', 'sentinel2_rgb')
        for sensor in (*satellite, 'rgb', 'rgbn'):
            assert (architecture, sensor) in offered
    assert ('resnet50', 'sentinel1_grd') in offered
    assert ('resnet18', 'sentinel1_grd') not in offered, 'no prompt has seen radar'


def test_imagenet_is_the_prompt_of_colour_alone() -> None:
    kinds = Counter()
    for entry in ENTRIES:
        spec = entry.spec
        prompt = resolve_prompt(spec.prompts[0], spec.architecture, spec.target, spec.seed)
        kinds[prompt.name.partition(':')[0]] += 1
        assert prompt.sensor == 'rgb' or not prompt.name.startswith('timm:')
        assert entry.spec.sensor in {'rgb', 'rgbn'} or not prompt.name.startswith('timm:')
    assert set(kinds) == {'torchgeo', 'timm', 'ukis', 'kelp', 'mobilenet'}


def test_every_form_of_a_name() -> None:
    spec = Spec('resnet50', 'sentinel2_all')
    assert find_spec('GeoSANE_ResNet50_Weights.SENTINEL2_ALL') == spec
    assert find_spec('geosane://resnet50?sensor=sentinel2_all') == spec
    assert find_spec('geosane_resnet50.sentinel2_all') == spec
    assert find_spec('tu-geosane_resnet50.sentinel2_all') == spec
    assert find_spec('geosane_resnet50').sensor == 'rgb'


@pytest.mark.parametrize(
    'spec',
    [
        Spec('resnet50', 'sentinel2_all'),
        Spec('convnext_tiny', 'landsat_oli_sr[B4,B3]', seed=7),
        Spec('resnet18', 'rgb', prompts=('file:/a b/c&d.pth', 'random'), foundry='./mine'),
    ],
)
def test_timm_names_are_parsed_again(spec: Spec) -> None:
    name = timm_name(spec)
    assert find_spec(name) == spec
    # What timm itself makes of it: it refuses paths, and splits at the first dot.
    assert timm.models.parse_model_name(name)[1] == name
    assert split_model_name_tag(name)[0] == f'geosane_{spec.architecture}'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('GeoSANE_ResNet50_Weights.SENTINEL2', "did you mean 'GeoSANE_ResNet50_Weights.SENTINEL2_"),
        ('geosane_resnet51.rgb', "unknown architecture 'resnet51'"),
        ('geosane_resnet50.sentinel2', "unknown sensor 'sentinel2': did you mean"),
        ('geosane://resnet50?sensor=rgb&sead=1', "unknown parameter 'sead'"),
    ],
)
def test_names_that_stand_for_nothing(name: str, message: str) -> None:
    assert is_name(name)
    with pytest.raises(SpecError, match=re.escape(message)):
        find_spec(name)


def test_the_official_foundry_has_names_of_its_own() -> None:
    entries = list(official())
    assert [entry.name for entry in entries] == [f'{entry.name}_CVPR2026' for entry in ENTRIES]
    for entry, ours in zip(entries, ENTRIES, strict=True):
        assert entry.spec == replace(ours.spec, foundry='HSG-AIML/GeoSANE')
        assert find_spec(entry.name) == entry.spec
        assert find_spec(timm_name(entry.spec)) == entry.spec
