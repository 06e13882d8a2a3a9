"""Files as trainers and hubs leave them: which network is taken, what timm converts, how formats are told."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save_file
from torch import Tensor

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import GeoSANEError, PromptError
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.sensors import get_sensor

ARCHITECTURE = 'test_resnet'
RGB = get_sensor('rgb')


@pytest.fixture(scope='module')
def weights() -> dict[str, Tensor]:
    return get_architecture(ARCHITECTURE).initialise(seed=1)


@pytest.fixture(scope='module')
def others() -> dict[str, Tensor]:
    return get_architecture(ARCHITECTURE).initialise(seed=2)


def read(path: Path, architecture: str = ARCHITECTURE) -> dict[str, Tensor]:
    source = resolve_prompt(f'file:{path}', architecture, RGB, seed=0).open()
    return {name: source.read(name) for name in source.names()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    'keys', ['net', 'encoder', 'model.backbone', 'network.state_dict', 'a.b.c']
)
def test_containers_of_any_name(tmp_path: Path, weights: dict[str, Tensor], keys: str) -> None:
    content: Any = under('module.', weights)
    for key in reversed(keys.split('.')):
        content = {key: content, 'step': torch.tensor(3), 'optimizer': {'state': weights}}
    torch.save(content, tmp_path / 'x.pth')
    assert_equal(read(tmp_path / 'x.pth'), weights)


@pytest.mark.parametrize(
    ('taken', 'left'),
    [
        ('teacher', 'student'),
        ('model_ema', 'model'),
        ('state_dict_ema', 'state_dict'),
        ('ema', 'net'),
        ('target_encoder', 'encoder'),
        ('swa_model', 'model'),
    ],
)
@pytest.mark.parametrize('flat', [False, True])
def test_the_averaged_one_of_two(
    tmp_path: Path,
    weights: dict[str, Tensor],
    others: dict[str, Tensor],
    taken: str,
    left: str,
    flat: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / 'x.pth'
    if flat:
        content: Any = under(f'{left}.backbone.', others) | under(f'{taken}.', weights)
    else:
        content = {left: under('backbone.', others), taken: weights, 'epoch': 3}
    torch.save(content, path)
    with caplog.at_level(logging.WARNING):
        assert_equal(read(path), weights)
    assert f"'{taken}' is taken, the averaged weights; not taken: '{left}" in caplog.text
    prompt = resolve_prompt(f'file:{path}', ARCHITECTURE, RGB, seed=0)
    assert prompt.source == f"{path}, '{taken}'"


def test_a_teacher_of_another_architecture(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    teacher = get_architecture('resnet18').initialise(seed=1)
    torch.save({'teacher': teacher, 'student': weights}, tmp_path / 'x.pth')
    assert_equal(read(tmp_path / 'x.pth'), weights)


def test_an_average_without_buffers(
    tmp_path: Path, weights: dict[str, Tensor], others: dict[str, Tensor]
) -> None:
    average = {name: t for name, t in weights.items() if 'running' not in name}
    torch.save({'model': others, 'ema': average}, tmp_path / 'x.pth')
    assert_equal(read(tmp_path / 'x.pth'), {n: average.get(n, others[n]) for n in weights})
    prompt = resolve_prompt(f'file:{tmp_path / "x.pth"}', ARCHITECTURE, RGB, seed=0)
    assert prompt.source.endswith("'ema', what it lacks from 'model'")


def test_the_optimizer_is_no_network(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save({'optimizer_states': [weights], 'ema_optimizer': weights}, tmp_path / 'x.pth')
    with pytest.raises(PromptError, match='holds no tensor'):
        read(tmp_path / 'x.pth')


# Formats


def hub_cache(folder: Path, files: dict[str, bytes]) -> Path:
    """Files as the Hub's cache has them: links of the right names to blobs without."""
    blobs, snapshot = folder / 'models--a--b' / 'blobs', folder / 'models--a--b' / 'snapshots' / 'c'
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, (name, content) in enumerate(files.items()):
        (blobs / f'{number:064}').write_bytes(content)
        (snapshot / name).symlink_to(f'../../blobs/{number:064}')
    return snapshot


