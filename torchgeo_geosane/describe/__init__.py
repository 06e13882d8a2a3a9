"""What would be read of somebody's imagery, before any training."""

from torchgeo_geosane.describe.describe import Described, describe

__all__ = ('Described', 'describe')
