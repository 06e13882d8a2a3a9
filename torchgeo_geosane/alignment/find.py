"""The groups of an architecture: traced and proven where timm has it, else told from names."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import timm
import torch
from torch import nn

from torchgeo_geosane.alignment.attention import find_attention
from torchgeo_geosane.alignment.gated import find_gated
from torchgeo_geosane.alignment.groups import Group, Groups, NamedLayer
from torchgeo_geosane.alignment.names import find_hidden_units
from torchgeo_geosane.alignment.proof import Proof
from torchgeo_geosane.alignment.trace import OUTPUT, Trace, trace
from torchgeo_geosane.architectures import check_architecture, get_architecture
from torchgeo_geosane.construction import construct
from torchgeo_geosane.errors import ArchitectureError, TokenError
from torchgeo_geosane.foundry.files import printable, read_text, telling
from torchgeo_geosane.prompts.ncnn_file import parse_layers
from torchgeo_geosane.prompts.ncnn_network import NcnnNetwork
from torchgeo_geosane.prompts.tflite_file import Graph, read_graph
from torchgeo_geosane.prompts.tflite_network import TfliteNetwork

# Enough for most convolutional networks, and a fraction of the time of their own size.
_SMALL = 64
# A network that wants an image larger than this is not run.
_LARGE = 1024
# U-Nets without padding lose some forty pixels.
_PADLESS = (96, 96)


@lru_cache(maxsize=64)
def find_groups(architecture: str, num_classes: int = 0) -> Groups:
    """The groups of one of timm's architectures, each proven by running a network with it moved.

    The weights of that network are random: a function that stays the same does so for all weights.
    Takes the memory of the network in float64, and seconds; once a process.

    Args:
        architecture: A timm architecture.
        num_classes: Classes that the network tells apart; 0 is the headless one, whose features may
            come in another order.

    Raises:
        ArchitectureError: If timm has no such model.
    """
    check_architecture(architecture)
    make = partial(timm.create_model, architecture, pretrained=False, num_classes=num_classes)
    try:
        model = construct(make)
        channels, *own = model.pretrained_cfg['input_size']  # type: ignore[index]
    except Exception as error:  # Whatever the model's constructor raises.
        return Groups((), {'': f'{architecture} cannot be built: {error}'})
    for size in (_SMALL, _SMALL), own:  # Many want images of their own size.
        groups = groups_of_module(model, (channels, *size), keep_output=num_classes > 0)
        if '' not in groups.left_out:
            break
    return groups


def groups_of_module(model: nn.Module, image: tuple[int, ...], keep_output: bool = False) -> Groups:
    """The groups of a network whose code is there, each proven by running it with the group moved.

    Args:
        model: The network; it is copied.
        image: Channels, height and width of what it is given.
        keep_output: Whether its output keeps its order.
    """
    try:
        empty = torch.zeros(2, *image, dtype=next(model.parameters()).dtype, device='meta')
        found = trace(copy.deepcopy(model).to('meta').eval(), empty)
        generator = torch.Generator().manual_seed(0)
        given = torch.randn(1, *image, generator=generator, dtype=torch.float64)
        proof = Proof(copy.deepcopy(model).cpu(), given)
    except Exception as error:  # Tracing runs the model's own code, which may raise anything.
        return Groups((), {'': f'the network cannot be traced: {error}'})
    named = [*find_attention(model), *find_gated(model)]
    traced, left_out = _beside(named, found, keep_output)
    firsts = [layer.choices[0] for layer in named]
    failing = {id(group) for group in proof.failing([*traced, *firsts])}
    holding = [group for group in [*traced, *firsts] if id(group) not in failing]
    for group in traced:
        if id(group) in failing:
            left_out[group.name] = 'moving its units changes what the network computes'
    for layer in named:
        first, *coarser = layer.choices
        if id(first) in failing:
            held = next((group for group in coarser if proof.hold([group])), None)
            if held is None:
                what = 'heads' if first.sets > 1 else 'halves'
                left_out[first.name] = f'its {what} lie in an order that is not known'
            else:
                holding.append(held)
    return Groups(tuple(holding), left_out)


def _beside(
    named: Sequence[NamedLayer], found: Trace, keep_output: bool
) -> tuple[list[Group], dict[str, str]]:
    """What tracing found beside layers that are known by name, and what of it is left out, and why."""
    elsewhere = frozenset().union(*(layer.makes for layer in named))
    modules = tuple(f'{layer.choices[0].name.rsplit(".", 2)[0]}.' for layer in named)
    left_out = {name: why for name, why in found.left_out.items() if (name, 0) not in elsewhere}
    traced = []
    for group in found.groups:
        if keep_output and OUTPUT in group.axes:
            continue
        if not elsewhere.isdisjoint(group.axes):
            # Within the layer it is known better; whatever else tracing joins to it stays.
            if not all(name.startswith(modules) for name, _ in group.axes):
                left_out[group.name] = 'tracing takes its units for those of another layer'
        elif not group.fits:
            left_out[group.name] = 'what tracing says of it contradicts the shapes'
        else:
            traced.append(group)
    return traced, left_out


def groups_of_ncnn(path: Path) -> Groups:
    """The groups of a network of ncnn, whose file says what its layers do; each proven.

    Args:
        path: The file with its layers.

    Raises:
        TokenError: If it cannot be read.
    """
    with telling(TokenError, f'{printable(path)} cannot be read'):
        return _groups_of_layers(read_text(path))


@lru_cache(maxsize=64)
def _groups_of_layers(text: str) -> Groups:
    return _groups_of_network(partial(NcnnNetwork, parse_layers(text)), _PADLESS)


def groups_of_tflite(path: Path) -> Groups:
    """The groups of a network of TensorFlow Lite, whose file says what its operators do; each proven.

    Args:
        path: The file.

    Raises:
        TokenError: If it cannot be read.
    """
    return _groups_of_graph(read_graph(path))


@lru_cache(maxsize=64)
def _groups_of_graph(graph: Graph) -> Groups:
    make = partial(TfliteNetwork, graph)
    groups = _groups_of_network(make, (_SMALL, _SMALL))
    own = graph.shapes[0][1:3] if graph.shapes else ()
    # Where values are listed, the file says of how many pixels.
    if '' in groups.left_out and len(own) == 2 and max(own) <= _LARGE:
        groups = _groups_of_network(make, own)
    return groups


def _groups_of_network(make: Callable[[], nn.Module], size: tuple[int, ...]) -> Groups:
    """The groups of a network that is built from what its file says.

    Args:
        make: Builds it.
        size: Height and width of what it is given.
    """
    try:
        network = construct(make)
    except TokenError as error:
        return Groups((), {'': f'the network cannot be run: {error}'})
    stem = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    channels = stem.in_channels if stem else 1
    return groups_of_module(network, (channels, *size), keep_output=True)


def groups_of(shapes: Mapping[str, tuple[int, ...]], architecture: str | None) -> Groups:
    """The groups of a state dict.

    Args:
        shapes: Shapes of its floating-point tensors, the statistics of norms among them.
        architecture: What it is, as far as known. Where that is one of timm's, and the tensors are
            its own, the groups are those of :func:`find_groups`; else what names and shapes tell.
    """
    return _groups_of(tuple(shapes.items()), architecture)


@lru_cache(maxsize=256)
def _groups_of(items: tuple[tuple[str, tuple[int, ...]], ...], architecture: str | None) -> Groups:
    shapes = dict(items)
    try:
        known = get_architecture(architecture or '')
        heads = known.attention_heads
        classes = {shapes[name][0] for name in known.head if name in shapes}
        groups = find_groups(architecture or '', max(classes, default=0))
    except ArchitectureError:  # It is none of timm's: how many heads there are is not known.
        return find_hidden_units(shapes)
    whole = groups.within(shapes)
    if whole.count and all(
        shapes[use.tensor][use.dim] == use.size
        for group in whole.groups
        for part in group.parts
        for use in part.uses
    ):
        return whole
    return find_hidden_units(shapes, heads)
