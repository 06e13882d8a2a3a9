import pickle
from pathlib import Path

import pytest
import torch

from torchgeo_geosane.architectures import TensorSpec, get_architecture
from torchgeo_geosane.errors import ArchitectureError, PromptError
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.prompts import check_fits, default_prompts, list_prompts, resolve_prompt
from torchgeo_geosane.prompts.defaults import _TORCHGEO
from torchgeo_geosane.sensors import SENSORS, get_sensor

S2 = get_sensor('sentinel2_all')


def test_random_is_the_seeded_initialisation_and_says_so() -> None:
    prompt = resolve_prompt('random', 'resnet18', S2, seed=4)
    source = prompt.open()
    wanted = get_architecture('resnet18', 13).initialise(4)
    assert source.names() == list(wanted)
    assert all(torch.equal(source.read(name), wanted[name]) for name in wanted)
    assert 'random' in prompt.source
    assert prompt.licence == 'none: random initialisation'
    assert prompt.fingerprint == 'random:4'
    assert prompt.bands == S2.bands


@pytest.mark.parametrize('architecture', _TORCHGEO)
@pytest.mark.parametrize('sensor', SENSORS)
def test_every_default_can_be_resolved(architecture: str, sensor: str) -> None:
    for name in default_prompts(architecture, sensor):
        prompt = resolve_prompt(name, architecture, SENSORS[sensor], seed=0)
        assert prompt.architecture == architecture
        kind = prompt.name.partition(':')[0]
        if kind == 'torchgeo' and architecture != 'resnet152':
            # TorchGeo's weights are a default only where every band of the sensor is among theirs.
            bands = SENSORS[sensor].bands
            spare = [band for band in bands if not any(map(band.is_same, prompt.bands))]
            assert not spare or sensor == 'rgb'


@pytest.mark.parametrize(
    ('architecture', 'sensor', 'name'),
    [
        ('resnet50', 'sentinel2_all', 'torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO'),
        ('resnet50', 'sentinel2_all[B4,B3]', 'torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO'),
        ('resnet50', 'sentinel1_grd', 'torchgeo:ResNet50_Weights.SENTINEL1_ALL_MOCO'),
        ('resnet152', 'sentinel2_all', 'torchgeo:ResNet152_Weights.SENTINEL2_SI_MS_SATLAS'),
        ('vit_base_patch16_224', 'sentinel1_grd', 'torchgeo:ViTBase16_Weights.SENTINEL1_GRD_MAE'),
        ('tf_efficientnet_b4', 'sentinel1_grd', 'timm:tf_efficientnet_b4'),
        ('convnext_tiny', 'sentinel2_all', 'timm:convnext_tiny'),
    ],
)
def test_defaults(architecture: str, sensor: str, name: str) -> None:
    assert default_prompts(architecture, sensor) == (name,)


def test_defaults_are_all_the_packaged_encoders_that_there_are() -> None:
    defaults = default_prompts('tf_efficientnet_b4', 'rgb')
    assert len(defaults) == 4
    assert set(defaults) == {n for n in list_prompts('tf_efficientnet_b4') if n.startswith('ukis')}
    assert defaults[0] == 'ukis:6b_l1c', 'its bands are the stem’s'


def test_list_prompts_can_all_be_resolved() -> None:
    names = list_prompts('resnet18') + list_prompts('tf_efficientnet_b4')
    assert 'torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO' in names
    assert 'timm:resnet18.a1_in1k' in names
    assert 'ukis:4b_l2a' in names
    assert names[-1] == 'random'
    for name in list_prompts('resnet18'):
        assert resolve_prompt(name, 'resnet18', S2, seed=0).name == name


def test_unknown_names() -> None:
    with pytest.raises(PromptError, match=r"unknown prompt 'radnom' .*did you mean 'random'"):
        resolve_prompt('radnom', 'resnet18', S2, seed=0)
    with pytest.raises(ArchitectureError, match="'resnet18'"):
        resolve_prompt('random', 'resnet8', S2, seed=0)


def test_prompts_pickle(tmp_path: Path) -> None:
    prompt = resolve_prompt('random', 'resnet18', S2, seed=4)
    copy = pickle.loads(pickle.dumps(prompt))
    assert copy == prompt
    assert copy.open().names() == prompt.open().names()


def test_check_fits_lets_only_the_stem_have_other_channels() -> None:
    source = StateDictSource({'conv1.weight': torch.zeros(8, 2, 3, 3), 'b': torch.zeros(4)})
    target = {
        'conv1.weight': TensorSpec((8, 13, 3, 3), torch.float32),
        'b': TensorSpec((4,), torch.float32),
    }
    check_fits(source, target, prompt='x', stem='conv1.weight')
    with pytest.raises(
        PromptError, match=r'\[8, 2, 3, 3\], the architecture wants \[8, 13, 3, 3\]'
    ):
        check_fits(source, target, prompt='x')
    target['conv1.weight'] = TensorSpec((9, 13, 3, 3), torch.float32)
    with pytest.raises(PromptError, match=r'conv1.weight'):
        check_fits(source, target, prompt='x', stem='conv1.weight')


def test_a_name_too_long_for_a_file_is_unknown() -> None:
    with pytest.raises(PromptError, match='unknown prompt'):
        resolve_prompt('x' * 5000, 'resnet18', SENSORS['rgb'], seed=0)
