"""Which weights suit one's own data: probes on frozen features of training images, before any training."""

from torchgeo_geosane.rank.ranking import Ranking, rank
from torchgeo_geosane.rank.wanted import Wanted

__all__ = ['Ranking', 'Wanted', 'rank']
