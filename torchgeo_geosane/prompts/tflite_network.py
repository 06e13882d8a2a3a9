"""Networks of TensorFlow Lite as torch modules: what their operators compute, channels first."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.prompts.layered import LayeredNetwork, Step, first, identity
from torchgeo_geosane.prompts.tflite_file import Graph, Operator

_ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {0: identity, 1: F.relu, 3: F.relu6}


class TfliteNetwork(LayeredNetwork):
    """A network of TensorFlow Lite, whose tensors are called as ``open_tflite`` calls them.

    Several outputs are given side by side: ``[batch, values]``.

    Args:
        graph: What it computes, see :func:`torchgeo_geosane.prompts.tflite_file.read_graph`.

    Raises:
        TokenError: If what an operator does is not known.
    """

    def __init__(self, graph: Graph) -> None:
        if len(graph.inputs) != 1 or not graph.outputs:
            raise TokenError(f'it is given {len(graph.inputs)} images, or gives nothing')
        modules: dict[str, nn.Module] = {}
        built: dict[str, tuple[object, ...]] = {}
        for operator in graph.operators:
            name = _name(operator)
            alike = (operator.bias, operator.shape, operator.shapes[:1], operator.options)
            if name and built.setdefault(name, alike) != alike:
                raise TokenError(f'{name!r} lies in layers that differ otherwise')
            if name and name not in modules:
                modules[name] = _module(operator)
        steps = [
            Step((), graph.inputs),
            *map(_step, graph.operators),
            Step(graph.outputs, (), _beside),
        ]
        super().__init__(steps, modules)


def _name(operator: Operator) -> str:
    """The module of an operator; empty where it has no weight."""
    name = operator.weight.removesuffix('.weight')
    if operator.bias not in ('', f'{name}.bias'):
        raise TokenError(f'{operator.bias!r} lies in layers that differ otherwise')
    return name


def _step(operator: Operator) -> Step:
    kind, options = operator.kind, operator.options
    if kind not in _COMPUTED or bool(operator.weight) != (kind in _WEIGHTED):
        raise TokenError(f'an operator is of a kind that is not known: {kind!r}')
    if len(operator.inputs) != (2 if kind == 'ADD' else 1):
        raise TokenError(f'an operator is given what it cannot be given: {kind!r}')
    if options.activation not in _ACTIVATIONS:
        raise TokenError(f'the activation of {kind!r} is not known: {options.activation}')
    before = _COMPUTED[kind](operator)
    after = _ACTIVATIONS[options.activation]
    name = _name(operator)
    if not name:
        return Step(operator.inputs, operator.outputs, lambda given: after(before(given)))
    return Step(operator.inputs, operator.outputs, before, name, after)


def _module(operator: Operator) -> nn.Module:
    outputs, inputs, *kernel = operator.shape
    bias = bool(operator.bias)
    if not kernel:
        return nn.Linear(inputs, outputs, bias)
    stride, dilation = operator.options.stride, operator.options.dilation
    channels = operator.shapes[0][-1] if operator.shapes and len(operator.shapes[0]) == 4 else 0
    groups = channels // inputs
    if min(groups, *stride, *dilation) < 1 or channels % inputs or outputs % groups:
        raise TokenError(f'{operator.weight!r} does not fit its image, or has no stride')
    return nn.Conv2d(channels, outputs, (kernel[0], kernel[1]), stride, 0, dilation, groups, bias)


def _beside(given: Sequence[Tensor]) -> Tensor:
    return given[0] if len(given) == 1 else torch.cat([each.flatten(1) for each in given], 1)


def _flat(given: Sequence[Tensor]) -> Tensor:
    """Values in the order that they have with channels last: ``[batch, values]``."""
    image = given[0]
    return (image.permute(0, 2, 3, 1) if image.ndim == 4 else image).flatten(1)


def _padded(operator: Operator) -> Callable[[Sequence[Tensor]], Tensor]:
    """What a convolution adds to its image's border: of an odd number, the smaller half comes first."""
    options = operator.options
    if options.padding not in (0, 1):
        raise TokenError(f'the padding of {operator.weight!r} is not known')
    return first if options.padding else partial(_keep_size, operator)


def _keep_size(operator: Operator, given: Sequence[Tensor]) -> Tensor:
    options = operator.options
    border: list[int] = []
    sizes = zip(
        given[0].shape[2:], operator.shape[2:], options.stride, options.dilation, strict=True
    )
    for size, kernel, stride, dilation in sizes:
        steps = -(-size // stride) - 1
        added = max(steps * stride + (kernel - 1) * dilation + 1 - size, 0)
        border = [added // 2, added - added // 2, *border]  # The last dimension comes first.
    return F.pad(given[0], border) if any(border) else given[0]


def _add(operator: Operator) -> Callable[[Sequence[Tensor]], Tensor]:
    if len(operator.shapes[0]) != len(operator.shapes[1]):
        raise TokenError('it adds values to an image')
    return lambda given: given[0] + given[1]


def _mean(operator: Operator) -> Callable[[Sequence[Tensor]], Tensor]:
    axes = sorted(axis % 4 for axis in operator.numbers)
    if axes != [1, 2] or len(operator.shapes[0]) != 4:
        raise TokenError('it has a mean that is not one of the pixels of an image')
    return lambda given: given[0].mean((2, 3), keepdim=operator.options.keep_dims)


def _pad(operator: Operator) -> Callable[[Sequence[Tensor]], Tensor]:
    widths = operator.numbers
    if len(widths) != 8 or any(widths[:2] + widths[6:]):
        raise TokenError('it has a border that is not one of an image')
    border = [*widths[4:6], *widths[2:4]]  # The last dimension comes first.
    return lambda given: F.pad(given[0], border)


def _reshape(operator: Operator) -> Callable[[Sequence[Tensor]], Tensor]:
    values = math.prod(operator.shapes[0][1:])
    if operator.numbers not in ((1, values), (-1, values), (1, -1)):
        raise TokenError('it has a reshape that is not one to a list of values')
    return _flat


_WEIGHTED = frozenset({'CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED'})
_COMPUTED: dict[str, Callable[[Operator], Callable[[Sequence[Tensor]], Tensor]]] = {
    'CONV_2D': _padded,
    'DEPTHWISE_CONV_2D': _padded,
    'FULLY_CONNECTED': lambda operator: _flat,
    'ADD': _add,
    'MEAN': _mean,
    'PAD': _pad,
    'RESHAPE': _reshape,
    'LOGISTIC': lambda operator: lambda given: torch.sigmoid(given[0]),
}
