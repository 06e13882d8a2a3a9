"""Families of architectures, told from names."""

import re

from torchgeo_geosane.collection import ManifestEntry

# The first that occurs counts: a U-Net may have a ResNet inside, a ResNeXt is no ResNet.
_KNOWN = (
    *('unet', 'segformer', 'deeplab', 'efficientnet', 'mobilenet', 'shufflenet', 'densenet'),
    *('convnext', 'resnext', 'regnet', 'resnet', 'inception', 'swin', 'vgg', 'vit', 'deit'),
)


def family_of(entry: ManifestEntry) -> str:
    """The family of a model's architecture: ``resnet`` of ``ResNet50``, ``vit`` of ``ViTSmall16``.

    Where no architecture is known, the one that the model's name speaks of; else ``unknown``.
    """
    for text in (entry.architecture or '', entry.name.partition('/')[2]):
        plain = re.sub(r'[-_\s]', '', text.lower())
        for family in _KNOWN:
            if family in plain:
                return family
    word = re.match('[a-z]+', (entry.architecture or '').lower())
    return word.group() if word else 'unknown'
