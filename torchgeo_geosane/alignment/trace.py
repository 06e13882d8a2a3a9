"""Groups of an architecture, from torch-pruning, which finds coupled channels by tracing.

To prune a channel is to know every place that has to follow; so is to move it. What is found here is
a guess until it is proven (see ``proof``): tracing does not see every way that channels are cut.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchgeo_geosane.alignment.couplings import CONVOLUTION, NORM, Coupling, Numbers, join
from torchgeo_geosane.alignment.groups import Axis, Group

# The model's output, which comes in another order where a group reaches it.
OUTPUT: Axis = ('', 1)

# A residual stream of forty blocks has some 700 uses, with some thousand places in each.
_MOST_USES, _MOST_PLACES = 1_500, 131_072
# How often one place of a layer may be listed: as often as a radix of ResNeSt has it.
_MOST_REPEATED = 4
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
class Trace:
    """What tracing tells of a model.

    Attributes:
        groups: The groups that it seems to have.
        left_out: Why some could not be followed, by the tensor that makes their units.
    """

    groups: list[Group]
    left_out: dict[str, str]


def trace(model: nn.Module, image: Tensor) -> Trace:
    """The groups that a model seems to have.

    Args:
        model: The model; on the meta device nothing is computed.
        image: What it is given.

    Raises:
        Exception: Whatever the model's code, or the tracing of it, raises.
    """
    # Imported where it is needed: few who generate weights align any.
    import torch_pruning

    with torch.enable_grad(), _following() as followed:
        graph = torch_pruning.DependencyGraph()
        graph.build_dependency(
            model, example_inputs=image, output_transform=_beyond_the_last_layer, verbose=False
        )
        names = {id(module): f'{name}.' for name, module in model.named_modules()}
        # A layer's own parameters follow it, whatever way they take in the trace.
        layers = [module for module in model.modules() if isinstance(module, _LAYERS)]
        owned = {id(tensor) for module in layers for tensor in module.parameters(recurse=False)}
        names |= {id(t): name for name, t in model.named_parameters() if id(t) not in owned}
        found, left_out, reached = [], {}, set()
        for root in [m for m in graph.module2node if isinstance(m, nn.Conv2d | nn.Linear)]:
            if root in reached:
                continue
            followed.clear()
            makes = graph.get_pruner_of_module(root).prune_out_channels
            try:
                items = graph.get_pruning_group(root, makes, [*range(graph.get_out_channels(root))])
            except Exception as error:  # Of a reshape that is misread, there are many.
                left_out[f'{names[id(root)]}weight'] = f'its units cannot be followed: {error}'
                items = [item for group in followed for item in group.items]
            else:
                found.append([each for item in items for each in _couplings(graph, names, item)])
            # What makes units of this group begins no other one.
            reached |= {dep.target.module for dep, _ in items if _makes(graph, dep)}
    return Trace(join(found, model.state_dict()), left_out)


@contextmanager
def _following() -> Iterator[list[Any]]:
    """Watch torch-pruning follow groups, and stop it where it would follow one for ever.

    Of a reshape that it misreads, its lists of units grow with every turn, or their number does.

    Yields:
        A list with the group that it follows, as far as it has come.
    """
    from torch_pruning.dependency.group import Group as Followed

    add = Followed.add_dep
    last: list[Any] = []

    def bounded(self: Any, dep: Any, idxs: Any) -> None:
        last[:] = [self]
        if len(self.items) > _MOST_USES or len(idxs) > _most_places(dep.target.module):
            raise RuntimeError('torch-pruning finds no end of them')
        add(self, dep, idxs)

    with _TRACING:
        Followed.add_dep = bounded
        try:
            yield last
        finally:
            Followed.add_dep = add


def _beyond_the_last_layer(output: Any) -> list[Tensor]:
    """The outputs, as something that follows the last layer: else nothing says that it gives them."""
    from torch_pruning.utils import flatten_as_list

    return [each + 0 for each in flatten_as_list(output)]


def _most_places(module: Any) -> int:
    """How long a list of a layer's places may be: not many times as long as the layer is wide."""
    own = module.parameters(recurse=False) if isinstance(module, nn.Module) else ()
    widths = [size for tensor in own for size in tensor.shape]
    return _MOST_REPEATED * max(widths) if widths else _MOST_PLACES


def _makes(graph: Any, dep: Any) -> bool:
    """Whether a layer makes the units, rather than takes them in."""
    return bool(graph.is_out_channel_pruning_fn(dep.handler))


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
        if name:
            dim = item.dep.target.pruning_dim
            yield Coupling((name, dim), module.shape[dim], places, units)
    elif type(module).__name__ == '_OutputOp':
        yield Coupling(OUTPUT, int(module.shape[1]), places, units)
    elif isinstance(module, _NORMS):
        yield from _couplings_of_norm(module, name, places, units)
    elif isinstance(module, _LAYERS):
        makes = _makes(graph, item.dep)
        channels = graph.get_out_channels(module) if makes else graph.get_in_channels(module)
        yield from _couplings_of_layer(module, name, makes, channels, places, units)


def _couplings_of_norm(
    norm: nn.Module, name: str, places: Numbers, units: Numbers
) -> Iterator[Coupling]:
    """Where what scales units holds them."""
    own = {
        **dict(norm.named_parameters(recurse=False)),
        **dict(norm.named_buffers(recurse=False)),
    }
    for key, tensor in own.items():
        if tensor.ndim == 1 and len(tensor) > 1:
            yield Coupling((name + key, 0), len(tensor), places, units)
    if isinstance(norm, nn.GroupNorm) and 1 < norm.num_groups < norm.num_channels:
        members = norm.num_channels // norm.num_groups
        yield Coupling((name, NORM), norm.num_groups, places // members, units)


def _couplings_of_layer(
    layer: nn.Module, name: str, makes: bool, channels: int, places: Numbers, units: Numbers
) -> Iterator[Coupling]:
    """Where what makes units, or takes them in, holds them."""
    weight = f'{name}weight'
    groups = getattr(layer, 'groups', 1)
    if groups > 1:
        yield Coupling((weight, CONVOLUTION), groups, places // (channels // groups), units)
    if groups == 1 or makes:
        # A transposed convolution has its inputs first.
        rows = makes != bool(getattr(layer, 'transposed', False)) or groups > 1
        yield Coupling((weight, int(not rows)), channels, places, units)
    for key, tensor in layer.named_parameters(recurse=False):
        if makes and key != 'weight' and len(tensor) == channels > 1:
            yield Coupling((f'{name}{key}', 0), channels, places, units)
