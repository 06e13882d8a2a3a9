"""Training a foundry on a collection of trained models."""

from torchgeo_geosane.training.config import CollectionConfig, HardwareConfig, OptimisationConfig
from torchgeo_geosane.training.data import FoundryDataModule, OpenedModel, TokenWindows
from torchgeo_geosane.training.module import FoundryTask
from torchgeo_geosane.training.train import train_foundry

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
