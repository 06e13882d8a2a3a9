"""Networks of TensorFlow Lite as tensor sources, read by the package ``tflite``. Nothing in them is run.

A file is one flatbuffer: operators, in the order in which they run, and the values of those tensors
that are constant. Layers are called by kind and order, as those of ncnn are: names in the file are those
of an export. Weights that are stored as float16 pass through an operator that makes float32 of them: they
are read as what they are.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import ContentError, PlainFile, printable, telling
from torchgeo_geosane.foundry.source import StateDictSource

_MAGIC = b'TFL3'  # From the fifth byte on.
# What the layers with weights are called, and what torch has first, second and so on of a weight.
NAMES = {'CONV_2D': 'conv', 'DEPTHWISE_CONV_2D': 'conv', 'FULLY_CONNECTED': 'linear'}
_LAYOUTS = {
    'CONV_2D': (0, 3, 1, 2),
    'DEPTHWISE_CONV_2D': (3, 0, 1, 2),
    'FULLY_CONNECTED': (0, 1),
}
_OPTIONS = {
    'CONV_2D': 'Conv2DOptions',
    'DEPTHWISE_CONV_2D': 'DepthwiseConv2DOptions',
    'FULLY_CONNECTED': 'FullyConnectedOptions',
    'ADD': 'AddOptions',
    'MEAN': 'ReducerOptions',
}
# By the numbers of the format. Whole numbers are sizes and axes, or quantised weights.
_FLOATING = {0: torch.float32, 1: torch.float16, 10: torch.float64, 18: torch.bfloat16}
_WHOLE = {2: torch.int32, 3: torch.uint8, 4: torch.int64, 7: torch.int16, 9: torch.int8}
_TYPES = _FLOATING | _WHOLE
_SIZES_AND_AXES = frozenset({2, 4})
# Of the format. Of operators, networks of images have some hundreds.
_LARGEST, _MOST_OPERATORS, _MOST_INPUTS = 2**31, 10_000, 1_000
# What reading a damaged flatbuffer raises, of which the package checks nothing.
_DAMAGE = (AttributeError, IndexError, OverflowError, TypeError, ValueError, struct.error)


class Options(NamedTuple):
    """How an operator does what it does; what its kind does not have is as here.

    Attributes:
        padding: Of a convolution: 0 is as much as keeps the size, 1 is none, -1 is not said.
        stride: Its stride, in height and width.
        dilation: Its dilation, likewise.
        activation: What follows: 0 is nothing, 1 is a ReLU, 3 a ReLU up to 6.
        keep_dims: Whether a mean keeps the dimensions that it is taken over.
    """

    padding: int = -1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    activation: int = 0
    keep_dims: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator of a network.

    Attributes:
        kind: What it does, e.g. ``CONV_2D``.
        weight: What its weight is called; empty where it has none. Two may share one.
        bias: What its bias is called; empty where it has none.
        shape: The shape of its weight, in torch's layout.
        inputs: Numbers of the tensors that it reads and that are no constants.
        shapes: Their shapes as the file states them, channels last.
        outputs: Numbers of the tensors that it makes.
        numbers: Whole numbers that it is given: axes, sizes, widths of borders.
        options: How it does it.
    """

    kind: str
    weight: str
    bias: str
    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    numbers: tuple[int, ...]
    options: Options


@dataclass(frozen=True)
class Graph:
    """What a network computes, without its values.

    Attributes:
        operators: In the order in which they run.
        inputs: Numbers of the tensors that it is given.
        outputs: Numbers of those that it gives.
        shapes: The shapes of its inputs, channels last.
    """

    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]


def is_tflite(beginning: bytes) -> bool:
    """Whether a file that begins so is one of TensorFlow Lite."""
    return beginning[4:8] == _MAGIC


def open_tflite(path: Path) -> StateDictSource:
    """The constants of a network that are weights, in the order in which it uses them.

    Kernels and matrices are in torch's layout. What an operator of another kind reads in floating point
    is as it lies in the file, and called by its place (``prelu3.1``). Nothing is copied.

    Raises:
        TokenError: If the file is damaged or has several graphs, or a weight is sparse or of a type that
            torch lacks; or if the package ``tflite`` is missing.
    """
    return StateDictSource(_read(path)[1])


