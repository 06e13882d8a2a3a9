"""Networks of TensorFlow Lite compute what TensorFlow Lite does, and say what may move."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from lite import RELU, RELU6, SAME, VALID, Lite

from torchgeo_geosane.alignment import groups_of_tflite
from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.packages import PackageError, locate
from torchgeo_geosane.packages.table import OBJECTRON
from torchgeo_geosane.prompts.tflite_file import open_tflite, read_graph
from torchgeo_geosane.prompts.tflite_network import TfliteNetwork

Array = npt.NDArray[np.float32]


def draw(*shape: int) -> Array:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def save(folder: Path, lite: Lite, image: int, *outputs: int) -> Path:
    path = folder / 'net.tflite'
    path.write_bytes(lite.written([image], list(outputs)))
    return path


def run(path: Path, image: Array) -> Array:
    """A network's output; images have channels last."""
    source = open_tflite(path)
    network = TfliteNetwork(read_graph(path))
    network.load_state_dict({name: source.read(name) for name in source.names()})
    with torch.inference_mode():
        found = network(torch.from_numpy(image).permute(0, 3, 1, 2))
    return (found.permute(0, 2, 3, 1) if found.ndim == 4 else found).numpy()


def convolved(image: Array, kernel: Array, padding: int, stride: int, dilation: int) -> Array:
    """As the documentation of TensorFlow says it, pixel by pixel; kernel ``[out, h, w, in]``."""
    _, *sizes, _ = image.shape
    reach = [(size - 1) * dilation + 1 for size in kernel.shape[1:3]]
    if padding == SAME:
        counts = [-(-size // stride) for size in sizes]
        added = [
            max((count - 1) * stride + own - size, 0)
            for count, own, size in zip(counts, reach, sizes, strict=True)
        ]
        image = np.pad(image, [(0, 0), *((each // 2, each - each // 2) for each in added), (0, 0)])
    else:
        counts = [(size - own) // stride + 1 for size, own in zip(sizes, reach, strict=True)]
    out = np.zeros((1, *counts, len(kernel)), np.float32)
    for y, x in np.ndindex(*counts):
        top, left = y * stride, x * stride
        patch = image[0, top : top + reach[0] : dilation, left : left + reach[1] : dilation]
        out[0, y, x] = np.einsum('hwi,ohwi->o', patch, kernel)
    return out


@pytest.mark.parametrize('dilation', [1, 2])
@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('padding', [SAME, VALID])
@pytest.mark.parametrize('size', [(8, 9), (11, 6)])
def test_convolutions(
    tmp_path: Path, size: tuple[int, int], padding: int, stride: int, dilation: int
) -> None:
    """Of odd and even sizes: what TensorFlow adds to a border is not the same on both sides."""
    lite, kernel, bias, image = Lite(), draw(5, 3, 2, 4), draw(5), draw(1, *size, 4)
    wanted = convolved(image, kernel, padding, stride, dilation) + bias
    options = {'Padding': padding, 'StrideH': stride, 'StrideW': stride}
    options |= {'DilationHFactor': dilation, 'DilationWFactor': dilation}
    start = lite.image(1, *size, 4)
    given = [start, lite.constant(kernel), lite.constant(bias)]
    blob = lite.run('CONV_2D', given, wanted.shape, **options)
    np.testing.assert_allclose(run(save(tmp_path, lite, start, blob), image), wanted, atol=1e-5)


def test_depthwise_convolutions(tmp_path: Path) -> None:
    """Twice as many outputs as inputs, of which each sees one."""
    lite, kernel, image = Lite(), draw(1, 3, 3, 8), draw(1, 7, 6, 4)
    whole = np.zeros((8, 3, 3, 4), np.float32)
    for channel in range(8):
        whole[channel, ..., channel // 2] = kernel[0, ..., channel]
    wanted = np.clip(convolved(image, whole, SAME, 2, 1), 0, 6)
    start = lite.image(1, 7, 6, 4)
    options = {'Padding': SAME, 'StrideH': 2, 'StrideW': 2, 'FusedActivationFunction': RELU6}
    given = [start, lite.constant(kernel)]
    blob = lite.run('DEPTHWISE_CONV_2D', given, wanted.shape, DepthMultiplier=2, **options)
    np.testing.assert_allclose(run(save(tmp_path, lite, start, blob), image), wanted, atol=1e-5)


def block(channels: int = 8) -> tuple[Lite, int, list[int]]:
    """A block with a skip, a mean, and two heads of which one is a probability."""
    lite = Lite()
    start = lite.image(1, 6, 6, 3)
    same = {'Padding': SAME, 'StrideH': 1, 'StrideW': 1}
    shape = (1, 6, 6, channels)
    first = lite.run(
        'CONV_2D',
        [start, lite.half(draw(channels, 1, 1, 3)), lite.half(draw(channels))],
        shape,
        **same,
    )
    deep = lite.constant(draw(1, 3, 3, channels))
    blob = lite.run('DEPTHWISE_CONV_2D', [first, deep], shape, FusedActivationFunction=1, **same)
    blob = lite.run('CONV_2D', [blob, lite.constant(draw(channels, 1, 1, channels))], shape, **same)
    blob = lite.run('ADD', [blob, first], shape, FusedActivationFunction=RELU)
    axes = lite.constant(np.array([1, 2], np.int32))
    blob = lite.run('MEAN', [blob, axes], (1, channels))
    box = lite.run('FULLY_CONNECTED', [blob, lite.constant(draw(4, channels))], (1, 4))
    score = lite.run('FULLY_CONNECTED', [blob, lite.constant(draw(1, channels))], (1, 1))
    return lite, start, [box, lite.run('LOGISTIC', [score], (1, 1))]


def test_a_block_and_two_heads(tmp_path: Path) -> None:
    lite, start, ends = block()
    path, image = save(tmp_path, lite, start, *ends), draw(1, 6, 6, 3)
    source = open_tflite(path)
    k0, b0, k1, k2, box, score = (source.read(name).float().numpy() for name in source.names())
    first = convolved(image, k0.transpose(0, 2, 3, 1), SAME, 1, 1) + b0
    deep = np.zeros((8, 3, 3, 8), np.float32)
    deep[range(8), ..., range(8)] = k1[:, 0]
    blob = np.maximum(convolved(first, deep, SAME, 1, 1), 0)
    blob = convolved(blob, k2.transpose(0, 2, 3, 1), SAME, 1, 1)
    mean = np.maximum(blob + first, 0).mean((1, 2))
    wanted = np.concatenate([mean @ box.T, 1 / (1 + np.exp(-mean @ score.T))], 1)
    np.testing.assert_allclose(run(path, image), wanted, atol=1e-5)


def test_its_groups_are_traced_and_proven(tmp_path: Path) -> None:
    lite, start, ends = block()
    groups = groups_of_tflite(save(tmp_path, lite, start, *ends))
    assert not groups.left_out
    # One stream of eight channels; what it gives keeps its order.
    (stream,) = groups.groups
    assert stream.count == 8
    assert {('conv0.bias', 0), ('conv1.weight', 0), ('conv2.weight', 1), ('linear4.weight', 1)} <= {
        *stream.axes
    }
    assert not {('linear3.weight', 0), ('linear4.weight', 0)} & {*groups.by_axis}


def listed(size: int) -> tuple[Lite, int, list[int]]:
    """Pixels with a border as one list: the network is of one size of image."""
    lite = Lite()
    start = lite.image(1, size, size, 3)
    border = np.array([[0, 0], [1, 0], [0, 2], [0, 0]], np.int32)
    blob = lite.run('PAD', [start, lite.constant(border)], (1, size + 1, size + 2, 3))
    options = {'Padding': VALID, 'StrideH': 2, 'StrideW': 2}
    kernel, count = lite.constant(draw(6, 2, 2, 3)), (size + 1) // 2
    blob = lite.run('CONV_2D', [blob, kernel], (1, count, count + 1, 6), **options)
    values = count * (count + 1) * 6
    target = lite.constant(np.array([-1, values], np.int32))
    blob = lite.run('RESHAPE', [blob, target], (1, values))
    for outputs in (5, 2):
        matrix = lite.constant(draw(outputs, values))
        blob, values = lite.run('FULLY_CONNECTED', [blob, matrix], (1, outputs)), outputs
    return lite, start, [blob]


def test_borders_and_lists_of_pixels(tmp_path: Path) -> None:
    lite, start, ends = listed(4)
    path, image = save(tmp_path, lite, start, *ends), draw(1, 4, 4, 3)
    source = open_tflite(path)
    kernel, one, other = (source.read(name).numpy() for name in source.names())
    padded = np.pad(image, [(0, 0), (1, 0), (0, 2), (0, 0)])
    flat = convolved(padded, kernel.transpose(0, 2, 3, 1), VALID, 2, 1).reshape(1, -1)
    np.testing.assert_allclose(run(path, image), flat @ one.T @ other.T, atol=1e-4)
    assert ('linear1.weight', 0) in groups_of_tflite(path).by_axis


def changed(kind: str, **options: int) -> tuple[Lite, int, list[int]]:
    lite, start, ends = block()
    lite.operators = [
        (each[0], each[1], each[2], each[3] | options) if each[0] == kind else each
        for each in lite.operators
    ]
    return lite, start, ends


def bare() -> tuple[Lite, int, list[int]]:
    lite, start, ends = block()
    lite.operators = [(kind, given, made, {}) for kind, given, made, _ in lite.operators]
    return lite, start, ends


def another(kind: str) -> tuple[Lite, int, list[int]]:
    lite, start, (box, _) = block()
    return lite, start, [lite.run(kind, [box], (1, 4))]


def shared(stride: int, bias: bool) -> tuple[Lite, int, list[int]]:
    """Two layers of one kernel."""
    lite = Lite()
    blob = start = lite.image(1, 8, 8, 4)
    kernel = lite.constant(draw(4, 1, 1, 4))
    for number, each in enumerate((1, stride)):
        values = [lite.constant(draw(4) + number)] if bias else []
        options = {'Padding': SAME, 'StrideH': each, 'StrideW': each}
        blob = lite.run('CONV_2D', [blob, kernel, *values], (1, 8, 8, 4), **options)
    return lite, start, [blob]


UNKNOWN = {
    'a kind': (another('SOFTMAX'), "kind that is not known: 'SOFTMAX'"),
    'an activation': (
        changed('ADD', FusedActivationFunction=4),
        'activation of .ADD. is not known',
    ),
    'a padding': (changed('CONV_2D', Padding=2), 'padding of .conv0.weight. is not known'),
    'no options': (bare(), 'padding of .conv0.weight. is not known'),
    'no stride': (changed('CONV_2D', StrideH=0), "'conv0.weight' does not fit .* or has no stride"),
    'another stride of one kernel': (shared(2, False), "'conv0' lies in layers that differ"),
    'two biases of one kernel': (shared(1, True), "'conv1.bias' lies in layers that differ"),
}


@pytest.mark.parametrize('case', UNKNOWN)
def test_what_is_not_known_is_not_run(tmp_path: Path, case: str) -> None:
    """Its tensors are there, and stay in their order."""
    (lite, start, ends), message = UNKNOWN[case]
    path = save(tmp_path, lite, start, *ends)
    assert open_tflite(path).names()
    with pytest.raises(TokenError, match=message):
        TfliteNetwork(read_graph(path))
    groups = groups_of_tflite(path)
    assert groups.count == 0
    assert 'cannot be run' in groups.left_out['']


def test_two_layers_of_one_kernel(tmp_path: Path) -> None:
    lite, start, ends = shared(1, False)
    path, image = save(tmp_path, lite, start, *ends), draw(1, 8, 8, 4)
    kernel = draw(4, 1, 1, 4)
    wanted = convolved(convolved(image, kernel, SAME, 1, 1), kernel, SAME, 1, 1)
    np.testing.assert_allclose(run(path, image), wanted, atol=1e-5)


def test_more_than_the_memory_is_not_asked_for(tmp_path: Path) -> None:
    lite, start, ends = listed(4)
    border = np.array([[0, 0], [1 << 20, 0], [0, 1 << 20], [0, 0]], np.int32)
    lite.buffers[1] = border.tobytes()
    groups = groups_of_tflite(save(tmp_path, lite, start, *ends))
    assert 'values of one image' in groups.left_out['']


# What TensorFlow Lite itself (ai-edge-litert 2.3.0) gives for one image: three numbers and the score.
OBJECTS = {
    'camera': (115.900, 108.993, 143.205, 0.000),
    'chair': (111.005, 112.877, 78.059, 0.123),
    'cup': (113.994, 116.931, 156.328, 0.000),
    'sneakers': (111.003, 115.038, 124.591, 0.497),
}


@pytest.mark.parametrize('name', OBJECTS)
def test_the_packaged_networks(name: str) -> None:
    try:
        path = locate(OBJECTRON.name, OBJECTRON.version, OBJECTRON.files[name][0])
    except PackageError as error:
        pytest.skip(str(error))
    image = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    found = run(path, image)[0]
    np.testing.assert_allclose(found[[0, 1, 2, -1]], OBJECTS[name], atol=1e-3)
    groups = groups_of_tflite(path)
    assert not groups.left_out
    assert (len(groups.groups), groups.count) == (22, 9384)
