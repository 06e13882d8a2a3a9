"""The catalogue: which weights have a name of their own, as data.

An architecture is offered for a sensor where a remote-sensing prompt sees that sensor's bands, and
for aerial colour
imagery, where ImageNet's channels do. Every other combination can be asked for by its URL.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torchgeo_geosane.prompts import default_prompt
from torchgeo_geosane.sensors import SENSORS
from torchgeo_geosane.spec import Spec

# TorchGeo's spelling of the architectures, and timm's.
ARCHITECTURES = {
    'ResNet18': 'resnet18',
    'ResNet50': 'resnet50',
    'ResNet152': 'resnet152',
    'ViTSmall16': 'vit_small_patch16_224',
    'ViTBase16': 'vit_base_patch16_224',
    'ViTLarge16': 'vit_large_patch16_224',
    'EfficientNetB4': 'tf_efficientnet_b4',
}

_COLOUR = ('rgb', 'rgbn')


@dataclass(frozen=True)
class Entry:
    """One name of the catalogue.

    Attributes:
        enum: Name of the weights enum, e.g. ``GeoSANE_ResNet50_Weights``.
        member: Name of the member, e.g. ``SENTINEL2_ALL``.
        spec: What it stands for.
    """

    enum: str
    member: str
    spec: Spec

    @property
    def name(self) -> str:
        """The weight's full name."""
        return f'{self.enum}.{self.member}'


def catalogue() -> Iterator[Entry]:
    """All entries, by architecture and sensor."""
    for title, architecture in ARCHITECTURES.items():
        for sensor in SENSORS:
            prompt = default_prompt(architecture, sensor)
            if sensor in _COLOUR or not prompt.startswith('timm:'):
                spec = Spec(architecture, sensor, prompts=(prompt,))
                yield Entry(f'GeoSANE_{title}_Weights', sensor.upper(), spec)
