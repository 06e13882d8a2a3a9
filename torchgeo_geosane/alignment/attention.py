"""Units of attention: whole heads, and the dimensions of each head.

Queries and keys of a head meet in a scalar product, so their dimensions may change places together;
so may those of its values together with the columns of the output map that take them in. Whole
heads may change places with all that is theirs. Tracing does not see heads, so they are found by the
names of a layer's parts, and proven like every group.
"""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from torchgeo_geosane.alignment.groups import Group, NamedLayer, Part, Use, span

# What makes queries, keys and values, and the map of the output.
LAYERS = (
    (('qkv',), 'proj'),
    (('q', 'kv'), 'proj'),
    (('q', 'k', 'v'), 'proj'),
    (('q_proj', 'k_proj', 'v_proj'), 'proj'),
    (('q_proj', 'k_proj', 'v_proj'), 'out_proj'),
)
# Tensors with a place for each head, and the dimension of it.
_TABLES = {
    'relative_position_bias_table': 1,
    'rel_pos.relative_position_bias_table': 1,
    'logit_scale': 0,
    'cpb_mlp.2.weight': 0,
    'meta_mlp.fc2.weight': 0,
    'meta_mlp.fc2.bias': 0,
    'rel_pos.mlp.fc2.weight': 0,
    'rel_pos.mlp.fc2.bias': 0,
}
# Biases beside the layers, and which of queries, keys and values they are added to.
_BIASES = {'q_bias': 0, 'v_bias': 2}


def find_attention(model: nn.Module) -> Iterator[NamedLayer]:
    """Every attention layer of a model whose parts are known by name."""
    for path, module in model.named_modules():
        heads = getattr(module, 'num_heads', None)
        if isinstance(heads, int) and heads > 0:
            shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
            for inputs, output in LAYERS:
                found = attention(f'{path}.' if path else '', shapes, inputs, output, heads)
                if found is not None:
                    yield found
                    break


def attention(
    path: str,
    shapes: Mapping[str, tuple[int, ...]],
    inputs: Sequence[str],
    output: str,
    heads: int,
) -> NamedLayer | None:
    """One attention layer, if it has these parts.

    Args:
        path: What the names of its tensors begin with.
        shapes: Shapes of its tensors, by the rest of their names.
        inputs: The layers that make queries, keys and values, in this order.
        output: The layer that takes the values in.
        heads: How many heads there are.
    """
    weights = [shapes.get(f'{layer}.weight', ()) for layer in (*inputs, output)]
    if not all(len(weight) >= 2 for weight in weights):
        return None
    width = weights[-1][1]
    made = [weight[0] for weight in weights[:-1]]
    if width % heads or any(length % width for length in made) or sum(made) != 3 * width:
        return None
    # Of queries, keys and values the tensors, their lengths, and where in them each begins.
    rows = [
        [(name, length, offset) for name in (f'{layer}.weight', f'{layer}.bias') if name in shapes]
        for layer, length in zip(inputs, made, strict=True)
        for offset in range(0, length, width)
    ]
    for name, index in _BIASES.items():
        if shapes.get(name) == (width,):
            rows[index].append((name, width, 0))

    def uses(which: slice, block: int) -> list[Use]:
        return [
            Use(path + name, 0, length, span(width // block, offset, block))
            for each in rows[which]
            for name, length, offset in each
        ]

    tables = [
        Use(path + name, dim, heads, span(heads))
        for name, dim in _TABLES.items()
        if shapes.get(name, ())[dim : dim + 1] == (heads,)
    ]
    size = width // heads
    # First every dimension for itself, then those of queries and keys in the order of their head (they
    # are turned, or normed by tensors that all heads share), then those of values too.
    choices = []
    for keys, values in ((1, 1), (size, 1), (size, size)):
        columns = Use(f'{path}{output}.weight', 1, width, span(width // values, 0, values))
        parts = [uses(slice(2), keys), [*uses(slice(2, 3), values), columns], tables]
        choices.append(
            Group(f'{path}{inputs[0]}.weight', tuple(Part(tuple(p)) for p in parts if p), heads)
        )
    makes = frozenset((path + name, 0) for each in rows for name, _, _ in each)
    return NamedLayer(makes, tuple(choices))