def read_graph(path: Path) -> Graph:
    """The operators of a network.

    Raises:
        TokenError: As :func:`open_tflite`.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[Graph, Mapping[str, Tensor]]:
    try:
        import tflite
    except ModuleNotFoundError as error:
        raise TokenError(
            f'{path} is read by the package tflite: pip install "torchgeo-geosane[collection]"'
        ) from error
    with telling(TokenError, f'{printable(path)} cannot be read'):
        file = PlainFile(path)
        if file.size > _LARGEST:
            raise ContentError('it is larger than files of TensorFlow Lite can be')
        content = bytearray(file.size)
        file.read_into(0, memoryview(content))
        try:
            return _Parser(tflite, content).parse()
        except _DAMAGE as error:
            raise ContentError('it is truncated or damaged') from error


class _Constant(NamedTuple):
    """A tensor with values: the numbers of its buffer and its type, its shape, its bytes in the file."""

    buffer: int
    kind: int
    shape: tuple[int, ...]
    content: Tensor

    def tensor(self) -> Tensor:
        """Its values, which stay where they are.

        Raises:
            ContentError: If they are of an unknown type, or are not as many as the shape says.
        """
        if self.kind not in _TYPES:
            raise ContentError(f'a weight is of a type that torch lacks (number {self.kind})')
        try:
            return self.content.view(_TYPES[self.kind]).view(self.shape)
        except RuntimeError as error:
            shape = list(self.shape)
            raise ContentError(
                f'a weight has not the values that its shape {shape} says'
            ) from error


class _Parser:
    """Goes through the operators of a file."""

    def __init__(self, schema: Any, content: bytearray) -> None:
        self._schema = schema
        self._model = schema.Model.GetRootAs(content)
        if self._model.SubgraphsLength() != 1:
            raise ContentError('it has several graphs of operators, or none: one is read')
        self._graph = self._model.Subgraphs(0)
        # Where what is stored as float16 goes on as float32.
        self._stored: dict[int, int] = {}
        # What is kept, by its buffer, its shape there, and its layout.
        self._names: dict[tuple[int, tuple[int, ...], tuple[int, ...]], str] = {}
        self._tensors: dict[str, Tensor] = {}
        self._layers = 0

    def parse(self) -> tuple[Graph, Mapping[str, Tensor]]:
        """What the file says, and the tensors in it."""
        graph = self._graph
        if graph.OperatorsLength() > _MOST_OPERATORS:
            raise ContentError(f'it has more than {_MOST_OPERATORS:,} operators')
        operators = tuple(self._operators())
        inputs, outputs = _numbers(graph, 'Inputs'), _numbers(graph, 'Outputs')
        shapes = tuple(_shape(self._tensor(each)) for each in inputs)
        return Graph(operators, inputs, outputs, shapes), self._tensors

    def _operators(self) -> Iterator[Operator]:
        for index in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(index)
            kind = self._kind(operator)
            given, outputs = _numbers(operator, 'Inputs'), _numbers(operator, 'Outputs')
            constants = {}
            for place, number in enumerate(given):
                constant = self._constant(number) if number >= 0 else None
                if constant is not None:
                    constants[place] = constant
            if kind == 'DEQUANTIZE' and constants and outputs:
                self._stored[outputs[0]] = given[0]
                continue
            weight, bias = self._named(kind, constants)
            inputs = tuple(
                each for place, each in enumerate(given) if each >= 0 and place not in constants
            )
            whole = [each for each in constants.values() if each.kind in _SIZES_AND_AXES]
            small = bool(whole) and len(whole[0].content) <= 64
            yield Operator(
                kind=kind,
                weight=weight,
                bias=bias,
                shape=tuple(self._tensors[weight].shape) if weight else (),
                inputs=inputs,
                shapes=tuple(_shape(self._tensor(each)) for each in inputs),
                outputs=outputs,
                numbers=tuple(whole[0].tensor().flatten().tolist()) if small else (),
                options=self._options(operator, kind),
            )

    def _named(self, kind: str, constants: Mapping[int, _Constant]) -> tuple[str, str]:
        """Keep the weights of an operator, and say what its weight and its bias are called."""
        before = len(self._tensors)
        weight = bias = ''
        if kind in NAMES and 1 in constants:
            layer, layout = f'{NAMES[kind]}{self._layers}', _LAYOUTS[kind]
            shape = constants[1].shape
            if len(shape) != len(layout) or 0 in shape:
                raise ContentError(f'layer {layer!r} has a shape that cannot be')
            weight = self._keep(f'{layer}.weight', constants[1], layout)
            if 2 in constants:
                if constants[2].shape != (shape[layout[0]],):
                    raise ContentError(f'layer {layer!r} has a bias of another shape')
                bias = self._keep(f'{layer}.bias', constants[2], (0,))
        else:
            for place, constant in constants.items():
                if constant.kind in _FLOATING:
                    layout = tuple(range(len(constant.shape)))
                    self._keep(f'{kind.lower()}{self._layers}.{place}', constant, layout)
        self._layers += len(self._tensors) > before
        return weight, bias

    def _keep(self, name: str, constant: _Constant, layout: tuple[int, ...]) -> str:
        """Keep a tensor, if it is not kept already, and say what it is called."""
        key = constant.buffer, constant.shape, layout
        if key not in self._names:
            self._names[key] = name
            self._tensors[name] = constant.tensor().permute(layout)
        return self._names[key]

    def _kind(self, operator: Any) -> str:
        index = operator.OpcodeIndex()
        if index >= self._model.OperatorCodesLength():
            raise IndexError(index)
        code = self._model.OperatorCodes(index)
        # Files from before there were many have the first alone.
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        return str(self._schema.BUILTIN_OPCODE2NAME.get(number, f'OPERATOR_{number}'))

    def _tensor(self, number: int) -> Any:
        if not 0 <= number < self._graph.TensorsLength():
            raise IndexError(number)
        return self._graph.Tensors(number)

    def _constant(self, number: int) -> _Constant | None:
        """The values of a tensor, if it is a constant."""
        tensor = self._tensor(self._stored.get(number, number))
        index = tensor.Buffer()
        if index >= self._model.BuffersLength():
            raise IndexError(index)
        buffer = self._model.Buffers(index)
        # 1 is said of values that are written behind all else later on.
        if buffer.Offset() > 1:
            raise ContentError('it keeps its weights behind the graph, which is not supported')
        if not buffer.DataLength():
            return None
        if tensor.Sparsity() is not None:
            raise ContentError('a weight is sparse, which is not supported')
        content = torch.from_numpy(buffer.DataAsNumpy())
        return _Constant(index, tensor.Type(), _shape(tensor), content)

    def _options(self, operator: Any, kind: str) -> Options:
        name = _OPTIONS.get(kind, '')
        found = operator.BuiltinOptions()
        number = getattr(self._schema.BuiltinOptions, name, 0)
        if not name or found is None or operator.BuiltinOptionsType() != number:
            return Options()
        table = getattr(self._schema, name)()
        table.Init(found.Bytes, found.Pos)

        def get(field: str, default: int) -> int:
            return int(getattr(table, field)()) if hasattr(table, field) else default

        return Options(
            padding=get('Padding', -1),
            stride=(get('StrideH', 1), get('StrideW', 1)),
            dilation=(get('DilationHFactor', 1), get('DilationWFactor', 1)),
            activation=get('FusedActivationFunction', 0),
            keep_dims=bool(get('KeepDims', 0)),
        )


def _numbers(table: Any, field: str) -> tuple[int, ...]:
    """A list of tensors."""
    if getattr(table, f'{field}Length')() > _MOST_INPUTS:
        raise ContentError(f'an operator has more than {_MOST_INPUTS:,} tensors')
    return tuple(getattr(table, f'{field}AsNumpy')().tolist()) if _has(table, field) else ()


def _shape(tensor: Any) -> tuple[int, ...]:
    """The shape that a file states; of a scalar there is none."""
    return tuple(tensor.ShapeAsNumpy().tolist()) if _has(tensor, 'Shape') else ()


def _has(table: Any, field: str) -> bool:
    return not getattr(table, f'{field}IsNone')()
