"""Networks of ncnn as torch modules: what their layers compute."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.prompts.layered import LayeredNetwork, Step, first, identity
from torchgeo_geosane.prompts.ncnn_file import Layer

_ACTIVATIONS: dict[int, Callable[[Layer], Callable[[Tensor], Tensor]]] = {
    0: lambda layer: identity,
    1: lambda layer: F.relu,
    2: lambda layer: partial(F.leaky_relu, negative_slope=layer.lists[10][0]),
    4: lambda layer: torch.sigmoid,
}


class NcnnNetwork(LayeredNetwork):
    """A network of ncnn, whose tensors are called as :func:`open_ncnn` calls them.

    Args:
        layers: Its layers, see :func:`torchgeo_geosane.prompts.ncnn_file.read_layers`.

    Raises:
        TokenError: If the activation of a layer is not known.
    """

    def __init__(self, layers: list[Layer]) -> None:
        steps = [_step(layer) for layer in layers]
        super().__init__(steps, {layer.name: _module(layer) for layer in layers if layer.name})


def _step(layer: Layer) -> Step:
    if not layer.name:
        return Step(layer.inputs, layer.outputs, partial(_COMPUTED[layer.kind], layer))
    if layer.size(9) not in _ACTIVATIONS:
        raise TokenError(f'the activation of {layer.name!r} is not known')
    after = _ACTIVATIONS[layer.size(9)](layer)
    return Step(layer.inputs, layer.outputs, first, layer.name, after)


def _module(layer: Layer) -> nn.Module:
    shape, bias = layer.shapes['weight'], 'bias' in layer.shapes
    if layer.kind == 'InnerProduct':
        return nn.Linear(shape[1], shape[0], bias)
    stride, pad = layer.size(3, 1), layer.size(4)
    if layer.kind == 'Deconvolution':
        return nn.ConvTranspose2d(shape[1], shape[0], layer.kernel, stride, pad, bias=bias)
    groups = layer.size(7, 1) if layer.kind == 'ConvolutionDepthWise' else 1
    return nn.Conv2d(
        shape[1] * groups, shape[0], layer.kernel, stride, pad, groups=groups, bias=bias
    )


def _crop(layer: Layer, given: Sequence[Tensor]) -> Tensor:
    """Cut a border off: by starts and ends, or from an offset on to the size of another blob."""
    image = given[0]
    if len(given) == 2:
        left, top = layer.size(0), layer.size(1)
        height, width = given[1].shape[-2:]
        return image[..., top : top + height, left : left + width]
    starts, ends, axes = (map(int, layer.lists[key]) for key in (9, 10, 11))
    cut = {axis: slice(start, end) for start, end, axis in zip(starts, ends, axes, strict=True)}
    return image[..., cut.get(-2, slice(None)), cut.get(-1, slice(None))]


def _combine(product: bool, given: Sequence[Tensor]) -> Tensor:
    one, other = (each[..., None, None] if each.ndim == 2 else each for each in given)
    return one * other if product else one + other


_COMPUTED: dict[str, Callable[[Layer, Sequence[Tensor]], Tensor]] = {
    'Input': lambda layer, given: given[0],
    'Split': lambda layer, given: given[0],
    'Pooling': lambda layer, given: F.adaptive_avg_pool2d(given[0], 1).flatten(1),
    'Crop': _crop,
    'Scale': lambda layer, given: _combine(True, given),
    'BinaryOp': lambda layer, given: _combine(layer.size(0) == 2, given),
    'Eltwise': lambda layer, given: _combine(layer.size(0) == 0, given),
    'PixelShuffle': lambda layer, given: F.pixel_shuffle(given[0], layer.size(0, 1)),
}
