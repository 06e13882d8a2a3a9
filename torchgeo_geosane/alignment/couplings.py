"""From the places that follow each other when a channel moves to groups of units."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from torchgeo_geosane.alignment.groups import Axis, Group, Part, Use, span

Numbers = npt.NDArray[np.int64]

# Instead of a dimension: no tensor holds the units, they are the groups of a convolution, which couple
# its inputs to its outputs, or lie in the groups of a norm, whose members stay together.
CONVOLUTION, NORM = -1, -2


@dataclass(frozen=True, eq=False)
class Coupling:
    """Which unit of a group lies where along a dimension of a tensor.

    Attributes:
        axis: Tensor and dimension, or ``CONVOLUTION`` or ``NORM``.
        size: Length along the dimension.
        places: int64 ``[n]``.
        units: The number of the unit at each of the places: int64 ``[n]``.
    """

    axis: Axis
    size: int
    places: Numbers
    units: Numbers


def join(found: list[list[Coupling]], tensors: Iterable[str]) -> list[Group]:
    """The groups of units that traced couplings make.

    Args:
        found: What follows what, of everything that was traced.
        tensors: Names of the model's tensors, in their order.
    """
    order = {name: index for index, name in enumerate(tensors)}
    families = _families(_unfolded(found))
    return [group for family in families for group in _split(family, order)]


def _unfolded(groups: list[list[Coupling]]) -> Iterator[list[Coupling]]:
    """The groups, where a few rows stand for a tensor that repeats their units.

    Where neighbouring pixels are joined to one (the patch merging of Swin), the trace follows the
    first of them alone: the others lie behind it, if no other group's units do.
    """
    covered: dict[Axis, set[int]] = defaultdict(set)
    for number, group in enumerate(groups):
        for each in group:
            covered[each.axis].add(number)
    for group in groups:
        count = 1 + max((int(each.units.max()) for each in group), default=0)
        whole = np.arange(count)
        yield [
            replace(each, places=np.arange(each.size), units=np.arange(each.size) % count)
            if each.size > count
            and each.size % count == 0
            and len(covered[each.axis]) == 1
            and np.array_equal(each.places, whole)
            and np.array_equal(each.units, whole)
            else each
            for each in group
        ]


def _families(groups: Iterable[list[Coupling]]) -> Iterator[list[Coupling]]:
    """Groups on both sides of a grouped convolution as one, whose units have numbers of their own."""
    families: list[tuple[set[Axis], int, list[Coupling]]] = []
    for group in groups:
        bridges = {each.axis for each in group if each.axis[1] == CONVOLUTION}
        total = 1 + max((int(each.units.max()) for each in group), default=0)
        joined = list(group)
        for other in [family for family in families if family[0] & bridges]:
            families.remove(other)
            bridges |= other[0]
            joined += [replace(each, units=each.units + total) for each in other[2]]
            total += other[1]
        families.append((bridges, total, joined))
    for _, _, family in families:
        yield family


def _split(couplings: list[Coupling], order: dict[str, int]) -> Iterator[Group]:
    """Groups of units that may change places: those that lie in the same tensors, equally often.

    Of a channel split, say, one half goes through more layers than the other.

    Args:
        couplings: Where the units lie.
        order: Number of each tensor.
    """
    size_of = {each.axis: each.size for each in couplings}
    everywhere, count = _lying(couplings)
    norms = [own for axis, own in everywhere.items() if axis[1] == NORM]
    lying = {axis: own for axis, own in everywhere.items() if axis[1] >= 0}
    how_often = np.stack([np.bincount(own[0], minlength=count) for own in lying.values()])
    kinds, kind_of = np.unique(how_often, axis=1, return_inverse=True)
    for number, blocks in enumerate(kinds.T):
        for members, sets in _sets(np.flatnonzero(kind_of.reshape(-1) == number), norms):
            uses = []
            for (axis, own), block in zip(lying.items(), blocks.tolist(), strict=True):
                if block:
                    first = np.searchsorted(own[0], members)
                    places = own[1][first[:, None] + np.arange(block)]
                    uses.append(Use(*axis, size_of[axis], _kept_once(places)))
            uses.sort(key=lambda use: (order.get(use.tensor, len(order)), use.dim))
            if uses and uses[0].tensor:
                yield Group(uses[0].tensor, (Part(tuple(uses)),), sets)


def _lying(couplings: list[Coupling]) -> tuple[dict[Axis, Numbers], int]:
    """Where the units of a family lie, and how many they are: by axis units and places, sorted.

    What lies in one place is one unit, wherever else it lies.
    """
    by_axis: dict[Axis, list[Coupling]] = defaultdict(list)
    for each in couplings:
        by_axis[each.axis].append(each)
    units = _Joined(1 + max((int(each.units.max()) for each in couplings), default=0))
    pairs = {}
    for axis, found in by_axis.items():
        places = np.concatenate([each.places for each in found])
        numbers = np.concatenate([each.units for each in found])
        pairs[axis] = places, numbers = np.unique(np.stack([places, numbers]), axis=1)
        if axis[1] != NORM:
            for index in np.flatnonzero(places[1:] == places[:-1]):
                units.join(int(numbers[index]), int(numbers[index + 1]))
    labels, count = units.labels()
    return {
        axis: np.unique(np.stack([labels[numbers], places]), axis=1)
        for axis, (places, numbers) in pairs.items()
    }, count


def _sets(members: Numbers, norms: list[Numbers]) -> Iterator[tuple[Numbers, int]]:
    """Units of one kind, apart where norms hold them apart.

    Units that a norm takes together may change places among themselves, and with all others at once:
    sets. Where one norm groups them otherwise than another, or with units of another kind, they stay
    with those that are with them everywhere.

    Args:
        members: The units of one kind.
        norms: Of every norm with groups, units and the groups in which they lie: int64 ``[2, n]``.

    Yields:
        Units that may change places, set by set, and the number of sets.
    """
    together: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
    for unit in members.tolist():
        together[tuple(own[1][own[0] == unit].tobytes() for own in norms)].append(unit)
    sets = [np.array(units) for units in together.values()]
    size = len(sets[0])

    def whole(own: Numbers) -> bool:
        """Whether each set is one group of the norm, or the norm has none of them."""
        groups = [own[1][np.isin(own[0], units)] for units in sets]
        return not any(map(len, groups)) or all(
            len(group) == size and len(np.unique(group)) == 1 and (own[1] == group[0]).sum() == size
            for group in groups
        )

    if size > 1 and all(len(units) == size for units in sets) and all(map(whole, norms)):
        yield np.concatenate(sets), len(sets)
        return
    for units in sets:
        if len(units) > 1:
            yield units, 1


def _kept_once(places: Numbers) -> Tensor:
    """Places of units, in memory that other uses share where they lie one after the other."""
    consecutive = span(len(places), int(places[0, 0]), places.shape[1])
    found = torch.from_numpy(places)
    return consecutive if torch.equal(found, consecutive) else found


class _Joined:
    """Numbers, some of which turn out to be one."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        self._parents[second] = first

    def labels(self) -> tuple[Numbers, int]:
        """Consecutive numbers, in the order of the first of each, and how many there are."""
        roots = [self._root(number) for number in range(len(self._parents))]
        index = {root: number for number, root in enumerate(dict.fromkeys(roots))}
        return np.array([index[root] for root in roots]), len(index)

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number
