"""The catalogue: which weights have a name of their own, as data; and what any name stands for.

An architecture is offered for a sensor where a remote-sensing prompt sees that sensor's bands, and
for aerial colour imagery, where ImageNet's channels do. Every other combination can be asked for
by its URL or, in timm's manner, as ``geosane_<architecture>.<sensor>``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torchgeo_geosane.errors import SpecError, did_you_mean
from torchgeo_geosane.foundry.foundry import OFFICIAL
from torchgeo_geosane.prompts import default_prompts
from torchgeo_geosane.sensors import SENSORS
from torchgeo_geosane.spec import SCHEME, Spec

# TorchGeo's spelling of the architectures, and timm's.
ARCHITECTURES = {
    'ResNet18': 'resnet18',
    'ResNet50': 'resnet50',
    'ResNet152': 'resnet152',
    'ViTSmall16': 'vit_small_patch16_224',
    'ViTBase16': 'vit_base_patch16_224',
    'ViTLarge16': 'vit_large_patch16_224',
    'EfficientNetB4': 'tf_efficientnet_b4',
    'MobileNetV2': 'mobilenetv2_100',
    'MobileNetV3Large': 'mobilenetv3_large_100',
}

# What timm's names for generated weights begin with, and the sensor of a name that says none.
TIMM_PREFIX = f'{SCHEME}_'
DEFAULT_SENSOR = 'rgb'

# What stands in the place of the architecture where a name is that of an ensemble.
ENSEMBLE = 'ensemble'

# What the names of weights by the official foundry end with: where it was published.
_OFFICIAL_SUFFIX = '_CVPR2026'

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
            first = default_prompts(architecture, sensor)[0]
            if sensor in _COLOUR or not first.startswith('timm:'):
                spec = Spec(architecture, sensor)
                yield Entry(f'GeoSANE_{title}_Weights', sensor.upper(), spec)


def official() -> Iterator[Entry]:
    """The same weights by the official foundry, which lies on the Hub: ``…_CVPR2026``."""
    for entry in catalogue():
        spec = Spec(entry.spec.architecture, entry.spec.sensor, foundry=OFFICIAL)
        yield Entry(entry.enum, f'{entry.member}{_OFFICIAL_SUFFIX}', spec)


def find_spec(name: str) -> Spec:
    """What a name stands for, in any of the forms that a user may write.

    Args:
        name: A name of the catalogue (``GeoSANE_ResNet50_Weights.SENTINEL2_ALL``), a URL
            (``geosane://resnet50?sensor=sentinel2_all``), or a name in timm's manner, also with
            smp's ``tu-`` (``geosane_resnet50.sentinel2_all``).

    Raises:
        SpecError: If it stands for nothing; the message names the nearest names.
    """
    if name.startswith(f'{SCHEME}:'):
        return Spec.parse(name)
    if name.removeprefix('tu-').startswith(TIMM_PREFIX):
        return _parse_timm_name(name.removeprefix('tu-'))
    specs = {entry.name: entry.spec for entries in (catalogue(), official()) for entry in entries}
    if name not in specs:
        raise SpecError(f'unknown weights {name!r}{did_you_mean(name, specs)}')
    return specs[name]


def is_name(name: str) -> bool:
    """Whether a name is meant for generated weights, be it right or misspelled."""
    return name.removeprefix('tu-').lower().startswith((f'{SCHEME}:', TIMM_PREFIX))


def timm_name(spec: Spec) -> str:
    """The name in timm's manner: the URL's parameters follow the dot, the sensor first."""
    tag = spec.sensor
    if spec != Spec(spec.architecture, spec.sensor):
        # timm takes a name with a colon or a slash for a path.
        tag = spec.url.partition('?sensor=')[2].replace('/', '%2F').replace(':', '%3A')
    return f'{TIMM_PREFIX}{spec.architecture}.{tag}'


def _parse_timm_name(name: str) -> Spec:
    architecture, _, tag = name.removeprefix(TIMM_PREFIX).partition('.')
    if architecture == ENSEMBLE:
        raise SpecError(
            f'{name!r} names the weights of several encoders, and those of one are wanted here: '
            'name one of them; an ensemble goes where a task or timm takes the name of a model'
        )
    return Spec.parse(f'{SCHEME}://{architecture}?sensor={tag or DEFAULT_SENSOR}')
