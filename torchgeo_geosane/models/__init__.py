"""Modules that networks are built from; no tasks."""

from torchgeo_geosane.models.ensemble import FeatureEnsemble, Member, PooledEnsemble
from torchgeo_geosane.models.image_encoder import ImageEncoder
from torchgeo_geosane.models.local_interpolation import LocalInterpolation
from torchgeo_geosane.models.location import LocationEncoder, equal_earth

__all__ = (
    'FeatureEnsemble',
    'ImageEncoder',
    'LocalInterpolation',
    'LocationEncoder',
    'Member',
    'PooledEnsemble',
    'equal_earth',
)
