"""Which hidden units of a model may change places, told from the names and shapes of its tensors.

Between two layers of one block (convolution, batch norm, convolution; two linear layers of an MLP)
the order of channels is arbitrary. What runs past a block, a residual stream or a skip connection,
keeps its order. Where names and shapes leave doubt (grouped convolutions, group norms, layers not
known here) nothing is permuted.
"""

from collections.abc import Mapping

from torchgeo_geosane.training.permutation.attention import find_heads
from torchgeo_geosane.training.permutation.chains import find_chains
from torchgeo_geosane.training.permutation.layers import Network, Shapes
from torchgeo_geosane.training.permutation.sequences import find_sequences, find_whole
from torchgeo_geosane.training.permutation.units import HiddenUnits


def find_hidden_units(shapes: Shapes, heads: Mapping[int, int] | None = None) -> HiddenUnits:
    """Find the hidden units that may change places.

    Args:
        shapes: Shapes of a model's floating-point tensors, the statistics of norms among them.
        heads: Heads of its attention by width, where its architecture is known
            (:func:`torchgeo_geosane.architectures.attention_heads`).
    """
    network = Network.of(shapes)
    found = (*find_chains(network), *find_sequences(network), *find_whole(network))
    # Two rules may find the same units, which begin in one layer.
    units = {units.uses[0].tensor: units for units in found}
    return HiddenUnits((*units.values(), *find_heads(network, heads or {})))