def shards(folder: Path, weights: dict[str, Tensor], suffix: str) -> dict[str, bytes]:
    names = list(weights)
    places, files = {}, {}
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        file = folder / f'model-0000{i}-of-00002.{suffix}'
        tensors = {name: weights[name] for name in part}
        save_file(tensors, file) if suffix == 'safetensors' else torch.save(tensors, file)
        places |= dict.fromkeys(part, file.name)
        files[file.name] = file.read_bytes()
    index = json.dumps({'metadata': {}, 'weight_map': places}, indent=1).encode()
    return {**files, f'model.{suffix}.index.json': index}


@pytest.mark.parametrize('suffix', ['safetensors', 'bin'])
def test_the_hubs_cache(tmp_path: Path, weights: dict[str, Tensor], suffix: str) -> None:
    files = shards(tmp_path, weights, suffix)
    snapshot = hub_cache(tmp_path / 'hub', files)
    assert_equal(read(snapshot / f'model.{suffix}.index.json'), weights)


@pytest.mark.parametrize('name', ['weights', 'x.safetensors', 'x.pth', 'x.onnx', 'x.index.json'])
@pytest.mark.parametrize('form', ['safetensors', 'torch', 'old torch'])
def test_formats_are_told_by_content(
    tmp_path: Path, weights: dict[str, Tensor], name: str, form: str
) -> None:
    path = tmp_path / name
    if form == 'safetensors':
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=form == 'torch')
    assert_equal(read(path), weights)
    (tmp_path / 'link').symlink_to(name)
    assert_equal(read(tmp_path / 'link'), weights)


def test_onnx_under_another_name(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    tensors = [numpy_helper.from_array(t.numpy(), name) for name, t in weights.items()]
    node = helper.make_node('Identity', ['x'], ['y'])
    graph = helper.make_graph([node], 'toy', [], [], initializer=tensors)
    (tmp_path / 'x.pth').write_bytes(helper.make_model(graph).SerializeToString())
    assert_equal(read(tmp_path / 'x.pth'), weights)


OTHERS = {
    'a web page': b'<!DOCTYPE html><html>',
    'Git LFS': b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n',
    'HDF5': b'\x89HDF\r\n\x1a\n',
    'GGUF': b'GGUF\x03',
    'gzip': b'\x1f\x8b\x08',
    'is empty': b'',
    'neither safetensors': b'hello',
    'no .weight_map.': b'{"a": 1}',
}


@pytest.mark.parametrize('what', OTHERS)
def test_what_it_is_instead_is_said(tmp_path: Path, what: str) -> None:
    (tmp_path / 'x.pth').write_bytes(OTHERS[what])
    with pytest.raises(PromptError, match=what):
        read(tmp_path / 'x.pth')


def test_a_tar_and_an_array(tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / 'x'), 'tar', tmp_path, '.')
    np.save(tmp_path / 'x.npy', np.zeros(3))
    for name, what in {'x.tar': 'tar archive', 'x.npy': 'NumPy'}.items():
        with pytest.raises(PromptError, match=what):
            read(tmp_path / name)


def test_special_files_and_odd_names(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'itself').symlink_to('itself')
    for name in [
        *(
            '/dev/zero',
            '',
            ' ',
            '/',
            '.',
            '~nobodyknown/x',
            '~\ud800',
            '\0',
            'a\ud800',
            'a' * 5000,
            '@',
            '@rgb',
        ),
        *(str(tmp_path / name) for name in ('', 'pipe', 'itself', 'gone', 'pipe/x', 'a\0')),
    ]:
        for prompt in (name, f'file:{name}', f'file:{name}@rgb', f'timm:{name}', f'ukis:{name}'):
            with pytest.raises(GeoSANEError):
                resolve_prompt(prompt, ARCHITECTURE, RGB, seed=0)


# What weights are made of


