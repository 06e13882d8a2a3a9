"""Hidden units of attention: whole heads, and the dimensions of each head.

Queries and keys of a head meet in a scalar product, so their dimensions may change places together;
so may those of its values together with the columns of the output map that take them in. Whole
heads may change places as blocks. How many heads there are does not show in the shapes: it is
known from the architecture, or from a table with a column for each head.
"""

from collections.abc import Iterator, Mapping

from torchgeo_geosane.training.permutation.layers import Layer, Network
from torchgeo_geosane.training.permutation.units import Units, Use

_FUSED = frozenset({'qkv', 'proj'})
# Queries, keys, values, output.
_SEPARATE = (('q', 'k', 'v', 'proj'), ('q_proj', 'k_proj', 'v_proj', 'out_proj'))
_TABLE = 'relative_position_bias_table'


def find_heads(network: Network, heads: Mapping[int, int]) -> Iterator[Units]:
    """The units of every attention layer whose heads are known.

    Args:
        network: The network.
        heads: Heads by width of the values.
    """
    for block, parts in network.blocks.items():
        inputs, output = _layers(network, block, parts)
        if output is None or not output.is_matrix:
            continue
        width = output.weight[1]
        own = network.layers[block].shapes if block in network.layers else {}
        count = own[_TABLE][1] if own.keys() == {_TABLE} else 0 if own else heads.get(width, 0)
        fits = all(layer.is_matrix for layer in inputs) and (
            sum(layer.weight[0] for layer in inputs) == 3 * width
        )
        if count and fits and width % count == 0:
            tables = [Use(f'{block}.{name}', 1) for name in own]
            yield from _units(inputs, output, count, width // count, tables)


def _layers(
    network: Network, block: str, parts: frozenset[str]
) -> tuple[list[Layer], Layer | None]:
    """What makes queries, keys and values, and the output map; None where it is no attention."""
    names: tuple[str, ...] = ('qkv', 'proj') if parts == _FUSED else ()
    for separate in _SEPARATE:
        names = separate if parts == set(separate) else names
    found = [layer for name in names if (layer := network.layer(block, name)) is not None]
    if not names or len(found) < len(names):
        return [], None
    *inputs, output = found
    return inputs, output


def _units(
    inputs: list[Layer], output: Layer, heads: int, size: int, tables: list[Use]
) -> Iterator[Units]:
    width = heads * size
    queries, keys, values = [
        (layer, offset) for layer in inputs for offset in range(0, layer.weight[0], width)
    ]

    def rows(parts: list[tuple[Layer, int]], block: int) -> list[Use]:
        return [
            Use(use.tensor, 0, offset, block) for layer, offset in parts for use in layer.rows()
        ]

    columns = output.columns()
    if size > 1:
        yield Units(size, (*rows([queries, keys], 1),), sets=heads)
        yield Units(size, (*rows([values], 1), columns), sets=heads)
    if heads > 1:
        whole = Use(columns.tensor, 1, block=size)
        yield Units(heads, (*rows([queries, keys, values], size), whole, *tables))
