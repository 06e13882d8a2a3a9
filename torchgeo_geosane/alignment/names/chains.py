"""Blocks of known architectures: between which of their layers hidden units lie."""

from collections.abc import Iterator
from dataclasses import dataclass

from torchgeo_geosane.alignment.groups import Group
from torchgeo_geosane.alignment.names.layers import Layer, Network, group_of, join


@dataclass(frozen=True)
class Chain:
    """Layers of a block, one after the other, by their names inside it.

    Attributes:
        first: What makes the hidden units.
        between: What treats each of them alone, as far as it is there.
        last: What takes them in.
        block: All that such a block may hold: with anything else it is another one. Empty where
            the names of the layers are enough.
        normed: Whether the first of ``between`` must be there, a batch norm.
        gate: The squeeze-and-excitation that scales the units, if there is one: reduce, expand.
        before: The layer of the block that ``first`` comes after; empty where it begins the block.
    """

    first: str
    between: tuple[str, ...]
    last: str
    block: frozenset[str] = frozenset()
    normed: bool = False
    gate: tuple[str, str] | None = None
    before: str = ''


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_RESNET = _names('conv1 bn1 conv2 bn2 conv3 bn3 downsample shortcut se')
_CONVOLUTIONS = _names('conv1 conv2 conv3')
_SE = ('se.conv_reduce', 'se.conv_expand')

CHAINS = (
    # Residual blocks of ResNets, DenseNets, DarkNets; decoder blocks of segmentation_models_pytorch.
    Chain('conv1', ('bn1',), 'conv2', _RESNET, normed=True),
    Chain('conv2', ('bn2',), 'conv3', _RESNET, normed=True, before='conv1'),
    Chain('conv1', ('norm2',), 'conv2', _names('norm1 conv1 norm2 conv2'), normed=True),
    Chain('conv1.conv', ('conv1.bn',), 'conv2.conv', _CONVOLUTIONS, normed=True),
    Chain(
        *('conv2.conv', ('conv2.bn',), 'conv3.conv', _CONVOLUTIONS),
        normed=True,
        before='conv1.conv',
    ),
    Chain(
        *('conv1.0', ('conv1.1',), 'conv2.0'),
        _names('conv1 conv2 attention1 attention2'),
        normed=True,
    ),
    # Inverted bottlenecks of timm, torchvision and efficientnet_pytorch.
    Chain(
        *('conv_pw', ('bn1', 'conv_dw', 'bn2'), 'conv_pwl'),
        _names('conv_pw bn1 conv_dw bn2 se conv_pwl bn3'),
        normed=True,
        gate=_SE,
    ),
    Chain(
        *('conv_exp', ('bn1',), 'conv_pwl'),
        _names('conv_exp bn1 se conv_pwl bn2'),
        normed=True,
        gate=_SE,
    ),
    Chain(
        *('conv.0.0', ('conv.0.1', 'conv.1.0', 'conv.1.1'), 'conv.2'),
        _names('conv'),
        normed=True,
    ),
    Chain(
        *('_expand_conv', ('_bn0', '_depthwise_conv', '_bn1'), '_project_conv'),
        _names('_expand_conv _bn0 _depthwise_conv _bn1 _se_reduce _se_expand _project_conv _bn2'),
        normed=True,
        gate=('_se_reduce', '_se_expand'),
    ),
    # Squeeze-and-excitation itself.
    Chain('conv_reduce', ('bn',), 'conv_expand', _names('conv_reduce bn conv_expand')),
    Chain('_se_reduce', (), '_se_expand'),
    # MLPs of transformers and ConvNeXts: timm, torch, SAM, CLIP, transformers.
    Chain('fc1', ('norm', 'bn', 'grn', 'dwconv'), 'fc2', _names('fc1 norm bn grn dwconv fc2')),
    Chain(
        *('linear1', (), 'linear2'),
        _names('self_attn multihead_attn linear1 linear2 norm1 norm2 norm3'),
    ),
    Chain('lin1', (), 'lin2', _names('lin1 lin2')),
    Chain('c_fc', (), 'c_proj', _names('c_fc c_proj')),
    Chain('intermediate.dense', (), 'output.dense'),
    Chain('dense1', ('dwconv.dwconv',), 'dense2', _names('dense1 dwconv dense2')),
)


def find_chains(network: Network) -> Iterator[Group]:
    """The hidden units of every block that is known."""
    for block, parts in network.blocks.items():
        for chain in CHAINS:
            if not chain.block or parts <= chain.block:
                layers = _match(network, block, chain)
                if layers:
                    yield layers


def _match(network: Network, block: str, chain: Chain) -> Group | None:
    first, last = network.layer(block, chain.first), network.layer(block, chain.last)
    before = network.layer(block, chain.before) if chain.before else None
    if first is None or last is None or not network.may_lead(first, before):
        return None
    if any(join(block, name) in network.blocks for name in chain.between):
        return None  # Several layers in the place of one.
    count = first.weight[0]
    between = [network.layer(block, name) for name in chain.between]
    followers = [layer for layer in between if layer is not None]
    gate = _gate(network, block, chain.gate, count)
    if (
        not (last.is_matrix and last.weight[1] == count > 1)
        or (chain.normed and not (between[0] and between[0].is_batch_norm))
        or not all(layer.keeps_apart(count, any_norm=not chain.normed) for layer in followers)
        or gate is None
    ):
        return None
    rows = [axis for layer in (first, *followers, *gate[1:]) for axis in layer.rows()]
    return group_of(count, (*rows, *(layer.columns() for layer in (*gate[:1], last))))


def _gate(
    network: Network, block: str, names: tuple[str, str] | None, count: int
) -> tuple[Layer, ...] | None:
    """The layers of a gate: none where there is no gate; None where it is one not known."""
    if names is None:
        return ()
    parent = names[0].rpartition('.')[0]
    if parent and not network.blocks.get(join(block, parent), frozenset()) <= _names(
        'conv_reduce bn conv_expand'
    ):
        return None
    reduce, expand = (network.layer(block, name) for name in names)
    if reduce is None or expand is None:
        return () if reduce is expand else None
    fits = reduce.is_matrix and expand.is_matrix
    return (reduce, expand) if fits and reduce.weight[1] == expand.weight[0] == count else None
