"""Groups of an architecture, from torch-pruning, which finds coupled channels by tracing.

To prune a channel is to know every place that has to follow; so is to move it. What is found here is
a guess until it is proven (see ``proof``): tracing does not see every way that channels are cut.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from torchgeo_geosane.alignment.groups import Axis, Group, Part, Use, span

Numbers = npt.NDArray[np.int64]

# The model's output, which comes in another order where a group reaches it.
OUTPUT: Axis = ('', 1)

# A residual stream of twelve blocks has some 200 uses, and some 100,000 places in them.
_MOST_USES, _MOST_PLACES = 3_000, 10_000_000
_TRACING = threading.Lock()

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.PReLU,
)


@dataclass(frozen=True, eq=False)
class Coupling:
    """Which unit of a group lies where along a dimension of a tensor.

    Attributes:
        axis: Tensor and dimension. Where the dimension is -1 no tensor holds the units: they are the
            groups of a convolution, which couple its inputs to its outputs.
        size: Length along the dimension.
        places: int64 ``[n]``.
        units: The number of the unit at each of the places: int64 ``[n]``.
    """

    axis: Axis
    size: int
    places: Numbers
    units: Numbers


def trace(model: nn.Module, image: Tensor) -> list[Group]:
    """The groups that a model seems to have.

    Args:
        model: The model; on the meta device nothing is computed.
        image: What it is given.

    Raises:
        Exception: Whatever the model's code, or the tracing of it, raises.
    """
    # Imported where it is needed: few who generate weights align any.
    import torch_pruning

    with torch.enable_grad(), _without_end_refused():
        graph = torch_pruning.DependencyGraph()
        graph.build_dependency(model, example_inputs=image, verbose=False)
        names = {id(module): f'{name}.' for name, module in model.named_modules()}
        # A layer's own parameters follow it, whatever way they take in the trace.
        layers = [module for module in model.modules() if isinstance(module, _LAYERS)]
        owned = {id(tensor) for module in layers for tensor in module.parameters(recurse=False)}
        names |= {id(t): name for name, t in model.named_parameters() if id(t) not in owned}
        found = [
            [coupling for item in group for coupling in _couplings(graph, names, item)]
            for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear])
        ]
    order = {name: index for index, name in enumerate(model.state_dict())}
    return [group for family in _families(_unfolded(found)) for group in _split(family, order)]


@contextmanager
def _without_end_refused() -> Iterator[None]:
    """Stop torch-pruning where it would follow a group for ever.

    Of a reshape that it misreads, its lists of units grow with every turn, or their number does.
    """
    from torch_pruning.dependency.group import Group as Traced

    add = Traced.add_dep

    def bounded(self: Any, dep: Any, idxs: Any) -> None:
        places = len(idxs) + sum(len(item.idxs) for item in self.items)
        if len(self.items) > _MOST_USES or places > _MOST_PLACES:
            raise RuntimeError('torch-pruning finds no end of the places of one group')
        add(self, dep, idxs)

    with _TRACING:
        Traced.add_dep = bounded
        try:
            yield
        finally:
            Traced.add_dep = add


def _couplings(graph: Any, names: dict[int, str], item: Any) -> Iterator[Coupling]:
    """Where one layer of a group holds its units."""
    module = item.dep.target.module
    # Of some places it is not known whose they are: if that mattered, the proof fails.
    known = [pair for pair in zip(item.idxs, item.root_idxs, strict=True) if None not in pair]
    if not known:
        return
    places, units = np.array(known, dtype=np.int64).T
    name = names.get(id(module), '')
    if isinstance(module, nn.Parameter):
        if not name:
            return
        dim = item.dep.target.pruning_dim
        yield Coupling((name, dim), module.shape[dim], places, units)
    elif type(module).__name__ == '_OutputOp':
        yield Coupling(OUTPUT, int(module.shape[1]), places, units)
    elif isinstance(module, _NORMS):
        own = {
            **dict(module.named_parameters(recurse=False)),
            **dict(module.named_buffers(recurse=False)),
        }
        for key, tensor in own.items():
            if tensor.ndim == 1 and len(tensor) > 1:
                yield Coupling((name + key, 0), len(tensor), places, units)
    elif isinstance(module, _LAYERS):
        groups = getattr(module, 'groups', 1)
        makes = graph.is_out_channel_pruning_fn(item.dep.handler)
        channels = graph.get_out_channels(module) if makes else graph.get_in_channels(module)
        if groups > 1:
            yield Coupling((f'{name}weight', -1), groups, places // (channels // groups), units)
        if groups == 1 or makes:
            # A transposed convolution has its inputs first.
            rows = makes != bool(getattr(module, 'transposed', False)) or groups > 1
            yield Coupling((f'{name}weight', int(not rows)), channels, places, units)
        for key, tensor in module.named_parameters(recurse=False):
            if makes and key != 'weight' and len(tensor) == channels > 1:
                yield Coupling((f'{name}{key}', 0), channels, places, units)


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
        bridges = {each.axis for each in group if each.axis[1] < 0}
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
    by_axis: dict[Axis, list[Coupling]] = defaultdict(list)
    for each in couplings:
        by_axis[each.axis].append(each)
    units = _Joined(1 + max((int(each.units.max()) for each in couplings), default=0))
    pairs = {}
    for axis, found in by_axis.items():
        places = np.concatenate([each.places for each in found])
        numbers = np.concatenate([each.units for each in found])
        pairs[axis] = places, numbers = np.unique(np.stack([places, numbers]), axis=1)
        # What lies in one place is one unit.
        for index in np.flatnonzero(places[1:] == places[:-1]):
            units.join(int(numbers[index]), int(numbers[index + 1]))
    labels, count = units.labels()
    lying = {
        axis: np.unique(np.stack([labels[numbers], places]), axis=1)
        for axis, (places, numbers) in pairs.items()
        if axis[1] >= 0
    }
    how_often = np.stack([np.bincount(own[0], minlength=count) for own in lying.values()])
    kinds, kind_of = np.unique(how_often, axis=1, return_inverse=True)
    for kind, blocks in enumerate(kinds.T):
        members = kind_of.reshape(-1) == kind
        if members.sum() < 2:
            continue
        uses = [
            Use(*axis, by_axis[axis][0].size, _kept_once(own[1][members[own[0]]].reshape(-1, n)))
            for (axis, own), n in zip(lying.items(), blocks.tolist(), strict=True)
            if n
        ]
        uses.sort(key=lambda use: (order.get(use.tensor, len(order)), use.dim))
        if uses and uses[0].tensor:
            yield Group(uses[0].tensor, (Part(tuple(uses)),))


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
