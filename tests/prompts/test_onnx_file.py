"""ONNX read without its library gives what the library gives."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.prompts.onnx_file import OnnxSource


def save(path: Path, *tensors: TensorProto) -> Path:
    node = helper.make_node('Identity', ['x'], ['y'])
    graph = helper.make_graph([node], 'toy', [], [], initializer=list(tensors))
    onnx.save(helper.make_model(graph), str(path))
    return path


def test_every_kind_of_storage(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = {
        'half.weight': generator.normal(size=(5, 3, 2)).astype(np.float16),
        'weight': generator.normal(size=(4, 7)).astype(np.float32),
        'double': generator.normal(size=3),
        'scalar': np.array(2.5, dtype=np.float32),
        'empty': np.zeros((0, 4), dtype=np.float32),
        'steps': np.array([1, -2], dtype=np.int64),
    }
    raw = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    packed = helper.make_tensor('packed', TensorProto.FLOAT, [2, 2], [1.0, 2.0, 3.0, 4.0])
    constants = helper.make_tensor('constants', TensorProto.INT64, [2], [1, 300])
    source = OnnxSource(save(tmp_path / 'm.onnx', *raw, packed, constants))
    assert source.names() == [*arrays, 'packed'], 'whole numbers one by one are no weights'
    assert source.read('packed').tolist() == [[1, 2], [3, 4]]
    for name, array in arrays.items():
        wanted = torch.from_numpy(array.copy())
        assert source.shape(name) == array.shape
        assert source.dtype(name) == wanted.dtype
        assert torch.equal(source.read(name), wanted)
    assert torch.equal(
        source.rows('half.weight', 1, 4),
        torch.from_numpy(arrays['half.weight'].copy()).reshape(5, 6)[1:4],
    )
    assert source.rows('scalar', 0, 1).tolist() == [[2.5]]


def test_real_file_as_the_library_reads_it() -> None:
    import importlib.util

    spec = importlib.util.find_spec('ukis_csmask')
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).with_name('model_4b_l1c.onnx')
    source = OnnxSource(path)
    stored = onnx.load(str(path)).graph.initializer
    assert source.names() == [tensor.name for tensor in stored]
    for tensor in stored[::40]:
        wanted = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        assert torch.equal(source.read(tensor.name), wanted)


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    tensor = TensorProto(name='w', dims=[2], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key='location', value='../other')
    with pytest.raises(TokenError, match='kept in other files'):
        OnnxSource(save(tmp_path / 'm.onnx', tensor))


def test_a_shape_that_lies_is_refused(tmp_path: Path) -> None:
    tensor = TensorProto(name='w', dims=[2, 1 << 40], data_type=TensorProto.FLOAT, raw_data=b'1234')
    with pytest.raises(TokenError, match="'w' has not the number of values"):
        OnnxSource(save(tmp_path / 'm.onnx', tensor))


def test_halves_one_by_one_are_refused_not_dropped(tmp_path: Path) -> None:
    tensor = helper.make_tensor('w', TensorProto.FLOAT16, [2], [1.0, 2.0])
    with pytest.raises(TokenError, match="'w' is not stored as a block"):
        OnnxSource(save(tmp_path / 'm.onnx', tensor))


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
        source = OnnxSource(path)
    except TokenError:
        return
    assert all(source.read(name).shape == source.shape(name) for name in source.names())
