import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.prompts.onnx_file import open_onnx


def save(path: Path, *tensors: TensorProto) -> Path:
    node = helper.make_node('Identity', ['x'], ['y'])
    graph = helper.make_graph([node], 'toy', [], [], initializer=list(tensors))
    onnx.save(helper.make_model(graph), str(path))
    return path


def test_names_types_and_values(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        'half.weight': generator.normal(size=(5, 3, 2)).astype(np.float16),
        'weight': generator.normal(size=(4, 7)).astype(np.float32),
        'scalar': np.array(2.5, dtype=np.float32),
        'steps': np.array([1, -2], dtype=np.int64),
    }
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    source = open_onnx(save(tmp_path / 'm.onnx', *tensors))
    assert source.names() == list(arrays)
    for name, array in arrays.items():
        assert torch.equal(source.read(name), torch.from_numpy(array.copy()))


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    tensor = TensorProto(name='w', dims=[2], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value='../other')
    with pytest.raises(TokenError, match='in other files'):
        open_onnx(save(tmp_path / 'm.onnx', tensor))


def test_a_shape_that_lies_is_refused(tmp_path: Path) -> None:
    tensor = TensorProto(name='w', dims=[2, 1 << 40], data_type=TensorProto.FLOAT, raw_data=b'1234')
    with pytest.raises(TokenError, match="'w' cannot be read"):
        open_onnx(save(tmp_path / 'm.onnx', tensor))


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / 'm.onnx', numpy_helper.from_array(np.ones(2, np.float32), 'w'))
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(TokenError, match=r'pip install "torchgeo-geosane\[offline\]"'):
        open_onnx(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_always_a_token_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp('onnx') / 'm.onnx'
    whole = save(path, numpy_helper.from_array(np.ones((3, 4), np.float32), 'w')).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:start] + data.draw(st.binary(max_size=20)))
    try:
        source = open_onnx(path)
    except TokenError:
        return
    assert all(source.read(name).shape == source.shape(name) for name in source.names())
