"""Training a foundry on a collection of trained models."""

from torchgeo_geosane.training.config import CollectionConfig, HardwareConfig, OptimisationConfig
from torchgeo_geosane.training.data import FoundryDataModule
from torchgeo_geosane.training.module import FoundryTask
from torchgeo_geosane.training.store import OpenedModel
from torchgeo_geosane.training.train import train_foundry
from torchgeo_geosane.training.windows import TokenWindows

__all__ = [
    'CollectionConfig',
    'FoundryDataModule',
    'FoundryTask',
    'HardwareConfig',
    'OpenedModel',
    'OptimisationConfig',
    'TokenWindows',
    'train_foundry',
]
