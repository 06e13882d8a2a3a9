"""A model with its units in another order: a view, of which only what is asked for is read."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from torchgeo_geosane.alignment.groups import Axis, Groups, Places
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.foundry.stored import as_matrix

# Values of a tensor up to which reading it whole takes less time than reading rows one by one.
_READ_WHOLE = 2**21
# An odd number: the seeds of the groups of a model differ.
_STRIDE = 2_654_435_761


class PermutedSource:
    """Another source with some dimensions of its tensors in another order."""

    def __init__(self, source: TensorSource, places: Places) -> None:
        """View ``source`` with ``places`` of it in order."""
        self._source = source
        self._places = places
        self._dims: dict[str, list[int]] = defaultdict(list)
        for name, dim in sorted(places):
            self._dims[name].append(dim)

    def names(self) -> list[str]:
        """The source's names, in its order."""
        return self._source.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""
        return self._source.shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._source.dtype(name)

    def read(self, name: str) -> Tensor:
        """One whole tensor."""
        tensor = self._source.read(name)
        for dim in self._dims.get(name, ()):
            tensor = tensor.index_select(dim, self._places[name, dim])
        return tensor

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix; of a mapped file only those rows are read."""
        dims = self._dims.get(name, ())
        if not dims:
            return self._source.rows(name, start, stop)
        if 0 in dims:
            rows = self._rows_at(name, self._places[name, 0][start:stop])
        else:
            rows = self._source.rows(name, start, stop)
        rows = rows.reshape(len(rows), *self.shape(name)[1:])
        for dim in dims:
            if dim:
                rows = rows.index_select(dim, self._places[name, dim])
        return as_matrix(rows)

    def _rows_at(self, name: str, wanted: Tensor) -> Tensor:
        """Rows of the source, in any order; a large tensor is not read whole for a few of them."""
        shape = self.shape(name)
        if math.prod(shape) > _READ_WHOLE and len(wanted) < shape[0] // 4:
            return torch.cat([self._source.rows(name, at, at + 1) for at in wanted.tolist()])
        return as_matrix(self._source.read(name)).index_select(0, wanted)


class RandomPlaces(Mapping[Axis, Tensor]):
    """Orders of all groups, drawn from a seed when somebody asks for them."""

    def __init__(self, groups: Groups, seed: int) -> None:
        """Draw from ``seed``."""
        self._groups = groups
        self._seed = seed
        self._found: dict[Axis, Tensor] = {}
        self._drawn: set[int] = set()

    def __getitem__(self, axis: Axis) -> Tensor:
        """What stands at each place of a dimension."""
        for number in self._groups.by_axis[axis]:
            if number not in self._drawn:
                self._drawn.add(number)
                group = self._groups.groups[number]
                seed = (self._seed + number * _STRIDE) % 2**32
                group.move(self._found, group.draw(torch.Generator().manual_seed(seed)))
        return self._found[axis]

    def __iter__(self) -> Iterator[Axis]:
        """Every dimension that is reordered."""
        return iter(self._groups.by_axis)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._groups.by_axis)
