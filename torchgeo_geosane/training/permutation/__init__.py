"""Hidden units may change places: other weights, the same function. The second view of a window."""

from torchgeo_geosane.training.permutation.find import find_hidden_units
from torchgeo_geosane.training.permutation.units import HiddenUnits, PermutedSource

__all__ = ['HiddenUnits', 'PermutedSource', 'find_hidden_units']
