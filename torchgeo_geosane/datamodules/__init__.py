"""Data modules in TorchGeo's manner."""

from torchgeo_geosane.datamodules.sentinel2_landuse import Sentinel2LandUseDataModule

__all__ = ['Sentinel2LandUseDataModule']
