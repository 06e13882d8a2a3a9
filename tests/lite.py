"""Small networks of TensorFlow Lite, written with the builders of the package ``tflite``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite

TYPES = {np.float32: 0, np.float16: 1, np.int32: 2, np.uint8: 3, np.int8: 9}
OPTIONS = {
    'CONV_2D': 'Conv2DOptions',
    'DEPTHWISE_CONV_2D': 'DepthwiseConv2DOptions',
    'FULLY_CONNECTED': 'FullyConnectedOptions',
    'ADD': 'AddOptions',
    'MEAN': 'ReducerOptions',
}
SAME, VALID = 0, 1
RELU, RELU6 = 1, 3


@dataclass
class Lite:
    """A network on its way.

    Attributes:
        buffers: The bytes of its constants; the first buffer is empty in every file.
        tensors: Shape, number of the type, and buffer of each tensor.
        operators: Kind, inputs, outputs and options of each operator.
    """

    buffers: list[bytes] = field(default_factory=lambda: [b''])
    tensors: list[tuple[Sequence[int], int, int]] = field(default_factory=list)
    operators: list[tuple[str, list[int], list[int], dict[str, int]]] = field(default_factory=list)

    def image(self, *shape: int) -> int:
        """A tensor that is no constant."""
        return self._tensor(shape, 0, 0)

    def constant(self, array: npt.NDArray[Any]) -> int:
        """A tensor with values."""
        self.buffers.append(array.tobytes())
        return self._tensor(array.shape, TYPES[array.dtype.type], len(self.buffers) - 1)

    def same(self, number: int) -> int:
        """Another tensor of the same buffer."""
        return self._tensor(*self.tensors[number])

    def half(self, array: npt.NDArray[Any]) -> int:
        """A constant that is stored as float16, and what makes float32 of it."""
        return self.run('DEQUANTIZE', [self.constant(array.astype(np.float16))], array.shape)

    def run(self, kind: str, inputs: list[int], shape: Sequence[int], **options: int) -> int:
        """What an operator makes of its inputs."""
        made = self.image(*shape)
        self.operators.append((kind, inputs, [made], options))
        return made

    def written(
        self, inputs: list[int], outputs: list[int], graphs: int = 1, sparse: bool = False
    ) -> bytes:
        """The file; ``sparse`` says that its constants are."""
        builder = flatbuffers.Builder(1024)
        buffers = [self._buffer(builder, content) for content in self.buffers]
        kinds = list(dict.fromkeys(kind for kind, *_ in self.operators))
        codes = [_code(builder, kind) for kind in kinds]
        graph = self._graph(builder, inputs, outputs, kinds, sparse)
        lists = {
            'Buffers': _offsets(builder, buffers),
            'OperatorCodes': _offsets(builder, codes),
            'Subgraphs': _offsets(builder, [graph] * graphs),
        }
        builder.Finish(_table(builder, 'Model', Version=3, **lists), b'TFL3')
        return bytes(builder.Output())

    def _tensor(self, shape: Sequence[int], kind: int, buffer: int) -> int:
        self.tensors.append((shape, kind, buffer))
        return len(self.tensors) - 1

    def _buffer(self, builder: flatbuffers.Builder, content: bytes) -> int:
        values = {'Data': builder.CreateByteVector(content)} if content else {}
        return _table(builder, 'Buffer', **values)

    def _graph(
        self,
        builder: flatbuffers.Builder,
        inputs: list[int],
        outputs: list[int],
        kinds: list[str],
        sparse: bool,
    ) -> int:
        tensors = []
        for shape, kind, buffer in self.tensors:
            more = {'Sparsity': _table(builder, 'SparsityParameters')} if sparse and buffer else {}
            numbers = _numbers(builder, shape)
            tensors.append(
                _table(builder, 'Tensor', Shape=numbers, Type=kind, Buffer=buffer, **more)
            )
        operators = []
        for kind, given, made, options in self.operators:
            lists = {'Inputs': _numbers(builder, given), 'Outputs': _numbers(builder, made)}
            if options:
                name = OPTIONS[kind]
                lists['BuiltinOptions'] = _table(builder, name, **options)
                lists['BuiltinOptionsType'] = getattr(tflite.BuiltinOptions, name)
            operators.append(_table(builder, 'Operator', OpcodeIndex=kinds.index(kind), **lists))
        lists = {'Tensors': _offsets(builder, tensors), 'Operators': _offsets(builder, operators)}
        lists |= {'Inputs': _numbers(builder, inputs), 'Outputs': _numbers(builder, outputs)}
        return _table(builder, 'SubGraph', **lists)


def _code(builder: flatbuffers.Builder, kind: str) -> int:
    number = getattr(tflite.BuiltinOperator, kind)
    first = {'DeprecatedBuiltinCode': min(number, 127)}
    return _table(builder, 'OperatorCode', BuiltinCode=number, **first)


def _table(builder: flatbuffers.Builder, name: str, **values: int) -> int:
    getattr(tflite, f'{name}Start')(builder)
    for field_, value in values.items():
        getattr(tflite, f'{name}Add{field_}')(builder, value)
    return getattr(tflite, f'{name}End')(builder)


def _numbers(builder: flatbuffers.Builder, numbers: Sequence[int]) -> int:
    return builder.CreateNumpyVector(np.array(numbers, np.int32))


def _offsets(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
