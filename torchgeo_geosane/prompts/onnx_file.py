"""ONNX files as tensor sources. Of the file only the outline is read until a tensor is asked for.

ONNX is a protocol buffer: nested messages of fields, each a number, a kind and a value. Four kinds
of message matter here: the model holds a graph, the graph its initialisers, and each of those says
where its values lie. Everything else is stepped over, so no library is needed and nothing is run.
See https://github.com/onnx/onnx/blob/main/onnx/onnx.proto and
https://protobuf.dev/programming-guides/encoding.
"""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.source import as_matrix

# The field of a model that holds its graph, and of a graph that holds an initialiser.
_GRAPH = 7
_INITIALISER = 5


class _TensorField(IntEnum):
    """The fields of a tensor that are read. FLOATS, RAW and DOUBLES are all plain values."""

    DIMS = 1
    TYPE = 2
    FLOATS = 4
    NAME = 8
    RAW = 9
    DOUBLES = 10
    LOCATION = 14


_DTYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}


class _Field(NamedTuple):
    """A field of a message: its number, and its value or, for bytes, where they lie."""

    number: int
    value: int
    start: int
    stop: int


@dataclass(frozen=True)
class _Place:
    """Where a tensor's values lie in the file."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int


class OnnxSource:
    """The initialisers of an ONNX graph, in its order and types.

    Initialisers of whole numbers that are stored one by one (constants of the graph, as a rule) are
    left out: weights are stored as blocks of bytes.
    """

    def __init__(self, path: str | Path) -> None:
        """Read the outline of ``path``.

        Raises:
            TokenError: If the file is damaged or not ONNX, or keeps its weights elsewhere.
        """
        self._path = Path(path)
        try:
            with (
                self._path.open('rb') as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ):
                self._places = dict(_initialisers(content))
        # An index beyond the end, a name that is no text, an empty file.
        except (IndexError, ValueError, OSError) as error:
            raise TokenError(f'{path} is truncated or not a readable ONNX file: {error}') from error

    def names(self) -> list[str]:
        """The tensors' names, in order."""
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""
        return self._places[name].shape

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._places[name].dtype

    def read(self, name: str) -> Tensor:
        """One whole tensor."""
        place = self._places[name]
        return self._values(place, 0, math.prod(place.shape)).reshape(place.shape)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix; only those rows are read."""
        place = self._places[name]
        if not place.shape:
            return as_matrix(self.read(name))[start:stop]
        start, stop, _ = slice(start, stop).indices(place.shape[0])
        columns = math.prod(place.shape[1:])
        return self._values(place, start * columns, stop * columns).reshape(-1, max(columns, 1))

    def _values(self, place: _Place, first: int, last: int) -> Tensor:
        if last <= first:
            return torch.empty(0, dtype=place.dtype)
        with self._path.open('rb') as file:
            file.seek(place.start + first * place.dtype.itemsize)
            content = bytearray(file.read((last - first) * place.dtype.itemsize))
        return torch.frombuffer(content, dtype=place.dtype)


def _initialisers(content: mmap.mmap) -> Iterator[tuple[str, _Place]]:
    graphs = [field for field in _fields(content, 0, len(content)) if field.number == _GRAPH]
    if not graphs:
        raise ValueError('there is no graph in it')
    for graph in graphs:
        for field in _fields(content, graph.start, graph.stop):
            if field.number == _INITIALISER:
                name, place = _tensor(content, field)
                if place is not None:
                    yield name, place


def _tensor(content: mmap.mmap, message: _Field) -> tuple[str, _Place | None]:
    dims: list[int] = []
    kind, name = 0, ''
    block: _Field | None = None
    for field in _fields(content, message.start, message.stop):
        match field.number:
            case _TensorField.DIMS if field.start == field.stop:  # One, or all of them packed.
                dims.append(field.value)
            case _TensorField.DIMS:
                dims += _varints(content, field.start, field.stop)
            case _TensorField.TYPE:
                kind = field.value
            case _TensorField.NAME:
                name = content[field.start : field.stop].decode()
            case _TensorField.FLOATS | _TensorField.RAW | _TensorField.DOUBLES:
                block = field
            case _TensorField.LOCATION if field.value:
                raise ValueError('its tensors are kept in other files, which is not supported')
    dtype = _DTYPES.get(kind)
    if dtype is None or block is None:
        if dtype is not None and dtype.is_floating_point and 0 not in dims:
            raise ValueError(f'{name!r} is not stored as a block of bytes')
        return name, None
    if math.prod(dims) * dtype.itemsize != block.stop - block.start:
        raise ValueError(f'{name!r} has not the number of values that its shape {dims} says')
    return name, _Place(dtype, tuple(dims), block.start)


def _fields(content: mmap.mmap, start: int, stop: int) -> Iterator[_Field]:
    """The fields of the message that lies at ``[start, stop)``."""
    while start < stop:
        tag, start = _varint(content, start)
        value, end = 0, start
        match tag & 7:
            case 0:
                value, start = _varint(content, start)
                end = start
            case 1:
                end = start + 8
            case 2:
                length, start = _varint(content, start)
                end = start + length
            case 5:
                end = start + 4
            case kind:
                raise ValueError(f'there are no fields of kind {kind}')
        if end > stop:
            raise ValueError('a field is longer than what holds it')
        yield _Field(tag >> 3, value, start, end)
        start = end


def _varints(content: mmap.mmap, start: int, stop: int) -> Iterator[int]:
    while start < stop:
        value, start = _varint(content, start)
        yield value


def _varint(content: mmap.mmap, start: int) -> tuple[int, int]:
    """The whole number that begins at ``start``, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        byte = content[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise ValueError('a number is longer than 64 bits')
