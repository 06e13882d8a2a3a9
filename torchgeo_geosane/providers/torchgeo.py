"""The TorchGeo door: weights enums whose members generate, registered where ``get_weight`` looks.

TorchGeo has no public registration (0.8 … 0.10 read two private tables of ``torchgeo.models.api``),
so this is the only file that touches them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial, wraps
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torchgeo.models import api
from torchvision.models._api import Weights, WeightsEnum
from torchvision.transforms import v2

from torchgeo_geosane.errors import ArchitectureError, GeoSANEError, SpecError
from torchgeo_geosane.export.checkpoint import provenance_of_checkpoint
from torchgeo_geosane.foundry.foundry import licence_of
from torchgeo_geosane.foundry.sampling import Sampler
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import join_licences
from torchgeo_geosane.providers import timm as timm_door
from torchgeo_geosane.providers.catalog import (
    DEFAULT_SENSOR,
    catalogue,
    find_spec,
    is_name,
    official,
)
from torchgeo_geosane.providers.on_demand import OnDemand
from torchgeo_geosane.providers.state_dict import GeneratedStateDict
from torchgeo_geosane.providers.when_imported import when_imported
from torchgeo_geosane.sensors import Sensor, find_sensor, get_sensor
from torchgeo_geosane.spec import Precision, Spec
from torchgeo_geosane.stem import same_bands

PAPER = 'https://arxiv.org/abs/2603.23408'


class GeoSANEWeights(WeightsEnum):
    """Weights that are generated when asked for.

    A member's ``url`` is the canonical URL of its spec, ``meta`` describes it, and ``transforms``
    normalises a sample
    ``{'image': float tensor [..., bands, height, width]}`` in the sensor's units.
    """

    def get_state_dict(
        self,
        progress: bool = True,
        check_hash: bool = False,
        weights_only: bool = True,
        map_location: str | torch.device | None = None,
    ) -> dict[str, Tensor]:
        """Generate the weights, or read them from the cache.

        Args:
            progress: Show a progress bar while generating.
            check_hash: Cached weights are verified in any case; here because TorchGeo passes it.
            weights_only: No pickle is ever read; here because TorchGeo passes it.
            map_location: The device of the tensors; by default the CPU.

        Returns:
            A fresh state dict of the headless architecture. The stem cannot be deleted
            from it: that is how TorchGeo drops a stem of other bands, after a mere warning.

        Raises:
            GeoSANEError: If the prompt or the foundry cannot be had.
        """
        tensors: Mapping[str, Tensor] = generate(self.spec, progress=progress).tensors
        if map_location is not None:
            tensors = {name: tensor.to(map_location) for name, tensor in tensors.items()}
        return GeneratedStateDict(tensors, self.spec)

    @property
    def spec(self) -> Spec:
        """What the member stands for."""
        return Spec.parse(self.url)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle by name: enums pickle by value, and transforms in a value do not compare."""
        return find_weights, (str(self),)


class GeoSANERequest(GeoSANEWeights):
    """Weights asked for by a URL, or by a name in timm's manner.

    ``str`` of the member is what was asked: with it ``get_weight`` finds it in any process.
    """

    def __str__(self) -> str:
        """What was asked."""
        return self.name


def weights(
    architecture: str,
    sensor: str | Sequence[str] = DEFAULT_SENSOR,
    bands: Sequence[str] | None = None,
    *,
    seed: int = 0,
    prompt: str | Sequence[str] = (),
    foundry: str = 'embedded',
    sampler: Sampler | None = None,
    precision: Precision = 'float32',
) -> GeoSANERequest:
    """Ask for any weights, not only those of the catalogue.

    Example:
        >>> member = weights('tf_efficientnet_b4', 'sentinel2_all', bands=['B8', 'B4', 'B3'], seed=7)
        >>> SemanticSegmentationTask('unet', 'timm-efficientnet-b4', member, in_channels=3)

    Args:
        architecture: A timm architecture, e.g. ``'convnext_tiny'``.
        sensor: A sensor's name, or a dataset's list of bands, e.g. ``EuroSAT.all_band_names``.
        bands: Some of the sensor's bands, in the order of the data.
        seed: Which of the many models.
        prompt: One prompt or several; by default those for architecture and sensor.
        foundry: ``'embedded'``, a Hub repository, or a path.
        sampler: How latents are drawn; by default ``KDE()``, around several prompts ``MeanKDE()``.
        precision: Of the foundry's matrix products.

    Returns:
        A member like any other; ``get_weight(str(member))`` is the same, in any process. Nothing is
        generated yet.

    Raises:
        SpecError: If something is unknown or does not fit; the message names the nearest.
        PromptError: If the prompt is unknown or another architecture's.
    """
    chosen = get_sensor(sensor) if isinstance(sensor, str) else find_sensor(sensor)
    if bands is not None:
        chosen = chosen.select(bands)
    spec = Spec(
        architecture,
        chosen.name,
        (prompt,) if isinstance(prompt, str) else tuple(prompt),
        foundry,
        cast('Sampler', sampler),
        precision,
        seed,
    )
    return request(spec.url)


