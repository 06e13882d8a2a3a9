"""Trained networks inside packages of Python and npm: one table, which prompts and collections read."""

from torchgeo_geosane.packages.base import WHEELS, Encoder, Package, PackageError, locate
from torchgeo_geosane.packages.table import (
    DEEPDESPECKLING,
    HASHES,
    PACKAGES,
    UKIS_CSMASK,
    find_package,
)

__all__ = [
    'DEEPDESPECKLING',
    'HASHES',
    'PACKAGES',
    'UKIS_CSMASK',
    'WHEELS',
    'Encoder',
    'Package',
    'PackageError',
    'find_package',
    'locate',
]
