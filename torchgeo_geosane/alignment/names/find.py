"""Which units of a model without code may change places, told from the names and shapes of its tensors.

Between two layers of one block (convolution, batch norm, convolution; two linear layers of an MLP)
the order of channels is arbitrary. What runs past a block, a residual stream or a skip connection,
keeps its order. Where names and shapes leave doubt (grouped convolutions, group norms, layers not
known here) nothing is permuted.
"""

from collections.abc import Mapping

from torchgeo_geosane.alignment.groups import Groups
from torchgeo_geosane.alignment.names.attention import find_heads
from torchgeo_geosane.alignment.names.chains import find_chains
from torchgeo_geosane.alignment.names.layers import Network, Shapes
from torchgeo_geosane.alignment.names.sequences import find_sequences, find_whole


def find_hidden_units(shapes: Shapes, heads: Mapping[int, int] | None = None) -> Groups:
    """Find the hidden units that may change places.

    Args:
        shapes: Shapes of a model's floating-point tensors, the statistics of norms among them.
        heads: Heads of its attention by width, where its architecture is known
            (:func:`torchgeo_geosane.architectures.attention_heads`).
    """
    network = Network.of(shapes)
    found = (*find_chains(network), *find_sequences(network), *find_whole(network))
    # Two rules may find the same units, which begin in one layer.
    groups = {group.name: group for group in found}
    return Groups((*groups.values(), *find_heads(network, heads or {})))
