"""Groups of models of which only a state dict is known, told from its names and shapes."""

from torchgeo_geosane.alignment.names.find import find_hidden_units

__all__ = ['find_hidden_units']
