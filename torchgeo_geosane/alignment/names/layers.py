"""The layers of a network, as far as names and shapes tell."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from torchgeo_geosane.alignment.groups import Axis, Group, Part, Use, span

Shapes = Mapping[str, tuple[int, ...]]

_NORM = {'weight', 'bias', 'running_mean', 'running_var'}


@dataclass(frozen=True)
class Layer:
    """The tensors of one layer.

    Attributes:
        path: Its name.
        shapes: Shape of each of its tensors.
    """

    path: str
    shapes: Shapes

    @cached_property
    def weight(self) -> tuple[int, ...]:
        """Shape of its weight; empty where it has none."""
        return self.shapes.get('weight', ())

    @cached_property
    def is_matrix(self) -> bool:
        """Whether it is a linear layer or a convolution, with a bias or without."""
        if len(self.weight) < 2 or not self.shapes.keys() <= {'weight', 'bias'}:
            return False
        rows, columns, *kernel = self.weight
        # A transposed convolution has its inputs first; where both sides are equal its kernel,
        # mostly an even one, is all that gives it away.
        transposed = rows == columns and kernel and all(size % 2 == 0 for size in kernel)
        return not transposed and self.shapes.get('bias', (rows,)) == (rows,)

    @cached_property
    def is_depthwise(self) -> bool:
        """Whether it is a convolution of each channel alone."""
        return self.is_matrix and len(self.weight) > 2 and self.weight[1] == 1 < self.weight[0]

    @cached_property
    def is_batch_norm(self) -> bool:
        """Whether it is a norm with running statistics; others may look at groups of channels."""
        return 'running_mean' in self.shapes

    def keeps_apart(self, count: int, any_norm: bool) -> bool:
        """Whether it treats each of ``count`` channels alone, or all alike.

        Args:
            count: Channels.
            any_norm: Whether a norm without running statistics counts.
        """
        if self.is_depthwise:
            return self.weight[0] == count
        norm = self.is_batch_norm or any_norm
        return norm and self.shapes.keys() <= _NORM and {*self.shapes.values()} == {(count,)}

    def rows(self) -> Iterator[Axis]:
        """Its tensors, along the first dimension."""
        return ((f'{self.path}.{name}', 0) for name in self.shapes)

    def columns(self) -> Axis:
        """Its weight, along the inputs."""
        return f'{self.path}.weight', 1


@dataclass(frozen=True)
class Network:
    """The layers of a model, and what they are parts of.

    Attributes:
        layers: By path, in state-dict order.
        blocks: For every path the names of what lies directly below it; the model itself is ``''``.
    """

    layers: Mapping[str, Layer]
    blocks: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, shapes: Shapes) -> 'Network':
        """Sort tensors into layers and blocks."""
        layers: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
        blocks: dict[str, set[str]] = defaultdict(set)
        for name, shape in shapes.items():
            path, _, tensor = name.rpartition('.')
            layers[path][tensor] = shape
            parts = path.split('.') if path else []
            for depth, part in enumerate(parts):
                blocks['.'.join(parts[:depth])].add(part)
        return cls(
            {path: Layer(path, found) for path, found in layers.items()},
            {path: frozenset(names) for path, names in blocks.items()},
        )

    @cached_property
    def widths(self) -> frozenset[int]:
        """How many channels its layers give."""
        return frozenset(layer.weight[0] for layer in self.layers.values() if layer.weight)

    def layer(self, block: str, name: str) -> Layer | None:
        """A layer of a block; None where it is not there."""
        return self.layers.get(join(block, name))

    @cached_property
    def _first(self) -> Layer | None:
        return next((layer for layer in self.layers.values() if layer.is_matrix), None)

    def may_lead(self, layer: Layer, before: Layer | None = None) -> bool:
        """Whether a layer's rows may change places: not those of a grouped convolution.

        Args:
            layer: The layer.
            before: The layer before it, where that is known.
        """
        if not layer.is_matrix or layer.is_depthwise:
            return False
        rows, columns, *kernel = layer.weight
        if before is not None:
            return before.weight[:1] == (columns,)
        # A grouped convolution divides its inputs: it has fewer than any layer gives.
        divides = bool(kernel) and rows % columns == 0 and columns not in self.widths
        return not divides or layer is self._first


def group_of(count: int, axes: Iterable[Axis]) -> Group:
    """A group of units that lie one after the other along all of some tensors' dimensions."""
    uses = tuple(Use(*axis, count, span(count)) for axis in axes)
    return Group(uses[0].tensor, (Part(uses),))


def join(block: str, name: str) -> str:
    """The path of a part of a block."""
    return f'{block}.{name}' if block else name
