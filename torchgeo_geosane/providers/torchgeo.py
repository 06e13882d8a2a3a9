"""The TorchGeo door: weights enums whose members generate, registered where ``get_weight`` looks.

TorchGeo has no public registration (0.8 … 0.10 read two private tables of ``torchgeo.models.api``),
so this is the only
file that touches them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
from torch import Tensor, nn
from torchgeo.models import api
from torchvision.models._api import Weights, WeightsEnum
from torchvision.transforms import v2

from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.providers.catalog import catalogue
from torchgeo_geosane.sensors import Sensor
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.stem import same_bands

PAPER = 'https://arxiv.org/abs/2603.23408'


class GeoSANEWeights(WeightsEnum):
    """Weights that are generated when asked for.

    A member's ``url`` is the canonical URL of its spec, ``meta`` describes it, and ``transforms``
    normalises a sample
    ``{'image': float tensor [..., bands, height, width]}`` in the sensor's units.
    """

    def get_state_dict(
        self, progress: bool = True, check_hash: bool = False, weights_only: bool = True, **_: Any
    ) -> dict[str, Tensor]:
        """Generate the weights, or read them from the cache.

        Args:
            progress: Show a progress bar while generating.
            check_hash: Cached weights are verified in any case; here because TorchGeo passes it.
            weights_only: No pickle is ever read; here because TorchGeo passes it.

        Returns:
            A fresh state dict of the headless architecture, on the CPU.

        Raises:
            GeoSANEError: If the prompt or the foundry cannot be had.
        """
        return generate(self.spec, progress=progress).tensors

    @property
    def spec(self) -> Spec:
        """What the member stands for."""
        return Spec.parse(self.url)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle by name: enums pickle by value, and transforms in a value do not compare."""
        return find_weights, (str(self),)


def find_weights(name: str) -> GeoSANEWeights:
    """A registered member by its full name; what pickles refer to."""
    member = api.get_weight(name)
    assert isinstance(member, GeoSANEWeights)
    return member


def register() -> None:
    """Make the catalogue known to TorchGeo's ``get_weight``, ``get_model`` and ``list_models``."""
    by_enum: dict[str, dict[str, Spec]] = {}
    for entry in catalogue():
        by_enum.setdefault(entry.enum, {})[entry.member] = entry.spec
    for name, specs in by_enum.items():
        register_enum(name, specs)


def register_enum(name: str, specs: Mapping[str, Spec]) -> type[GeoSANEWeights]:
    """Make one class of weights, and make it known to TorchGeo.

    Args:
        name: Of the class, e.g. ``'GeoSANE_ResNet50_Weights'``.
        specs: What each member stands for, by the member's name; all of one architecture, no two
            equal.
    """
    members = {member: _weights(spec) for member, spec in specs.items()}
    enum = GeoSANEWeights(name, members, module=__name__)
    architecture = next(iter(specs.values())).architecture
    model = _builder(architecture)
    api._model_weights[model.__name__] = enum
    api._model_weights[model] = enum
    api._model[model.__name__] = model
    return enum


def enums() -> list[type[GeoSANEWeights]]:
    """All registered weights enums."""
    return [
        enum
        for name, enum in api._model_weights.items()
        if isinstance(name, str) and isinstance(enum, type) and issubclass(enum, GeoSANEWeights)
    ]


def _weights(spec: Spec) -> Weights:
    sensor = spec.target
    prompts = [resolve_prompt(name, spec.architecture, sensor, spec.seed) for name in spec.prompts]
    return Weights(
        url=spec.url,
        transforms=_transforms(sensor),
        meta={
            'model': spec.architecture,
            'in_chans': sensor.in_chans,
            'bands': list(sensor.band_names),
            'sensor': sensor.name,
            'units': sensor.units,
            'foundry': spec.foundry,
            'prompt': ', '.join(prompt.name for prompt in prompts),
            'prompt_sensor': ', '.join(prompt.sensor for prompt in prompts),
            'stem_adapted': not same_bands(prompts[0].bands, sensor.bands),
            'license': ', '.join(dict.fromkeys(prompt.licence for prompt in prompts)),
            'dataset': 'weights of trained models',
            'publication': PAPER,
            'repo': 'https://github.com/HSG-AIML/GeoSANE',
            'ssl_method': 'geosane',
        },
    )


class _Normalize(v2.Normalize):
    """Normalises the image of a sample.

    torchvision takes the first plain tensor for the image, which in a sample of TorchGeo 0.10 is
    ``bounds``.
    """

    def forward(self, sample: Any) -> Any:
        if not isinstance(sample, Mapping):
            return super().forward(sample)
        return {**sample, 'image': super().forward(sample['image'])}


def _transforms(sensor: Sensor) -> nn.Module:
    if sensor.mean is None or sensor.std is None:
        return nn.Sequential(nn.Identity())
    return nn.Sequential(_Normalize(mean=list(sensor.mean), std=list(sensor.std)))


def _builder(architecture: str) -> Callable[..., nn.Module]:
    builder: Any = partial(_build, architecture)
    builder.__name__ = f'geosane_{architecture}'
    builder.__doc__ = f'The timm model {architecture}, optionally with generated weights.'
    return builder


def _build(architecture: str, weights: GeoSANEWeights | None = None, **kwargs: Any) -> nn.Module:
    """Build a timm model, its backbone with generated weights, its head as timm initialises it."""
    if weights is None:
        return timm.create_model(architecture, **kwargs)
    in_chans = kwargs.setdefault('in_chans', weights.meta['in_chans'])
    if (weights.meta['model'], weights.meta['in_chans']) != (architecture, in_chans):
        raise ArchitectureError(
            f'{weights} is for {weights.meta["model"]!r} with {weights.meta["in_chans"]} channels, '
            f'not for {architecture!r} with {in_chans}'
        )
    model = timm.create_model(architecture, **kwargs)
    missing, unexpected = model.load_state_dict(weights.get_state_dict(), strict=False)
    head = str(getattr(model, 'pretrained_cfg')['classifier'])  # noqa: B009  Untyped in timm.
    stray = [*unexpected, *(name for name in missing if not name.startswith(head))]
    if stray:
        raise ArchitectureError(
            f'{weights} and {architecture!r} disagree on the tensor {stray[0]!r}'
        )
    return model
