"""Collections: the trained models a foundry learns from, and the manifest that names them.

A source lists models with their origin and licence, and opens their tensors on demand: Python
packages with weights inside, folders, TorchGeo, timm and the Hugging Face Hub. ``gather`` puts a
collection together and writes its manifest.
"""

from torchgeo_geosane.collection.base import CollectionError, ModelSource, TrainedModel
from torchgeo_geosane.collection.collect import collect
from torchgeo_geosane.collection.manifest import ManifestEntry, read_manifest, write_manifest
from torchgeo_geosane.collection.packages import DEEPDESPECKLING, UKIS_CSMASK, PackageSource

__all__ = [
    'DEEPDESPECKLING',
    'UKIS_CSMASK',
    'CollectionError',
    'ManifestEntry',
    'ModelSource',
    'PackageSource',
    'TrainedModel',
    'collect',
    'read_manifest',
    'write_manifest',
]
