"""Networks of ncnn as tensor sources: ``NAME.param``, the layers as text, and ``NAME.bin``, their values.

The text says how many values each layer has, so that everything is checked against the size of the
other file before any of it is read. Nothing is run. Layers are called by kind and order: their own
names are those of blobs, which another export of the same network calls otherwise.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import ContentError, PlainFile, printable, read_text, telling
from torchgeo_geosane.foundry.source import StateDictSource

MAGIC = b'7767517'
# What the layers with values are called.
NAMES = {
    'Convolution': 'conv',
    'ConvolutionDepthWise': 'conv',
    'Deconvolution': 'deconv',
    'InnerProduct': 'linear',
}
# Layers without values, as far as U-Nets of images have them.
_WITHOUT = frozenset({'Input', 'Split', 'Pooling', 'Crop', 'BinaryOp', 'Eltwise', 'PixelShuffle'})
# What the values of a weight begin with, and how they are stored; a bias has no such beginning.
_STORED = {0: torch.float32, 0x0002C056: torch.float32, 0x01306B47: torch.float16}
# Lists of numbers are parameters -23300, -23301 and so on: their length, and what is in them.
_LISTS = 23300


@dataclass(frozen=True)
class Layer:
    """One line of a ``.param`` file.

    Attributes:
        kind: What it does, e.g. ``Convolution``.
        name: What it is called here; empty where it has no values.
        inputs: The blobs it reads.
        outputs: The blobs it writes.
        numbers: Its parameters by number, as ncnn documents them for each kind.
        lists: Those that are lists.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[int, float]
    lists: Mapping[int, tuple[float, ...]]

    def size(self, key: int, default: int = 0) -> int:
        """A parameter that is a whole number."""
        return int(self.numbers.get(key, default))

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of a convolution's kernel."""
        width = self.size(1)
        return self.size(11, width), width

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its tensors as they lie in the file: of every convolution outputs first.

        Raises:
            ContentError: If there is no such layer.
        """
        if not self.name:
            return {}
        linear = self.kind == 'InnerProduct'
        kernel = () if linear else self.kernel
        outputs, values, bias = (
            self.size(0),
            self.size(2 if linear else 6),
            self.size(1 if linear else 5),
        )
        size = outputs * math.prod(kernel)
        if min(outputs, values, *kernel) < 1 or values % size:
            raise ContentError(f'layer {self.name!r} has a shape that cannot be')
        shapes = {'weight': (outputs, values // size, *kernel)}
        return shapes | {'bias': (outputs,)} if bias else shapes


def open_ncnn(path: Path) -> StateDictSource:
    """The weights and biases of a network, in its order; kernels in torch's layout.

    Args:
        path: The file ``NAME.param``; ``NAME.bin`` lies beside it.

    Raises:
        TokenError: If a file is missing or damaged, the two do not belong together, or a layer is
            quantised or of a kind that is not known.
    """
    layers = read_layers(path)
    values = values_of(path)
    with telling(TokenError, f'{printable(values)} cannot be read'):
        return StateDictSource(dict(_read(layers, PlainFile(values))))


def values_of(path: Path) -> Path:
    """The file with the values, beside the one with the layers."""
    return path.with_suffix('.bin')


def read_layers(path: Path) -> list[Layer]:
    """The layers of a network, in the order in which they run.

    Raises:
        TokenError: If the file is missing or damaged, or a layer of a kind that is not known.
    """
    with telling(TokenError, f'{printable(path)} cannot be read'):
        return parse_layers(read_text(path))


def parse_layers(text: str) -> list[Layer]:
    """The layers that the text of a ``.param`` file lists.

    Raises:
        TokenError: If it is none, or has a layer of a kind that is not known; ValueError if a
            parameter is no number.
    """
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 3 or lines[0] != [MAGIC.decode()]:
        raise ContentError('it is no list of the layers of a network of ncnn')
    layers: list[Layer] = []
    number = 0
    for line in lines[2:]:
        layers.append(_layer(line, number))
        number += bool(layers[-1].name)
    return layers


def _layer(words: list[str], number: int) -> Layer:
    kind = words[0]
    counts = words[2:4]
    if len(counts) < 2 or not all(each.isdecimal() and len(each) < 4 for each in counts):
        raise ContentError(f'a line is no layer: {" ".join(words)[:60]!r}')
    inputs, outputs = map(int, counts)
    blobs, rest = words[4 : 4 + inputs + outputs], words[4 + inputs + outputs :]
    numbers: dict[int, float] = {}
    lists: dict[int, tuple[float, ...]] = {}
    for word in rest:
        key, _, value = word.partition('=')
        if len(value) > 200:
            raise ContentError(f'a layer has a parameter that is too long: {word[:60]!r}')
        if int(key) <= -_LISTS:
            lists[-int(key) - _LISTS] = tuple(map(float, value.split(',')[1:]))
        else:
            numbers[int(key)] = float(value)
    if not all(map(math.isfinite, numbers.values())):
        raise ContentError(f'a layer has a parameter that is no number: {" ".join(rest)[:60]!r}')
    # What scales one blob by another has no values of its own.
    empty = kind in _WITHOUT or (kind == 'Scale' and numbers.get(0) == -233)
    if not empty and kind not in NAMES:
        raise ContentError(f'it has a layer of a kind that is not known: {kind[:60]!r}')
    name = '' if empty else f'{NAMES[kind]}{number}'
    return Layer(kind, name, tuple(blobs[:inputs]), tuple(blobs[inputs:]), numbers, lists)


def _read(layers: list[Layer], file: PlainFile) -> Iterator[tuple[str, Tensor]]:
    start = 0
    for layer in layers:
        for tensor, shape in layer.shapes.items():
            dtype = torch.float32
            if tensor == 'weight':
                dtype, start = _stored(file, start, layer.name)
            length = math.prod(shape) * dtype.itemsize
            if start + length > file.size:
                raise ContentError(f'it is too short for {layer.name!r}')
            buffer = bytearray(file.read(start, length))
            found = torch.frombuffer(buffer, dtype=dtype).view(shape)
            if layer.kind == 'Deconvolution' and tensor == 'weight':
                found = found.transpose(0, 1).contiguous()  # torch has the inputs first.
            yield f'{layer.name}.{tensor}', found
            start += length + -length % 4
    if start != file.size:
        raise ContentError('it holds more than the layers have')


def _stored(file: PlainFile, start: int, name: str) -> tuple[torch.dtype, int]:
    """How the values of a weight are stored, and where they begin."""
    flag = int.from_bytes(file.read(start, 4), 'little')
    if start + 4 > file.size or flag not in _STORED:
        raise ContentError(
            f'the values of {name!r} are neither float32 nor float16: quantised, or damaged'
        )
    return _STORED[flag], start + 4