@cache
def request(name: str) -> GeoSANERequest:
    """The member for a URL or a name in timm's manner; always the same for the same text.

    Raises:
        GeoSANEError: If the name stands for nothing.
    """
    enum = GeoSANERequest('GeoSANERequest', {name: _weights(find_spec(name))}, module=__name__)
    return next(iter(enum))


def find_weights(name: str) -> GeoSANEWeights:
    """A member by its ``str``; what pickles refer to.

    Raises:
        GeoSANEError: If the name stands for nothing, or for weights of others.
    """
    member = api.get_weight(name)
    if not isinstance(member, GeoSANEWeights):
        raise SpecError(f'{name!r} are not generated weights')
    return member


def register() -> None:
    """Make the catalogue known to TorchGeo's ``get_weight``, ``get_model`` and ``list_models``."""
    by_enum: dict[str, dict[str, Spec]] = {}
    for entry in (*catalogue(), *official()):
        by_enum.setdefault(entry.enum, {})[entry.member] = entry.spec
    for name, specs in by_enum.items():
        register_enum(name, specs)
    tables: Any = api._model_weights
    tables[_REQUESTS] = OnDemand(api.get_weight, _request_if_ours)
    # TorchGeo 0.8 and 0.10 keep the loader of their tasks in different places.
    for name in ('torchgeo.trainers.utils', 'torchgeo.tasks.utils'):
        when_imported(name, _let_models_tell)


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


def _let_models_tell(utils: ModuleType) -> None:
    """Let a timm model that TorchGeo's tasks load our weights into say whose weights it has.

    timm keeps the card of its own weights in every model, also in one that is built without them.
    What is read from a checkpoint that we wrote is known to be ours, too, and keeps its stem.
    """
    load, extract = utils.load_state_dict, utils.extract_backbone

    @wraps(load)
    def load_and_tell(model: nn.Module, state_dict: dict[str, Tensor]) -> Any:
        loaded = load(model, state_dict)
        if isinstance(state_dict, GeneratedStateDict):
            timm_door.describe(model, state_dict.spec)
        return loaded

    @wraps(extract)
    def extract_and_know(path: str) -> tuple[str, dict[str, Tensor]]:
        name, state_dict = extract(path)
        with suppress(GeoSANEError):  # A checkpoint of others.
            spec = Spec.parse(provenance_of_checkpoint(Path(path)).url)
            return name, GeneratedStateDict(state_dict, spec)
        return name, state_dict

    utils.load_state_dict = load_and_tell  # type: ignore[attr-defined]
    utils.extract_backbone = extract_and_know  # type: ignore[attr-defined]


# The key under which TorchGeo's table has what makes members on demand.
_REQUESTS = 'geosane'


def _request_if_ours(name: str) -> GeoSANERequest | None:
    """The member for a URL or a timm name; a misspelled name of ours is told the nearest."""
    return request(name) if is_name(name) and not _is_registered(name) else None


def _is_registered(name: str) -> bool:
    return any(name in map(str, enum.__members__.values()) for enum in enums())


def _weights(spec: Spec) -> Weights:
    sensor = spec.target
    prompts = spec.resolve_prompts()
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
            # Statistics of an average fit it badly: callbacks.ConditionBatchNorm estimates them anew.
            'condition_batch_norm': spec.averages,
            'stem_adapted': any(not same_bands(prompt.bands, sensor.bands) for prompt in prompts),
            'license': join_licences([licence_of(spec.foundry), *(p.licence for p in prompts)]),
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


def _build(
    architecture: str, weights: GeoSANEWeights | str | None = None, **kwargs: Any
) -> nn.Module:
    """Build a timm model, its backbone with generated weights, its head as timm initialises it."""
    if weights is None:
        return timm.create_model(architecture, **kwargs)
    if isinstance(weights, str):
        weights = find_weights(weights)
    if not isinstance(weights, GeoSANEWeights):
        raise ArchitectureError(
            f'{weights!r} are not generated weights: name some, '
            f'e.g. geosane://{architecture}?sensor={DEFAULT_SENSOR}'
        )
    if weights.meta['model'] != architecture:
        raise ArchitectureError(
            f'{weights} is for {weights.meta["model"]!r}, not for {architecture!r}'
        )
    return timm_door.build(weights.spec, **kwargs)
