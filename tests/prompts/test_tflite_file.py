"""Files of TensorFlow Lite: what is read is what was written, in torch's layout, and damage is told."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lite import RELU, RELU6, SAME, Lite

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.prompts.tflite_file import open_tflite, read_graph
from torchgeo_geosane.prompts.weights_file import can_be_mapped, open_file

RNG = np.random.default_rng(0)
KERNEL, BIAS = RNG.normal(size=(6, 3, 2, 3)).astype('f2'), RNG.normal(size=6).astype('f2')
DEEP = RNG.normal(size=(1, 3, 3, 6)).astype('f4')
MATRIX = RNG.normal(size=(4, 6)).astype('f4')
SLOPES = RNG.normal(size=(1, 1, 6)).astype('f4')


def network(matrix: np.ndarray = MATRIX, bias: np.ndarray = BIAS) -> tuple[Lite, int, int]:
    """One of each layer, and a layer of a kind that is none; what it is given, and what it gives."""
    lite = Lite()
    image = lite.image(1, 8, 8, 3)
    kernel, values = lite.half(KERNEL), lite.half(bias)
    options = {'Padding': SAME, 'StrideH': 2, 'StrideW': 2, 'FusedActivationFunction': RELU6}
    blob = lite.run('CONV_2D', [image, kernel, values], (1, 4, 4, 6), **options)
    blob = lite.run('PRELU', [blob, lite.constant(SLOPES)], (1, 4, 4, 6))
    deep = {'Padding': SAME, 'StrideH': 1, 'StrideW': 1, 'FusedActivationFunction': RELU}
    given_ = [blob, lite.constant(DEEP)]
    blob = lite.run('DEPTHWISE_CONV_2D', given_, (1, 4, 4, 6), DepthMultiplier=1, **deep)
    axes = lite.constant(np.array([1, 2], np.int32))
    blob = lite.run('MEAN', [blob, axes], (1, 6))
    return lite, image, lite.run('FULLY_CONNECTED', [blob, lite.constant(matrix), -1], (1, 4))


def save(folder: Path, lite: Lite, *ends: int, **options) -> Path:
    path = folder / 'net.tflite'
    path.write_bytes(lite.written([ends[0]], [ends[1]], **options))
    return path


def test_names_types_and_values(tmp_path: Path) -> None:
    path = save(tmp_path, *network())
    source = open_file(path)
    wanted = {
        'conv0.weight': torch.from_numpy(KERNEL).permute(0, 3, 1, 2),
        'conv0.bias': torch.from_numpy(BIAS),
        'prelu1.1': torch.from_numpy(SLOPES),
        'conv2.weight': torch.from_numpy(DEEP)[0].permute(2, 0, 1)[:, None],
        'linear3.weight': torch.from_numpy(MATRIX),
    }
    assert source.names() == list(wanted)
    for name, tensor in wanted.items():
        assert source.read(name).equal(tensor)
        assert source.shape(name) == tensor.shape
        assert source.dtype(name) == tensor.dtype
        assert source.rows(name, 1, 3).equal(
            tensor.flatten(1)[1:3] if tensor.ndim > 1 else tensor[1:3, None]
        )
    assert not can_be_mapped(path)


def test_what_operators_say(tmp_path: Path) -> None:
    graph = read_graph(save(tmp_path, *network()))
    kinds = ['CONV_2D', 'PRELU', 'DEPTHWISE_CONV_2D', 'MEAN', 'FULLY_CONNECTED']
    assert [operator.kind for operator in graph.operators] == kinds
    first, *_, mean, last = graph.operators
    assert (first.weight, first.bias, first.shape) == ('conv0.weight', 'conv0.bias', (6, 3, 3, 2))
    assert first.options.stride == (2, 2)
    assert first.options.activation == RELU6
    assert mean.numbers == (1, 2)
    assert (last.weight, last.bias) == ('linear3.weight', '')
    assert graph.shapes == ((1, 8, 8, 3),)
    # What has other values is the same network.
    assert hash(read_graph(save(tmp_path, *network(2 * MATRIX)))) == hash(graph)


def test_a_buffer_of_two_operators_is_one_tensor(tmp_path: Path) -> None:
    lite = Lite()
    blob = start = lite.image(1, 4)
    matrix = lite.constant(np.eye(4, dtype='f4'))
    for number in (matrix, lite.same(matrix), lite.constant(np.eye(4, dtype='f4'))):
        blob = lite.run('FULLY_CONNECTED', [blob, number], (1, 4))
    path = save(tmp_path, lite, start, blob)
    assert open_tflite(path).names() == ['linear0.weight', 'linear1.weight']
    named = [operator.weight for operator in read_graph(path).operators]
    assert named == ['linear0.weight', 'linear0.weight', 'linear1.weight']


def test_quantised_weights_are_what_they_are(tmp_path: Path) -> None:
    """A collection leaves them out, as any whole numbers."""
    source = open_tflite(save(tmp_path, *network(np.ones((4, 6), np.int8))))
    assert source.dtype('linear3.weight') == torch.int8


def wrong_type() -> tuple[Lite, int, int]:
    lite, *ends = network()
    shape, _, buffer = lite.tensors[-2]
    lite.tensors[-2] = (shape, 17, buffer)  # Four bits.
    return lite, *ends


def wrong_shape(*shape: int) -> tuple[Lite, int, int]:
    lite, *ends = network()
    _, kind, buffer = lite.tensors[-2]
    lite.tensors[-2] = (shape, kind, buffer)
    return lite, *ends


BAD = {
    'several graphs': (network(), {'graphs': 2}, 'several graphs'),
    'no graph': (network(), {'graphs': 0}, 'several graphs of operators, or none'),
    'sparse': (network(), {'sparse': True}, 'sparse'),
    'a type torch lacks': (wrong_type(), {}, 'a type that torch lacks'),
    'a shape that lies': (wrong_shape(4, 1 << 30), {}, 'not the values that its shape'),
    'fewer than no values': (wrong_shape(-4, -6), {}, 'not the values that its shape'),
    'no values': (wrong_shape(4, 0), {}, 'a shape that cannot be'),
    'no matrix': (wrong_shape(4, 3, 2), {}, 'a shape that cannot be'),
    'a bias of others': (network(bias=BIAS[:5]), {}, 'a bias of another shape'),
}


@pytest.mark.parametrize('case', BAD)
def test_damage(tmp_path: Path, case: str) -> None:
    built, options, message = BAD[case]
    with pytest.raises(TokenError, match=rf'net\.tflite.*{message}'):
        open_tflite(save(tmp_path, *built, **options))


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, *network())
    monkeypatch.setitem(sys.modules, 'tflite', None)
    with pytest.raises(TokenError, match=r'pip install "torchgeo-geosane\[collection\]"'):
        open_file(path)


def opened(path: Path) -> None:
    try:
        source = open_tflite(path)
    except TokenError:
        return
    assert all(source.read(name).shape == source.shape(name) for name in source.names())


def test_truncation_is_always_a_token_error(tmp_path: Path) -> None:
    path = save(tmp_path, *network())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        opened(path)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_damage_is_always_a_token_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = save(tmp_path_factory.mktemp('tflite'), *network())
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(whole)))
        whole[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path.write_bytes(whole)
    opened(path)
