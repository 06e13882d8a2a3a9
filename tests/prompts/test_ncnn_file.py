"""Networks of ncnn: what is read is what was written, computes what it should, and damage is told."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from torchgeo_geosane.alignment import groups_of_ncnn
from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.prompts.ncnn_file import open_ncnn, read_layers
from torchgeo_geosane.prompts.ncnn_network import NcnnNetwork
from torchgeo_geosane.prompts.shards import files_of
from torchgeo_geosane.prompts.weights_file import can_be_mapped, open_file

HALF, SINGLE, QUANTISED = 0x01306B47, 0x0002C056, 0x000D4B38
# A U-Net in small: squeeze-and-excitation, a skip that is cropped, and an image twice as large.
PARAM = """7767517
12 14
Input        in     0 1 image
Convolution  first  1 1 image a 0=6 1=3 5=1 6=162 9=2 -23310=1,1.000000e-01
Split        twice  1 2 a b c
Convolution  down   1 1 c d 0=6 1=4 3=2 5=1 6=576 9=1
Split        again  1 2 d e f
Pooling      mean   1 1 f g 0=1 4=1
InnerProduct less   1 1 g h 0=2 1=1 2=12 9=1
InnerProduct more   1 1 h i 0=6 1=1 2=12 9=4
Scale        se     2 1 e i j 0=-233
Deconvolution up    1 1 j k 0=6 1=2 3=2 5=1 6=144
Crop         crop   1 1 b l -23309=2,1,1 -23310=2,-1,-1 -23311=2,-2,-1
BinaryOp     add    2 1 l k m 0=0
Convolution  last   1 1 m n 0=12 1=1 5=0 6=72
PixelShuffle out    1 1 n o 0=2
"""
SHAPES = {
    'conv0.weight': (6, 3, 3, 3),
    'conv0.bias': (6,),
    'conv1.weight': (6, 6, 4, 4),
    'conv1.bias': (6,),
    'linear2.weight': (2, 6),
    'linear2.bias': (2,),
    'linear3.weight': (6, 2),
    'linear3.bias': (6,),
    'deconv4.weight': (6, 6, 2, 2),
    'deconv4.bias': (6,),
    'conv5.weight': (12, 6, 1, 1),
}


def values(flag: int = HALF) -> tuple[bytes, dict[str, torch.Tensor]]:
    """A file of values, and the tensors as they lie there: outputs first."""
    generator = np.random.default_rng(0)
    kind = np.float16 if flag == HALF else np.float32
    content, tensors = b'', {}
    for name, shape in SHAPES.items():
        is_weight = name.endswith('weight')
        array = generator.normal(size=shape).astype(kind if is_weight else np.float32)
        data = array.tobytes()
        content += (struct.pack('<I', flag) if is_weight else b'') + data + b'\0' * (-len(data) % 4)
        tensors[name] = torch.from_numpy(array)
    return content, tensors


def save(folder: Path, param: str = PARAM, content: bytes | None = None) -> Path:
    path = folder / 'net.param'
    path.write_text(param)
    path.with_suffix('.bin').write_bytes(values()[0] if content is None else content)
    return path


@pytest.mark.parametrize('flag', [HALF, SINGLE, 0])
def test_values_and_types(tmp_path: Path, flag: int) -> None:
    content, written = values(flag)
    path = save(tmp_path, content=content)
    source = open_file(path)
    assert source.names() == list(SHAPES)
    for name, tensor in written.items():
        wanted = tensor.transpose(0, 1) if name == 'deconv4.weight' else tensor
        assert source.read(name).equal(wanted)
    assert not can_be_mapped(path)
    assert files_of(path) == [path, tmp_path / 'net.bin']


def test_the_network_computes_what_its_layers_say(tmp_path: Path) -> None:
    path = save(tmp_path, content=values(SINGLE)[0])
    source = open_ncnn(path)
    tensors = {name: source.read(name) for name in source.names()}
    network = NcnnNetwork(read_layers(path))
    network.load_state_dict(tensors)
    image = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    t = tensors
    a = F.leaky_relu(F.conv2d(image, t['conv0.weight'], t['conv0.bias']), 0.1)
    d = F.conv2d(a, t['conv1.weight'], t['conv1.bias'], stride=2).relu()
    h = F.linear(d.mean((2, 3)), t['linear2.weight'], t['linear2.bias']).relu()
    i = F.linear(h, t['linear3.weight'], t['linear3.bias']).sigmoid()
    j = d * i[..., None, None]
    k = F.conv_transpose2d(j, t['deconv4.weight'], t['deconv4.bias'], stride=2)
    wanted = F.pixel_shuffle(F.conv2d(a[..., 1:-1, 1:-1] + k, t['conv5.weight']), 2)
    torch.testing.assert_close(network(image), wanted)


def test_its_groups_are_traced_and_proven(tmp_path: Path) -> None:
    groups = groups_of_ncnn(save(tmp_path))
    assert not groups.left_out
    moving = {name for name, _ in groups.by_axis}
    assert moving == set(SHAPES)
    # The skip couples what its two sides make.
    (skip,) = [group for group in groups.groups if ('conv0.weight', 0) in group.axes]
    assert ('deconv4.weight', 1) in skip.axes
    assert ('conv5.weight', 0) not in groups.by_axis


BAD = {
    'not the values of these layers': (PARAM, values()[0][:-8], "too short for 'conv5'"),
    'more values': (PARAM, values()[0] + b'\0' * 8, 'more than the layers have'),
    'quantised': (PARAM, values(QUANTISED)[0], 'quantised, or damaged'),
    'no values': (PARAM, b'', 'quantised, or damaged'),
    'another kind': (PARAM.replace('Pooling ', 'LSTM '), None, "kind that is not known: 'LSTM'"),
    'a size that lies': (PARAM.replace('6=162', '6=16200000000000'), None, 'too short for'),
    'no size at all': (PARAM.replace('6=162', '6=0'), None, 'a shape that cannot be'),
    'a size of no shape': (PARAM.replace('6=162', '6=163'), None, 'a shape that cannot be'),
    'endless': (PARAM.replace('6=162', '6=inf'), None, 'that is no number'),
    'no number': (PARAM.replace('6=162', '6=many'), None, 'cannot be read'),
    'no layer': (PARAM + 'rubbish\n', None, "no layer: 'rubbish'"),
    'no layers': ('7767517\n0 0\n', None, 'no list of the layers'),
}


@pytest.mark.parametrize('case', BAD)
def test_damage(tmp_path: Path, case: str) -> None:
    param, content, message = BAD[case]
    with pytest.raises(TokenError, match=message):
        open_ncnn(save(tmp_path, param, content))


def test_values_that_are_not_there(tmp_path: Path) -> None:
    path = save(tmp_path)
    path.with_suffix('.bin').unlink()
    with pytest.raises(TokenError, match=r'net\.bin.*no such file'):
        open_file(path)


def test_an_activation_that_is_not_known(tmp_path: Path) -> None:
    groups = groups_of_ncnn(save(tmp_path, PARAM.replace('9=1', '9=77')))
    assert groups.count == 0
    assert 'activation' in groups.left_out['']


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_is_always_a_token_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text, content = PARAM.encode(), values()[0]
    for which in data.draw(st.lists(st.booleans(), min_size=1, max_size=3)):
        whole = text if which else content
        start = data.draw(st.integers(8 if which else 0, len(whole)))
        stop = data.draw(st.integers(start, min(start + 9, len(whole))))
        whole = whole[:start] + data.draw(st.binary(max_size=9)) + whole[stop:]
        text, content = (whole, content) if which else (text, whole)
    path = tmp_path_factory.mktemp('ncnn') / 'net.param'
    path.write_bytes(text)
    path.with_suffix('.bin').write_bytes(content)
    try:
        source = open_ncnn(path)
    except TokenError:
        return
    assert all(source.read(name).shape == source.shape(name) for name in source.names())
