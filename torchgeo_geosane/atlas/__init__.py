"""The map: where the models of a collection lie in a foundry's latent space."""

from torchgeo_geosane.atlas.map import Map, draw_map

__all__ = ['Map', 'draw_map']
