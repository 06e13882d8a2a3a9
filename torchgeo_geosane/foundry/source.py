"""Named tensors that are read only when asked for.

Everything that turns weights into tokens reads through a ``TensorSource``, so that a model never
has to be in memory: files are read row by row.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.safetensors_file import read_header
from torchgeo_geosane.foundry.stored import StoredTensor, Unreadable, as_matrix


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


def all_finite(tensor: Tensor) -> bool:
    """Whether a floating-point tensor holds neither NaN nor infinite values.

    The extremes tell (a NaN makes both NaN): one pass and no temporary, where ``torch.isfinite``
    takes five passes and three temporaries as large as the tensor.
    """
    return not tensor.numel() or all(math.isfinite(value) for value in tensor.aminmax())


class StateDictSource:
    """A state dict in memory, or belonging to a live module."""

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


class StoredSource:
    """Tensors at known places of files; nothing is read until it is asked for."""

    def __init__(self, tensors: Mapping[str, StoredTensor | Unreadable]) -> None:
        """View ``tensors``; those that cannot be read say so when they are asked for."""
        self._tensors = tensors

    def names(self) -> list[str]:
        """The tensors' names, in order."""
        return list(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor.

        Raises:
            TokenError: If it cannot be read; the reason is given. So do the others.
        """
        return self._tensor(name).shape

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._tensor(name).known_dtype(name)

    def read(self, name: str) -> Tensor:
        """One whole tensor, which nobody else holds."""
        return self._tensor(name).read(name)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix; only those rows are read."""
        return self._tensor(name).rows(name, start, stop)

    def _tensor(self, name: str) -> StoredTensor:
        tensor = self._tensors[name]
        if isinstance(tensor, Unreadable):
            raise TokenError(f'tensor {name!r} in {tensor.where} is {tensor.why}')
        return tensor


class SafetensorsSource(StoredSource):
    """A safetensors file. Only its header is read until a tensor is asked for."""

    def __init__(self, path: str | Path) -> None:
        """Open ``path``.

        Raises:
            TokenError: If the file is not a readable safetensors file.
        """
        tensors, self._metadata = read_header(path)
        super().__init__(tensors)

    @property
    def metadata(self) -> dict[str, str]:
        """The strings stored in the header."""
        return dict(self._metadata)


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
