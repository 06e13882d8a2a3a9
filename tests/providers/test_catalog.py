from collections import Counter

from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.providers.catalog import ARCHITECTURES, catalogue
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
        for sensor in ('sentinel2_all', 'sentinel2_6', 'sentinel2_rgb', 'rgb', 'rgbn'):
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
    assert set(kinds) == {'torchgeo', 'timm', 'ukis'}