@pytest.mark.parametrize(
    'dtype', [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.complex64]
)
@pytest.mark.parametrize('form', ['safetensors', 'torch'])
def test_numbers_that_are_no_weights_are_named(
    tmp_path: Path, weights: dict[str, Tensor], dtype: torch.dtype, form: str
) -> None:
    odd = {n: t.to(dtype) if t.is_floating_point() else t for n, t in weights.items()}
    if form == 'safetensors' and dtype.is_complex:
        pytest.skip('not written by safetensors')
    save_file(odd, tmp_path / 'x') if form == 'safetensors' else torch.save(odd, tmp_path / 'x')
    with pytest.raises(PromptError, match=str(dtype)):
        read(tmp_path / 'x')


@pytest.mark.parametrize('name', ['conv1.0.weight', 'layer1.0.conv1.weight', 'bn1.bias'])
@pytest.mark.parametrize('kind', ['sparse', 'meta', 'scalar', 'nested'])
def test_tensors_that_are_none_are_named(
    tmp_path: Path, weights: dict[str, Tensor], name: str, kind: str
) -> None:
    odd = {
        'sparse': weights[name].to_sparse(),
        'meta': weights[name].to('meta'),
        'scalar': torch.tensor(1.0),
        'nested': torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
    }[kind]
    torch.save({**weights, name: odd}, tmp_path / 'x.pth')
    wanted = 'has 0 channels' if (name, kind) == ('conv1.0.weight', 'scalar') else name
    with pytest.raises(PromptError, match=wanted):
        read(tmp_path / 'x.pth')


# timm's own conversion


def test_another_image_size_is_resampled_as_timm_does(tmp_path: Path) -> None:
    architecture = 'test_vit'
    theirs = timm.create_model(architecture, img_size=96, num_classes=0)
    torch.save({'model': under('module.', theirs.state_dict())}, tmp_path / 'x.pth')
    found = read(tmp_path / 'x.pth', architecture)
    torch.save(theirs.state_dict(), tmp_path / 'plain.pth')
    overlay = {'file': str(tmp_path / 'plain.pth'), 'num_classes': 0}
    expected = timm.create_model(
        architecture, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay
    )
    assert_equal(found, dict(expected.state_dict()))
    prompt = resolve_prompt(f'file:{tmp_path / "x.pth"}', architecture, RGB, seed=0)
    assert f'converted by timm {timm.__version__}' in prompt.source


def test_names_of_another_version_of_timm(tmp_path: Path) -> None:
    architecture = 'swin_tiny_patch4_window7_224'
    weights = get_architecture(architecture).initialise(seed=0)
    old = {}
    for name, tensor in weights.items():
        parts = name.split('.')
        if parts[0] == 'layers' and parts[2] == 'downsample':
            parts[1] = str(int(parts[1]) - 1)  # Where it was until 2022.
        old['.'.join(parts)] = tensor
    save_file(old, tmp_path / 'x.safetensors')
    found = read(tmp_path / 'x.safetensors', architecture)
    for name, tensor in found.items():
        assert torch.equal(tensor, weights[name]), name
    assert len(found) == len(get_architecture(architecture).shapes)


def test_publishers_names(tmp_path: Path) -> None:
    """ConvNeXt as its authors name its tensors: not one is timm's."""
    architecture = 'test_convnext'
    weights = get_architecture(architecture).initialise(seed=0)
    theirs = {}
    for name, tensor in weights.items():
        new = name.replace('stem.', 'downsample_layers.0.').replace('.blocks.', '.')
        if '.downsample.' in new:
            stage = new.split('.')[1]
            new = new.replace(f'stages.{stage}.downsample', f'downsample_layers.{stage}')
        new = new.replace('conv_dw', 'dwconv').replace('mlp.fc', 'pwconv')
        theirs[new.replace('head.norm', 'norm')] = tensor
    assert theirs.keys() != weights.keys()
    torch.save({'model': theirs}, tmp_path / 'x.pth')
    found = read(tmp_path / 'x.pth', architecture)
    assert len(found) > 0.9 * len(weights)
    for name, tensor in found.items():
        assert torch.equal(tensor.reshape(-1), weights[name].reshape(-1)), name


def test_another_model_is_not_converted_into_this_one(tmp_path: Path) -> None:
    torch.save(get_architecture('test_vit').initialise(seed=0), tmp_path / 'x.pth')
    with pytest.raises(PromptError):
        read(tmp_path / 'x.pth', 'test_convnext')
