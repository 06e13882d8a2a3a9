"""Hidden units of layers that stand in a row: ``nn.Sequential``, and networks that are one chain."""

from collections.abc import Iterator

from torchgeo_geosane.alignment.groups import Group
from torchgeo_geosane.alignment.names.layers import Layer, Network, group_of

# Longer sequences may be encoders, whose inner layers a decoder also looks at.
_SHORT = 3
_HEADS = frozenset({'classifier', 'pre_logits', 'head', 'fc'})


def find_sequences(network: Network) -> Iterator[Group]:
    """The hidden units of sequences: layers that are numbered, with activations between them.

    A list of parallel layers has numbers too, but none is left out for an activation.
    """
    for block, parts in network.blocks.items():
        numbers = sorted(int(part) for part in parts if part.isdecimal())
        layers = [network.layer(block, str(number)) for number in numbers]
        found = [layer for layer in layers if layer is not None]
        if len(found) < len(parts) or any(layer.path in network.blocks for layer in found):
            continue  # Not layers alone.
        if sum(layer.is_matrix for layer in found) <= _SHORT or _is_trunk(network, block):
            yield from _walk(network, numbers, found)


def find_whole(network: Network) -> Iterator[Group]:
    """The hidden units of a network without blocks that is one chain of layers in state-dict order.

    A residual connection has no weights, but needs layers of equal widths: so only widths that occur
    once are permuted.
    """
    layers = list(network.layers.values())
    if len({layer.path.rpartition('.')[0] for layer in layers}) > 1:
        return
    matrices = [layer for layer in layers if layer.is_matrix and not layer.is_depthwise]
    widths = [matrices[0].weight[1], *(layer.weight[0] for layer in matrices)] if matrices else []
    found = []
    index = 0
    while index < len(layers) - 1:
        first = layers[index]
        stop = _next_matrix(layers, index)
        if not network.may_lead(first) or not _is_followed(first, layers[index + 1 : stop]):
            return
        if stop == len(layers):
            break
        last, count = layers[stop], first.weight[0]
        if last.weight[1] == count and widths.count(count) == 1:
            found.append(_units(first, layers[index + 1 : stop], last))
        elif not _continues(first, last):
            return
        index = stop
    yield from found


def _walk(network: Network, numbers: list[int], layers: list[Layer]) -> Iterator[Group]:
    for index, first in enumerate(layers):
        if not network.may_lead(first):
            continue
        stop = _next_matrix(layers, index)
        if stop == len(layers) or layers[stop].weight[1] != first.weight[0]:
            continue
        has_activation = numbers[stop] - numbers[index] > stop - index
        if has_activation and _is_followed(first, layers[index + 1 : stop]):
            yield _units(first, layers[index + 1 : stop], layers[stop])


def _next_matrix(layers: list[Layer], index: int) -> int:
    """Where the next layer is that mixes channels; the number of layers where there is none."""
    following = range(index + 1, len(layers))
    mixing = (i for i in following if layers[i].is_matrix and not layers[i].is_depthwise)
    return next(mixing, len(layers))


def _is_followed(first: Layer, between: list[Layer]) -> bool:
    return all(layer.keeps_apart(first.weight[0], any_norm=False) for layer in between)


def _continues(first: Layer, last: Layer) -> bool:
    """Whether a layer takes in what another gives, be it flattened."""
    flattens = len(first.weight) > 2 == len(last.weight)
    return last.weight[1] == first.weight[0] or (flattens and last.weight[1] % first.weight[0] == 0)


def _units(first: Layer, between: list[Layer], last: Layer) -> Group:
    rows = [axis for layer in (first, *between) for axis in layer.rows()]
    return group_of(first.weight[0], (*rows, last.columns()))


def _is_trunk(network: Network, block: str) -> bool:
    """Whether nothing but a head follows a sequence, as in a VGG."""
    parent, _, name = block.rpartition('.')
    others = network.blocks[parent] - {name} if block else frozenset()
    outside = [
        layer.path
        for layer in network.layers.values()
        if layer.is_matrix and parent and not layer.path.startswith(f'{parent}.')
    ]
    return others <= _HEADS and not outside
