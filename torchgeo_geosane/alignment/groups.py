"""Groups of units that may change places: other weights, the same function.

A *unit* is a channel of a convolution, a feature of a residual stream, a dimension of an attention
head: something whose number is a matter of chance. Its values lie in several tensors, which have to
follow when it moves: the rows that make it, the norms that scale it, the columns that take it in.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

# A tensor's name and one of its dimensions.
Axis = tuple[str, int]
# What stands at each place of a dimension: int64 ``[size]``, by axis. Other dimensions stay.
Places = Mapping[Axis, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """Where a tensor holds the values of units.

    Attributes:
        tensor: Its name.
        dim: The dimension along which they lie.
        size: The tensor's length along it.
        places: Where along it each unit lies: int64 ``[count, block]``.
    """

    tensor: str
    dim: int
    size: int
    places: Tensor

    @property
    def axis(self) -> Axis:
        """Tensor and dimension."""
        return self.tensor, self.dim

    def __reduce__(self) -> tuple[Any, ...]:
        """Small where units lie one after the other: other processes are given every use."""
        count, block = self.places.shape
        offset = int(self.places[0, 0])
        if not torch.equal(self.places, span(count, offset, block)):
            return Use, (self.tensor, self.dim, self.size, self.places)
        return _consecutive, (self.tensor, self.dim, self.size, count, offset, block)


def _consecutive(tensor: str, dim: int, size: int, count: int, offset: int, block: int) -> Use:
    return Use(tensor, dim, size, span(count, offset, block))


@dataclass(frozen=True, eq=False)
class Part:
    """Units that lie alike in the same tensors.

    Attributes:
        uses: Every place that has to follow; each with as many units.
    """

    uses: tuple[Use, ...]

    @cached_property
    def count(self) -> int:
        """How many units there are."""
        return len(self.uses[0].places)


@dataclass(frozen=True, eq=False)
class Group:
    """Units that may change places with each other.

    Mostly one part and one set: every unit may take every place. The units of attention are sets,
    the heads: a head's dimensions change places among themselves, those of queries and keys (one
    part) as they like, those of values (another) as they like; and whole heads change places, with
    all their parts.

    Attributes:
        name: The tensor that it is called by.
        parts: Its units; of every part ``sets`` equal runs, one a set.
        sets: Into how many sets the units of each part fall.
    """

    name: str
    parts: tuple[Part, ...]
    sets: int = 1

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Every tensor and dimension that it reorders."""
        return tuple(use.axis for part in self.parts for use in part.uses)

    @property
    def fits(self) -> bool:
        """Whether every unit lies within its tensors."""
        uses = (use for part in self.parts for use in part.uses)
        return all(int(use.places.max()) < use.size for use in uses)

    @property
    def count(self) -> int:
        """How many units there are in all parts."""
        return sum(part.count for part in self.parts)

    def moved(self, places: Places) -> int:
        """How many of its units are not where they were."""
        return sum(
            int((places[use.axis][use.places] != use.places).any(dim=1).sum())
            for use in (part.uses[0] for part in self.parts)
            if use.axis in places
        )

    def within(self, names: Container[str]) -> 'Group | None':
        """The group in a model that has only some of the tensors; None where none of it is left."""
        parts = [Part(tuple(u for u in part.uses if u.tensor in names)) for part in self.parts]
        kept = tuple(part for part in parts if part.uses)
        return replace(self, parts=kept) if kept else None

    def draw(self, generator: torch.Generator) -> list[Tensor]:
        """A random order of each part, see :meth:`move`."""
        return self._orders(lambda size: torch.randperm(size, generator=generator))

    def displace(self, generator: torch.Generator) -> list[Tensor]:
        """A random order of each part in which no unit keeps its place."""

        def cycle(size: int) -> Tensor:
            drawn = torch.randperm(size, generator=generator)
            return drawn.roll(1)[drawn.argsort()]

        return self._orders(cycle)

    def _orders(self, permute: Callable[[int], Tensor]) -> list[Tensor]:
        sets = permute(self.sets)
        orders = []
        for part in self.parts:
            size = part.count // self.sets
            inner = torch.stack([permute(size) for _ in range(self.sets)])
            orders.append((sets.unsqueeze(1) * size + inner).flatten())
        return orders

    def move(self, places: dict[Axis, Tensor], orders: Iterable[Tensor]) -> None:
        """Reorder units, after whatever moved before.

        Args:
            places: Changed in place.
            orders: For every part which of its units each place gets: int64 ``[count]``.
        """
        for part, order in zip(self.parts, orders, strict=True):
            for use in part.uses:
                before = places.get(use.axis)
                before = torch.arange(use.size) if before is None else before
                after = before.clone()
                after[use.places] = before[use.places[order]]
                places[use.axis] = after


@dataclass(frozen=True)
class NamedLayer:
    """A layer whose units tracing does not see, but the names of its parts tell.

    Attributes:
        makes: The axes along which the units lie that it makes.
        choices: Its units: the first of these groups that holds.
    """

    makes: frozenset[Axis]
    choices: tuple[Group, ...]


@dataclass(frozen=True, eq=False)
class Groups:
    """All groups of a model.

    Attributes:
        groups: Those that may be used.
        left_out: Why others may not, by their names; of a model that cannot be traced ``''``.
    """

    groups: tuple[Group, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many units there are."""
        return sum(group.count for group in self.groups)

    @cached_property
    def by_axis(self) -> dict[Axis, tuple[int, ...]]:
        """By tensor and dimension the numbers of the groups that reorder it."""
        found: dict[Axis, dict[int, None]] = defaultdict(dict)
        for number, group in enumerate(self.groups):
            for axis in group.axes:
                found[axis][number] = None
        return {axis: tuple(numbers) for axis, numbers in found.items()}

    def touch(self, name: str | None) -> bool:
        """Whether a tensor holds values of units."""
        return name in self._touched

    def within(self, names: Container[str]) -> 'Groups':
        """The groups of a model that lacks some tensors, such as layers that an encoder does not use."""
        found = (group.within(names) for group in self.groups)
        return Groups(tuple(group for group in found if group is not None), self.left_out)

    @cached_property
    def _touched(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.by_axis)


@lru_cache(maxsize=1024)
def span(count: int, offset: int = 0, block: int = 1) -> Tensor:
    """Places of units that lie one after the other: int64 ``[count, block]``, kept once."""
    return torch.arange(offset, offset + count * block).view(count, block)
