"""TorchGeo's and timm's weights, with the download replaced by files where their caches look."""

import socket
from pathlib import Path
from typing import NoReturn

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import PromptError
from torchgeo_geosane.prompts import list_prompts, resolve_prompt
from torchgeo_geosane.prompts.hub import _ARCHITECTURES
from torchgeo_geosane.sensors import get_sensor

S2 = get_sensor('sentinel2_all')
MOCO = 'torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO'


@pytest.fixture(autouse=True)
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of our own, and a network that does not answer."""

    def no_network(*args: object, **kwargs: object) -> NoReturn:
        raise socket.gaierror(-2, 'Name or service not known')

    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hf'))
    monkeypatch.setattr(socket, 'getaddrinfo', no_network)
    monkeypatch.setattr(socket.socket, 'connect', no_network)
    # Not set_dir(): it cannot put back that none was set.
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))


@pytest.mark.parametrize(
    ('name', 'architecture', 'offline'),
    [
        (MOCO, 'resnet18', "'file:<path>'.*'random'"),
        ('timm:resnet18', 'resnet18', "'file:<path>'.*'random'"),
        ('timm:tf_efficientnet_b4', 'tf_efficientnet_b4', "'ukis:4b_l1c'.*'ukis:6b_l1c'.*'random'"),
    ],
)
def test_no_network_names_the_prompt_and_the_offline_ones(
    name: str, architecture: str, offline: str
) -> None:
    prompt = resolve_prompt(name, architecture, S2, seed=0)
    with pytest.raises(
        PromptError, match=f"prompt '{name}.*could not be fetched.*{offline}"
    ) as info:
        prompt.open()
    assert isinstance(info.value.__cause__, OSError)


def test_offline_mode_of_the_hub_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(PromptError, match='HF_HUB_OFFLINE is set'):
        resolve_prompt('timm:resnet18', 'resnet18', S2, seed=0).open()


def test_torchgeo_reads_the_hub_cache(tmp_path: Path) -> None:
    prompt = resolve_prompt(MOCO, 'resnet18', S2, seed=0)
    wanted = get_architecture('resnet18', 13).initialise(1)
    checkpoints = tmp_path / 'hub' / 'checkpoints'
    checkpoints.mkdir(parents=True)
    torch.save({**wanted, 'fc.weight': torch.zeros(2, 512)}, checkpoints / Path(prompt.source).name)
    source = prompt.open()
    assert source.names() == list(wanted)
    assert torch.equal(source.read('conv1.weight'), wanted['conv1.weight'])


def test_timm_reads_the_hub_cache_and_leaves_the_rng_alone(tmp_path: Path) -> None:
    wanted = timm.create_model('resnet18', pretrained=False).state_dict()
    repository = tmp_path / 'hf' / 'models--timm--resnet18.a1_in1k'
    snapshot = repository / 'snapshots' / 'abc'
    snapshot.mkdir(parents=True)
    (repository / 'refs').mkdir()
    (repository / 'refs' / 'main').write_text('abc')
    save_file(wanted, snapshot / 'model.safetensors')
    before = torch.get_rng_state()
    source = resolve_prompt('timm:resnet18', 'resnet18', S2, seed=0).open()
    assert torch.equal(before, torch.get_rng_state())
    assert set(source.names()) == set(wanted) - {'fc.weight', 'fc.bias'}
    assert torch.equal(source.read('conv1.weight'), wanted['conv1.weight'])


@pytest.mark.parametrize('architecture', sorted(set(_ARCHITECTURES.values())))
def test_every_torchgeo_prompt_is_described(architecture: str) -> None:
    names = [name for name in list_prompts(architecture) if name.startswith('torchgeo:')]
    assert names
    for name in names:
        prompt = resolve_prompt(name, architecture, S2, seed=0)
        assert prompt.name == name
        assert prompt.source.startswith('https://')
        assert prompt.fingerprint == prompt.source
        assert prompt.licence
        assert ('SENTINEL1' in name) == (prompt.sensor == 'sentinel1_grd')


def test_odd_stems_of_torchgeo() -> None:
    satlas = resolve_prompt(
        'torchgeo:ResNet152_Weights.SENTINEL2_SI_MS_SATLAS', 'resnet152', S2, seed=0
    )
    names = [band.name for band in satlas.bands]
    assert names == ['B4', 'B3', 'B2', 'B5', 'B6', 'B7', 'B8', 'B11', 'B12']
    assert satlas.sensor == 'sentinel2_all[B4,B3,B2,B5,B6,B7,B8,B11,B12]'
    index = resolve_prompt(
        'torchgeo:ResNet50_Weights.SENTINEL2_ALL_NDVI_SECO_ECO', 'resnet50', S2, seed=0
    ).bands[-1]
    assert (index.name, index.wavelength) == ('NDVI', None)
    aerial = resolve_prompt('torchgeo:ResNet50_Weights.FMOW_RGB_GASSL', 'resnet50', S2, seed=0)
    assert aerial.sensor == 'rgb'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (MOCO.replace('18', '50'), "is of 'resnet50' in TorchGeo; for 'resnet18'.*ResNet18"),
        (MOCO + 'X', f"is unknown to TorchGeo.*did you mean '{MOCO}'"),
        ('torchgeo:CROMABase_Weights.CROMA_VIT', 'is unknown to TorchGeo'),
        ('torchgeo:', 'is unknown to TorchGeo'),
        ('timm:resnet18.a1_in2k', "did you mean 'timm:resnet18.a1_in1k'"),
        ('timm:resnet50', "unknown prompt 'timm:resnet50' for 'resnet18'"),
        ('timm:nonsense', "unknown prompt 'timm:nonsense'"),
    ],
)
def test_wrong_names(name: str, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        resolve_prompt(name, 'resnet18', S2, seed=0)


def test_without_pretrained_weights() -> None:
    bare = next(
        name
        for name in timm.list_models('resnet*')
        if not timm.list_pretrained(f'{name}.*') and 'clip' not in name
    )
    with pytest.raises(PromptError, match=f'no pretrained weights of {bare!r}.*random'):
        resolve_prompt(f'timm:{bare}', bare, S2, seed=0)
