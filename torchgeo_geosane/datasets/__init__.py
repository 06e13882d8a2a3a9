"""Datasets in TorchGeo's manner."""

from torchgeo_geosane.datasets.scene import IGNORE_INDEX
from torchgeo_geosane.datasets.sentinel2_landuse import Sentinel2LandUse

__all__ = ['IGNORE_INDEX', 'Sentinel2LandUse']
