"""Units of attention layers, told from names and shapes.

How many heads there are does not show in the shapes: it is known from the architecture, or from a
table with a column for each head.
"""

from collections.abc import Iterator, Mapping

from torchgeo_geosane.alignment.attention import attention
from torchgeo_geosane.alignment.groups import Group
from torchgeo_geosane.alignment.names.layers import Network, join

# All parts of a block that is an attention layer and nothing else.
_PARTS = (
    (('qkv',), 'proj'),
    (('q', 'k', 'v'), 'proj'),
    (('q_proj', 'k_proj', 'v_proj'), 'out_proj'),
)
_TABLE = 'relative_position_bias_table'


def find_heads(network: Network, heads: Mapping[int, int]) -> Iterator[Group]:
    """The units of every attention layer whose heads are known.

    Args:
        network: The network.
        heads: Heads by width of the values.
    """
    for block, parts in network.blocks.items():
        for inputs, output in _PARTS:
            layers = [network.layer(block, name) for name in (*inputs, output)]
            if parts != {*inputs, output} or not all(layer and layer.is_matrix for layer in layers):
                continue
            own = dict(network.layers[block].shapes) if block in network.layers else {}
            shapes = own | {
                f'{name}.{tensor}': shape
                for name, layer in zip((*inputs, output), layers, strict=True)
                if layer
                for tensor, shape in layer.shapes.items()
            }
            width = shapes[f'{output}.weight'][1]
            count = own[_TABLE][1] if own.keys() == {_TABLE} else 0 if own else heads.get(width, 0)
            found = attention(join(block, ''), shapes, inputs, output, count) if count else None
            if found is not None:
                yield found.choices[0]
