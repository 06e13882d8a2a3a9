import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import PromptError, SensorError
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.sensors import get_sensor

ARCHITECTURE = 'resnet18'
SENSOR = get_sensor('sentinel1_grd')
PREFIXES = [
    '',
    'module.',
    'model.',
    '_orig_mod.',
    'backbone.',
    'model.backbone.model.',
    'encoder.',
    'module.anything_else.',
]


@pytest.fixture(scope='module')
def weights() -> dict[str, Tensor]:
    return get_architecture(ARCHITECTURE, 2).initialise(3)


def prefixed(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights.items()}


def read(path: Path | str) -> dict[str, Tensor]:
    source = resolve_prompt(str(path), ARCHITECTURE, SENSOR, seed=0).open()
    return {name: source.read(name) for name in source.names()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize('prefix', PREFIXES)
def test_prefixes(tmp_path: Path, weights: dict[str, Tensor], prefix: str) -> None:
    head = {f'{prefix}fc.weight': torch.zeros(4, 512), 'decoder.conv1.weight': torch.zeros(1)}
    save_file({**prefixed(weights, prefix), **head}, tmp_path / 'x.safetensors')
    assert_equal(read(f'file:{tmp_path / "x.safetensors"}'), weights)


@pytest.mark.parametrize('suffix', ['.pth', '.pt', '.ckpt'])
@pytest.mark.parametrize('container', [None, 'state_dict', 'model'])
@pytest.mark.parametrize('zipped', [True, False])
def test_checkpoints(
    tmp_path: Path, weights: dict[str, Tensor], suffix: str, container: str | None, zipped: bool
) -> None:
    path = tmp_path / f'x{suffix}'
    saved: dict[str, Any] = prefixed(weights, 'model.') if container else weights
    if container:
        saved = {'epoch': 3, 'hyper_parameters': {'model': 'resnet18'}, container: saved}
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    assert_equal(read(path), weights)


def test_the_prompt_is_described(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    path = tmp_path / 'x.safetensors'
    save_file(weights, path)
    prompt = resolve_prompt(str(path), ARCHITECTURE, SENSOR, seed=0)
    assert prompt.name == f'file:{path}'
    assert prompt.fingerprint == f'sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}'
    assert prompt.bands == SENSOR.bands
    assert 'unknown' in prompt.licence


def test_missing_file() -> None:
    with pytest.raises(PromptError, match=r"'/nowhere/x.pth' does not exist"):
        resolve_prompt('file:/nowhere/x.pth', ARCHITECTURE, SENSOR, seed=0)


def test_a_file_may_say_what_it_sees(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    file = tmp_path / 'a@b.safetensors'
    save_file(weights, file)
    wanted = get_sensor('sentinel2_all')
    prompt = resolve_prompt(f'file:{file}@sentinel1_grd', ARCHITECTURE, wanted, seed=0)
    assert prompt.sensor == 'sentinel1_grd'
    assert prompt.name == f'file:{file}@sentinel1_grd'
    again = resolve_prompt(prompt.name, ARCHITECTURE, wanted, seed=0)
    assert again == prompt
    some = resolve_prompt(f'file:{file}@sentinel2_all[B4,B3]', ARCHITECTURE, wanted, seed=0)
    assert [band.name for band in some.bands] == ['B4', 'B3']
    with pytest.raises(SensorError, match="unknown sensor 'sentinel1'"):
        resolve_prompt(f'file:{file}@sentinel1', ARCHITECTURE, wanted, seed=0)


def test_other_channels_name_the_sensors(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file(weights, tmp_path / 'x.safetensors')
    with pytest.raises(
        PromptError, match=r'has 2 channels, but .*13 bands. .*@SENSOR; .*: sentinel1_grd$'
    ):
        resolve_prompt(
            str(tmp_path / 'x.safetensors'), ARCHITECTURE, get_sensor('sentinel2_all'), seed=0
        )


def test_without_a_stem(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file({k: v for k, v in weights.items() if k != 'conv1.weight'}, tmp_path / 'x.safetensors')
    with pytest.raises(PromptError, match=r"no stem 'conv1.weight'"):
        read(tmp_path / 'x.safetensors')


@pytest.mark.parametrize(
    ('saved', 'message'),
    [
        ({}, 'it has no tensors'),
        ({'a': 1, 'b': 'text'}, 'it has no tensors'),
        ([1, 2], 'it has no tensors'),
        ({'state_dict': {'nonsense': torch.zeros(1)}}, 'it has nonsense'),
    ],
)
def test_absurd_content(tmp_path: Path, saved: object, message: str) -> None:
    torch.save(saved, tmp_path / 'x.pth')
    with pytest.raises(PromptError, match=message):
        read(tmp_path / 'x.pth')


def test_first_mismatch_is_named_with_both_shapes(
    tmp_path: Path, weights: dict[str, Tensor]
) -> None:
    wrong = torch.zeros(7, 64, 3, 3)
    save_file({**weights, 'layer1.0.conv1.weight': wrong}, tmp_path / 'x.safetensors')
    with pytest.raises(
        PromptError, match=r"'layer1.0.conv1.weight' has shape \[7, 64, 3, 3\].*\[64, 64, 3, 3\]"
    ):
        read(tmp_path / 'x.safetensors')


def test_whole_numbers_are_not_weights(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    quantised = {**weights, 'bn1.weight': weights['bn1.weight'].to(torch.int8)}
    save_file(quantised, tmp_path / 'x.safetensors')
    with pytest.raises(PromptError, match=r"'bn1.weight' is torch.int8, .*torch.float32"):
        read(tmp_path / 'x.safetensors')


def test_another_model_is_recognised(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    few = {name: weights[name] for name in ('conv1.weight', 'bn1.weight')}
    save_file(few, tmp_path / 'x.safetensors')
    wanted = len(get_architecture(ARCHITECTURE, 2).shapes)
    with pytest.raises(PromptError, match=f'only 2 of the {wanted} tensors'):
        read(tmp_path / 'x.safetensors')


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ['ATTACKED'],)


@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.setenv('ATTACKED', str(tmp_path / 'attacked'))
    path = tmp_path / 'x.pth'
    torch.save({'state_dict': Attack()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(PromptError, match='code in a file is never run'):
        read(path)
    assert not (tmp_path / 'attacked').exists()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('content', [b'', b'nonsense', pickle.dumps({'a': 1}), b'PK\x03\x04' * 9])
def test_damaged_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f'x{suffix}'
    path.write_bytes(content)
    with pytest.raises(PromptError, match=str(path)):
        read(path)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_truncated_files(tmp_path: Path, weights: dict[str, Tensor], suffix: str) -> None:
    path = tmp_path / f'x{suffix}'
    save_file(weights, path) if suffix == '.safetensors' else torch.save(weights, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(PromptError, match=str(path)):
        read(path)
