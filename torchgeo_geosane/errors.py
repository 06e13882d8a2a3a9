"""Errors, one class for each thing a user can get wrong. Messages name the nearest valid choice."""

from torchgeo_geosane.foundry.errors import FoundryError, GeoSANEError, TokenError, did_you_mean

__all__ = [
    'AlignmentError',
    'ArchitectureError',
    'CacheError',
    'ComparisonError',
    'DataError',
    'FoundryError',
    'GeoSANEError',
    'LocationError',
    'PromptError',
    'SensorError',
    'SpecError',
    'TokenError',
    'TransformError',
    'did_you_mean',
]


class SpecError(GeoSANEError, ValueError):
    """A spec, its URL, or one of its fields is malformed."""


class ArchitectureError(SpecError):
    """The architecture is unknown to timm, or cannot take what was asked of it."""


class SensorError(SpecError):
    """The sensor or one of its bands is unknown."""


class PromptError(GeoSANEError):
    """A prompt cannot be found or read, or its tensors do not fit the architecture."""


class AlignmentError(GeoSANEError):
    """Networks cannot be brought into one order: two architectures, or values that are no numbers."""


class CacheError(GeoSANEError):
    """A cached or exported weights file is damaged, foreign, or cannot be written."""


class ComparisonError(GeoSANEError):
    """A comparison contradicts itself, or some of its runs failed."""


class DataError(GeoSANEError):
    """Imagery or labels are missing, damaged, or contradict each other."""


class TransformError(GeoSANEError, ValueError):
    """A transform is asked for what it cannot do, or does not fit its input."""


class LocationError(GeoSANEError, ValueError):
    """Coordinates are not on the globe, or points not in their image."""
