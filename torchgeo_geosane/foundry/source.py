"""Named tensors that are read only when asked for.

Everything that turns weights into tokens reads through a ``TensorSource``, so that a model never
has to be in memory: a safetensors file is read row by row, a memory-mapped checkpoint page by page.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError

# The safetensors names of the element types weights come in.
_DTYPES = {
    'F64': torch.float64,
    'F32': torch.float32,
    'F16': torch.float16,
    'BF16': torch.bfloat16,
    'F8_E4M3': torch.float8_e4m3fn,
    'F8_E5M2': torch.float8_e5m2,
    'I64': torch.int64,
    'I32': torch.int32,
    'I16': torch.int16,
    'I8': torch.int8,
    'U8': torch.uint8,
    'BOOL': torch.bool,
}


class TensorSource(Protocol):
    """Named tensors in state-dict order, read on demand."""

    def names(self) -> list[str]:
        """The tensors' names, in order."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor, without reading it."""

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor, without reading it."""

    def read(self, name: str) -> Tensor:
        """One whole tensor."""

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows ``start:stop`` of the tensor as a matrix ``[shape[0], -1]``; a scalar is 1 × 1."""


def as_matrix(tensor: Tensor) -> Tensor:
    """View a tensor of any rank as ``[rows, columns]``, the first dimension being the rows."""
    if tensor.ndim == 0 or tensor.numel() == 0:
        return tensor.reshape(tensor.numel(), 1)
    return tensor.reshape(tensor.shape[0], -1)


def all_finite(tensor: Tensor) -> bool:
    """Whether a floating-point tensor holds neither NaN nor infinite values.

    The extremes tell (a NaN makes both NaN): one pass and no temporary, where ``torch.isfinite``
    takes five passes and three temporaries as large as the tensor.
    """
    return not tensor.numel() or all(math.isfinite(value) for value in tensor.aminmax())


class StateDictSource:
    """A state dict in memory, memory-mapped, or belonging to a live module."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Wrap ``tensors``; nothing is copied."""
        self._tensors = tensors

    def names(self) -> list[str]:
        """The tensors' names, in order."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""
        return tuple(self._tensors[name].shape)

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._tensors[name].dtype

    def read(self, name: str) -> Tensor:
        """One whole tensor, shared with the state dict."""
        return self._tensors[name].detach()

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix."""
        return as_matrix(self._tensors[name].detach())[start:stop]


class SafetensorsSource:
    """A safetensors file. Only its header is read until a tensor is asked for."""

    def __init__(self, path: str | Path) -> None:
        """Open ``path``.

        Raises:
            TokenError: If the file is not a readable safetensors file.
        """
        self._path = path
        try:
            self._file: Any = safe_open(str(path), framework='pt')
        except (SafetensorError, OSError) as error:
            raise TokenError(f'{path} is not a readable safetensors file: {error}') from error

    @property
    def metadata(self) -> dict[str, str]:
        """The strings stored in the header."""
        return dict(self._file.metadata() or {})

    def names(self) -> list[str]:
        """The tensors' names, in the file's order."""
        return list(self._file.keys())

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor, from the header."""
        return tuple(self._file.get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor, from the header.

        Raises:
            TokenError: If it is not one that weights come in.
        """
        dtype = self._file.get_slice(name).get_dtype()
        if dtype not in _DTYPES:
            raise TokenError(
                f'tensor {name!r} in {self._path} is of type {dtype}, '
                f'weights come as {", ".join(_DTYPES)}: save it as one of these'
            )
        return _DTYPES[dtype]

    def read(self, name: str) -> Tensor:
        """One whole tensor."""
        return self._file.get_tensor(name)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix; only those rows are read."""
        if not self.shape(name):
            return as_matrix(self.read(name))[start:stop]
        return as_matrix(self._file.get_slice(name)[start:stop])


class RenamedSource:
    """Another source under new names, and only those."""

    def __init__(self, source: TensorSource, names: Mapping[str, str]) -> None:
        """View ``source`` through ``names``, a mapping from new names to the source's own."""
        self._source = source
        self._old = dict(names)

    def names(self) -> list[str]:
        """The new names, in the mapping's order."""
        return list(self._old)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""
        return self._source.shape(self._old[name])

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._source.dtype(self._old[name])

    def read(self, name: str) -> Tensor:
        """One whole tensor."""
        return self._source.read(self._old[name])

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix."""
        return self._source.rows(self._old[name], start, stop)


class OverlaidSource:
    """Another source in which some tensors are replaced."""

    def __init__(self, source: TensorSource, replaced: Mapping[str, Tensor]) -> None:
        """View ``source``, but take the tensors of ``replaced`` from there."""
        self._source = source
        self._replaced = StateDictSource(replaced)
        self._names = set(replaced)

    def names(self) -> list[str]:
        """The source's names, in its order."""
        return self._source.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""
        return self._of(name).shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._of(name).dtype(name)

    def read(self, name: str) -> Tensor:
        """One whole tensor."""
        return self._of(name).read(name)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix."""
        return self._of(name).rows(name, start, stop)

    def _of(self, name: str) -> TensorSource:
        return self._replaced if name in self._names else self._source
