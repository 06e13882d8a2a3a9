"""Lists of bands: those that a task's weights are for, and those that data deliver."""

import inspect
import os
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from torch.utils.data import ConcatDataset, Subset
from torchgeo.datasets import IntersectionDataset, UnionDataset, concat_samples
from torchgeo.models import get_weight
from torchvision.models._api import WeightsEnum

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.providers.catalog import is_name
from torchgeo_geosane.sensors import Band
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.tasks.origin import ensemble_of, spec_of, timm_names

_ATTRIBUTES = ('bands', 'all_bands', 'all_band_names', 'band_names')
# How photographs' bands are called.
_COLOURS = {'RED': 'R', 'GREEN': 'G', 'BLUE': 'B', 'N': 'NIR'}


@dataclass(frozen=True)
class Unknown:
    """A band list that nobody states, and why."""

    why: str


@dataclass(frozen=True)
class Wanted:
    """What a task's weights are for.

    Attributes:
        weights: Their name.
        bands: One channel each, in order.
        argument: The task's argument that names them.
        architecture: The backbone's, as timm or TorchGeo calls it; None where it is not known.
        spec: What they were generated from; None for weights of others, and for an ensemble's.
    """

    weights: str
    bands: tuple[str, ...]
    argument: str = 'weights'
    architecture: str | None = None
    spec: Spec | None = None


@dataclass(frozen=True)
class Delivered:
    """What a dataset delivers.

    Attributes:
        name: Of the dataset's class, or of several.
        bands: One channel each, in order; None where the dataset does not say.
        available: All bands that it could deliver.
        selectable: Whether the dataset takes an argument ``bands``.
    """

    name: str
    bands: tuple[str, ...] | None
    available: tuple[str, ...] = ()
    selectable: bool = False


def wanted_by(task: LightningModule) -> Wanted | Unknown:
    """The bands that the weights of a task are for.

    Raises:
        GeoSANEError: If a name of ours is misspelled.
    """
    weights = getattr(task, 'weights', None)
    if not weights:
        return Unknown('the task starts without weights')
    try:
        ours = _of_ours(task)
    except CacheError:
        return Unknown(f'the file {weights} does not say which bands it is for')
    if ours is not None:
        return ours
    if weights is True:
        return Unknown('weights: true are not weights of ours, but those of timm')
    if isinstance(weights, str):
        weights = get_weight(weights)
    bands = weights.meta.get('bands') if isinstance(weights, WeightsEnum) else None
    if not bands:
        return Unknown(f'{weights} do not say which bands they are for')
    return Wanted(str(weights), tuple(bands), architecture=weights.meta.get('model'))


def _of_ours(task: LightningModule) -> Wanted | None:
    spec, ensemble = spec_of(task), ensemble_of(task)
    if ensemble is not None:
        argument, name = _asked(task)
        return Wanted(name, tuple(band.name for band in ensemble.bands), argument)
    if spec is not None:
        argument, name = _asked(task)
        return Wanted(name, spec.target.band_names, argument, spec.architecture, spec)
    return None


def delivered_by(dataset: Any) -> Iterator[Delivered]:
    """What a dataset delivers, or the parts that it is joined from side by side."""
    stated = _stated(dataset)
    if stated is not None:
        yield Delivered(type(dataset).__name__, *stated, _takes_bands(dataset))
    elif isinstance(dataset, IntersectionDataset):
        yield _concatenated(dataset)
    elif isinstance(dataset, UnionDataset | ConcatDataset):
        for part in dataset.datasets:
            yield from delivered_by(part)
    elif isinstance(dataset, Subset) or hasattr(dataset, 'dataset'):
        yield from delivered_by(dataset.dataset)
    else:
        yield Delivered(type(dataset).__name__, None)


def is_same_band(one: str, other: str) -> bool:
    """Whether two names spell one band: ``B08`` and ``b8``, ``SR_B4`` and ``B4``."""
    one, other = (_COLOURS.get(name.upper(), name) for name in (one, other))
    return Band(one, None, '').is_same(Band(other, None, ''))


def is_same_order(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lists name the same bands in the same order."""
    return len(one) == len(other) and all(map(is_same_band, one, other))


def _asked(task: LightningModule) -> tuple[str, str]:
    """By which argument, and how, a task asks for weights of ours."""
    weights: Any = task.weights
    if weights is True:
        return next((key, name) for key, name in timm_names(task).items() if is_name(name))
    path = isinstance(weights, str) and os.path.exists(weights)
    return 'weights', Path(weights).name if path else str(weights)


def _stated(dataset: Any) -> tuple[tuple[str, ...] | None, tuple[str, ...]] | None:
    """The bands that a dataset states, and all it knows of; None where it has no such attribute."""
    lists: list[Any] = [getattr(dataset, name, None) for name in _ATTRIBUTES]
    given: list[Any] = [value for value in lists if isinstance(value, Sized) and len(value)]
    if not given:
        return None
    named = [tuple(value) for value in given if _is_list_of_names(value)]
    # Where `bands` is something else, the name of a set say, the whole list does not tell.
    bands = named[0] if _is_list_of_names(given[0]) else None
    return bands, max(named, key=len, default=())


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _concatenated(dataset: IntersectionDataset) -> Delivered:
    """Images that are joined channel by channel; masks do not count."""
    images = [part for part in dataset.datasets if _has_images(part)]
    parts = [part for image in images for part in delivered_by(image)]
    if len(parts) == 1:
        return parts[0]
    name = ' & '.join(part.name for part in parts)
    lists = [part.bands for part in parts if part.bands is not None]
    plain = dataset.collate_fn is concat_samples and len(parts) == len(images) == len(lists)
    return Delivered(name, tuple(band for bands in lists for band in bands) if plain else None)


def _has_images(dataset: Any) -> bool:
    parts = getattr(dataset, 'datasets', None)
    return any(map(_has_images, parts)) if parts else getattr(dataset, 'is_image', False)


def _takes_bands(dataset: Any) -> bool:
    return 'bands' in inspect.signature(type(dataset).__init__).parameters
