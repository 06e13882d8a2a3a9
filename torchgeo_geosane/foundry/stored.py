"""A tensor at its place in a file: described without being read, checked before memory is taken."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import ContentError, PlainFile, printable

# A view can repeat a few stored values without end (``expand``); up to so many bytes are read all the same.
_MOST_REPEATED = 2**20
_MOST_DIMENSIONS = 64
_MOST_ELEMENTS = 2**60


class Storage(Protocol):
    """A run of bytes that holds the values of tensors."""

    @property
    def nbytes(self) -> int:
        """How many bytes it has."""

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes that begin at ``start``."""

    def __str__(self) -> str:
        """The file that holds it, for messages."""


@dataclass(frozen=True)
class FileRegion:
    """A run of bytes of a file."""

    file: PlainFile
    start: int
    nbytes: int

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes that begin at ``start``."""
        self.file.read_into(self.start + start, buffer)

    def __str__(self) -> str:
        """The file, for messages."""
        return printable(self.file.path)


@dataclass(frozen=True)
class MemoryRegion:
    """Bytes that were unpacked into memory."""

    content: bytes
    path: str

    @property
    def nbytes(self) -> int:
        """How many there are."""
        return len(self.content)

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill ``buffer`` with the bytes that begin at ``start``."""
        buffer[:] = self.content[start : start + len(buffer)]

    def __str__(self) -> str:
        """The file, for messages."""
        return self.path


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read.

    Attributes:
        storage: What holds its values.
        dtype: Its element type; the name of one that torch does not read, as a string.
        shape: Its shape.
        stride: Steps between neighbours in each dimension, in elements.
        offset: Its first element in the storage, in elements.
    """

    storage: Storage
    dtype: torch.dtype | str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0

    def __post_init__(self) -> None:
        """Make sure that all of it lies inside the storage.

        Raises:
            ContentError: If not, or if it repeats few values without end.
        """
        whole = (*self.shape, *self.stride, self.offset)
        if not all(type(number) is int and 0 <= number < _MOST_ELEMENTS for number in whole):
            raise ContentError('its shape, strides or offset are no numbers of elements')
        if math.prod(max(1, number) for number in self.shape) >= _MOST_ELEMENTS:
            raise ContentError(f'shape {list(self.shape)} has more elements than can be counted')
        if len(self.shape) != len(self.stride) or len(self.shape) > _MOST_DIMENSIONS:
            raise ContentError(
                f'it has {len(self.shape)} dimensions and {len(self.stride)} strides'
            )
        if isinstance(self.dtype, str) or 0 in self.shape:
            return
        if (self.offset + self._span(self.shape)) * self.dtype.itemsize > self.storage.nbytes:
            raise ContentError(f'shape {list(self.shape)} needs more bytes than are stored')
        if self.nbytes > max(self.storage.nbytes, _MOST_REPEATED):
            raise ContentError(
                f'shape {list(self.shape)} repeats few stored values: save it as it is '
                '(tensor.contiguous())'
            )

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        size = self.dtype.itemsize if isinstance(self.dtype, torch.dtype) else 0
        return math.prod(self.shape) * size

    def known_dtype(self, name: str) -> torch.dtype:
        """Its element type.

        Raises:
            TokenError: If torch does not read it; the tensor is named.
        """
        if isinstance(self.dtype, str):
            raise TokenError(
                f'tensor {name!r} in {self.storage} is of type {self.dtype}, weights come as '
                'F64, F32, F16 or BF16: save it as one of these'
            )
        return self.dtype

    def read(self, name: str) -> Tensor:
        """All of it, in memory that nobody else holds.

        Raises:
            TokenError: If the file has changed, or the type cannot be read; ``name`` is named.
        """
        return self._read(name, self.shape, self.offset)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows ``start:stop`` as a matrix; a scalar is 1 × 1."""
        if not self.shape:
            return as_matrix(self.read(name))[start:stop]
        start, stop, _ = slice(start, stop).indices(self.shape[0])
        shape = (max(0, stop - start), *self.shape[1:])
        return as_matrix(self._read(name, shape, self.offset + start * self.stride[0]))

    def _read(self, name: str, shape: tuple[int, ...], offset: int) -> Tensor:
        dtype = self.known_dtype(name)
        if 0 in shape:
            return torch.empty(shape, dtype=dtype, device='cpu')
        # Not in inference mode's, the default type's or the default device's memory.
        raw = torch.empty(self._span(shape) * dtype.itemsize, dtype=torch.uint8, device='cpu')
        self.storage.read_into(offset * dtype.itemsize, raw.numpy().data)
        return raw.view(dtype).as_strided(shape, self.stride).contiguous()

    def _span(self, shape: tuple[int, ...]) -> int:
        """Elements from the first to the last one, both counted."""
        return 1 + sum((n - 1) * step for n, step in zip(shape, self.stride, strict=True))


@dataclass(frozen=True)
class Unreadable:
    """A tensor that is there, but cannot be read.

    Attributes:
        why: What it is, the end of a sentence.
        where: The file.
    """

    why: str
    where: str


def as_matrix(tensor: Tensor) -> Tensor:
    """View a tensor of any rank as ``[rows, columns]``, the first dimension being the rows."""
    if tensor.ndim == 0 or tensor.numel() == 0:
        return tensor.reshape(tensor.numel(), 1)
    return tensor.reshape(tensor.shape[0], -1)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor that lies row after row."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
