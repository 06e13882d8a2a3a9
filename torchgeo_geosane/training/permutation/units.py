"""A model with its hidden units in another order: other weights, the same function.

The order is drawn when a row is asked for, and only what is asked for is read.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchgeo_geosane.foundry.source import TensorSource, as_matrix

# An odd number: the seeds of the units of a window differ.
_STRIDE = 2_654_435_761


@dataclass(frozen=True, slots=True)
class Use:
    """Where a tensor holds the values of hidden units.

    Attributes:
        tensor: Its name.
        dim: 0 where each unit is a row, or an entry of a vector; 1 where it is an input.
        offset: Where along ``dim`` the first unit begins.
        block: Consecutive places of one unit.
    """

    tensor: str
    dim: int
    offset: int = 0
    block: int = 1


@dataclass(frozen=True, slots=True)
class Units:
    """Hidden units that may change places without changing the network's function.

    Attributes:
        count: How many may change places with each other.
        uses: Every place that has to follow.
        sets: How often such units follow each other in every use, each set in an order of its own.
    """

    count: int
    uses: tuple[Use, ...]
    sets: int = 1

    def draw(self, seed: int) -> Tensor:
        """An order of each set: int64 ``[sets, count]``."""
        generator = torch.Generator().manual_seed(seed)
        orders = [torch.randperm(self.count, generator=generator) for _ in range(self.sets)]
        return torch.stack(orders)

    def reorder(self, places: Tensor, use: Use, order: Tensor) -> None:
        """Reorder the places along a use's dimension, in place.

        Args:
            places: What stands at each place, int64 ``[size]``.
            use: How the units lie there.
            order: What ``draw`` gave.
        """
        units = self.sets * self.count
        part = places[use.offset : use.offset + units * use.block]
        blocks = part.view(self.sets, self.count, use.block)
        sets = torch.arange(self.sets).unsqueeze(1)
        blocks.copy_(blocks[sets, order])


@dataclass(frozen=True)
class HiddenUnits:
    """All units of a model that may change places.

    Where units of two kinds share a tensor (dimensions of a head, and whole heads), one order is
    applied after the other.
    """

    units: tuple[Units, ...]

    @cached_property
    def axes(self) -> dict[tuple[str, int], list[tuple[int, Use]]]:
        """By tensor and dimension: which units to reorder, by their number, and how."""
        axes = defaultdict(list)
        for number, units in enumerate(self.units):
            for use in units.uses:
                axes[use.tensor, use.dim].append((number, use))
        return dict(axes)

    def touch(self, name: str | None) -> bool:
        """Whether a tensor holds values of such units."""
        return (name, 0) in self.axes or (name, 1) in self.axes


class PermutedSource:
    """Another source with its hidden units in an order that depends on a seed alone."""

    def __init__(self, source: TensorSource, hidden: HiddenUnits, seed: int) -> None:
        """View ``source`` in an order drawn from ``seed``."""
        self._source = source
        self._hidden = hidden
        self._seed = seed
        self._orders: dict[int, Tensor] = {}
        self._places: dict[tuple[str, int], Tensor] = {}

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
        shape = self.shape(name)
        return self.rows(name, 0, shape[0] if shape else 1).reshape(shape)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix; of a mapped file only those rows are read."""
        if (name, 0) in self._hidden.axes:
            places = self._along(name, 0)[start:stop]
            rows = as_matrix(self._source.read(name)).index_select(0, places)
        else:
            rows = self._source.rows(name, start, stop)
        if (name, 1) not in self._hidden.axes:
            return rows
        inputs = rows.reshape(len(rows), self.shape(name)[1], -1)
        return inputs.index_select(1, self._along(name, 1)).flatten(1)

    def _along(self, name: str, dim: int) -> Tensor:
        """What stands at each place of a dimension: int64 ``[size]``."""
        if (name, dim) not in self._places:
            places = torch.arange(self.shape(name)[dim])
            for number, use in self._hidden.axes[name, dim]:
                self._hidden.units[number].reorder(places, use, self._order(number))
            self._places[name, dim] = places
        return self._places[name, dim]

    def _order(self, number: int) -> Tensor:
        if number not in self._orders:
            seed = (self._seed + number * _STRIDE) % 2**32
            self._orders[number] = self._hidden.units[number].draw(seed)
        return self._orders[number]
