"""Structured pruning by magnitude: a small architecture out of the strongest channels of a large one.

Channels that belong together are found by tracing the small network: what an addition or a product
joins, what a depthwise convolution or a norm passes on, are one group, kept or dropped as a whole.
"""

from collections import defaultdict
from dataclasses import dataclass

from torch import Tensor, fx, nn

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.compare.arithmetic import State
from torchgeo_geosane.errors import ComparisonError


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of several tensors that are one and the same.

    Attributes:
        places: Name of a tensor, and the dimension that runs over the channels.
    """

    places: tuple[tuple[str, int], ...]


def prune(larger: State, architecture: str, in_chans: int) -> State:
    """Keep the channels whose filters have the largest norms (Li et al. 2017, arXiv:1608.08710).

    Layers are those of the small architecture, by name: the first of each stage. Of a group of channels
    that several layers produce, the squared norms of all are summed.

    Args:
        larger: A larger model of the family.
        architecture: The small architecture; convolutions, norms, additions and products only.
        in_chans: Its input channels, which the larger model has too.

    Returns:
        The small state dict.

    Raises:
        ComparisonError: If the larger model lacks a tensor or has a smaller one, or the small
            architecture is of another kind.
    """
    target = get_architecture(architecture, in_chans).shapes
    pruned = {}
    for name, wanted in target.items():
        if name not in larger or larger[name].ndim != len(wanted.shape):
            raise ComparisonError(
                f'{architecture} cannot be pruned out of the larger model, which lacks {name!r}; '
                'name a larger one of the family'
            )
        pruned[name] = larger[name]
    for group in find_channel_groups(architecture, in_chans):
        kept = _strongest(larger, group, {target[name].shape[dim] for name, dim in group.places})
        for name, dim in group.places:
            pruned[name] = pruned[name].index_select(dim, kept)
    for name, wanted in target.items():
        if pruned[name].shape != wanted.shape:
            raise ComparisonError(
                f'{name!r} cannot be pruned from {tuple(larger[name].shape)} to {wanted.shape}: '
                'name a larger model of the family, in the same bands'
            )
        pruned[name] = pruned[name].to(wanted.dtype, copy=True)
    return pruned


def find_channel_groups(architecture: str, in_chans: int) -> list[ChannelGroup]:
    """Groups of channels of the headless architecture; those of its input are none.

    Raises:
        ComparisonError: If the architecture cannot be traced, or has layers of another kind.
    """
    model = get_architecture(architecture, in_chans).build()
    try:
        graph = _Layers().trace(model)
    except Exception as error:  # Tracing runs the model's own code, which may raise anything.
        raise ComparisonError(f'{architecture} cannot be traced for pruning: {error}') from error
    return _Grouping(model).of(graph)


class _Layers(fx.Tracer):
    """Traces down to layers: modules with parameters of their own, or without any."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = next(m.parameters(recurse=False), None)
        return own is not None or next(m.parameters(), None) is None


class _Grouping:
    """Follows channels through a graph: each node has the number of a group, or none."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._parents: list[int] = [0]  # Group 0 is the input's.
        self._places: list[tuple[str, int, int]] = []

    def of(self, graph: fx.Graph) -> list[ChannelGroup]:
        groups: dict[fx.Node, int] = {}
        for node in graph.nodes:
            found = [groups[each] for each in node.all_input_nodes if each in groups]
            if node.op == 'placeholder':
                groups[node] = 0
            elif found and node.op == 'call_module':
                groups[node] = self._pass(str(node.target), found[0])
            elif found:
                groups[node] = self._join(found)
        places = defaultdict(list)
        for name, dim, group in self._places:
            places[self._root(group)].append((name, dim))
        return [ChannelGroup(tuple(each)) for root, each in places.items() if root != self._root(0)]

    def _pass(self, name: str, group: int) -> int:
        """The group of a layer's output."""
        module = self._model.get_submodule(name)
        tensors = {key: value.ndim for key, value in module.state_dict().items()}
        if isinstance(module, nn.Conv2d | nn.Linear):
            groups = getattr(module, 'groups', 1)
            depthwise = groups > 1
            if depthwise and groups != module.weight.shape[0]:
                raise ComparisonError(f'pruning does not know grouped convolutions: {name}')
            if not depthwise:
                self._places.append((f'{name}.weight', 1, group))
                group = len(self._parents)
                self._parents.append(group)
        elif any(ndim > 1 for ndim in tensors.values()):
            raise ComparisonError(f'pruning does not know layers like {name}: {module}')
        self._places += [(f'{name}.{key}', 0, group) for key, ndim in tensors.items() if ndim]
        return group

    def _join(self, groups: list[int]) -> int:
        for group in groups[1:]:
            self._parents[self._root(group)] = self._root(groups[0])
        return groups[0]

    def _root(self, group: int) -> int:
        while self._parents[group] != group:
            group = self._parents[group]
        return group


def _strongest(larger: State, group: ChannelGroup, wanted: set[int]) -> Tensor:
    """Which channels to keep, in their order: int64 ``[n]``."""
    available = {larger[name].shape[dim] for name, dim in group.places}
    if len(wanted) > 1 or len(available) > 1 or min(available) < max(wanted):
        raise ComparisonError(
            f'channels of {group.places[0][0]!r} cannot be pruned from {sorted(available)} to '
            f'{sorted(wanted)}: name a larger model of the family'
        )
    strength = sum(
        larger[name].double().flatten(1).square().sum(1)
        for name, dim in group.places
        if dim == 0 and larger[name].ndim > 1
    )
    assert isinstance(strength, Tensor)  # Only a layer with a matrix begins a group.
    return strength.topk(wanted.pop()).indices.sort().values
