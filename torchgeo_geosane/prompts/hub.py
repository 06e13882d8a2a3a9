"""Prompts from TorchGeo's own weights: ``torchgeo:ResNet50_Weights.SENTINEL2_ALL_MOCO``."""

import posixpath
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch.hub import HASH_REGEX

from torchgeo_geosane.errors import PromptError, SensorError, did_you_mean
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.prompts.files import open_weights
from torchgeo_geosane.prompts.network import unreachable
from torchgeo_geosane.sensors import SENSORS, Band, Sensor
from torchgeo_geosane.stem import same_bands

# The classes whose files have timm's keys and shapes. Their meta['model'] is not used: TorchGeo
# 0.8.1 says 'resnet50' for ResNet-152. The DINOv2 ones have other positions than timm's.
_ARCHITECTURES = {
    'ResNet18_Weights': 'resnet18',
    'ResNet50_Weights': 'resnet50',
    'ResNet152_Weights': 'resnet152',
    'ViTSmall16_Weights': 'vit_small_patch16_224',
    'ViTBase16_Weights': 'vit_base_patch16_224',
    'ViTLarge16_Weights': 'vit_large_patch16_224',
    'ViTHuge14_Weights': 'vit_huge_patch14_224',
}

# How the members' names begin, and the sensor that has their bands.
_SENSORS = {
    'SENTINEL1': 'sentinel1_grd',
    'SENTINEL2': 'sentinel2_all',
    'LANDSAT_TM_TOA': 'landsat_tm_toa',
    'LANDSAT_ETM_TOA': 'landsat_etm_toa',
    'LANDSAT_ETM_SR': 'landsat_etm_sr',
    'LANDSAT_OLI_TIRS_TOA': 'landsat_oli_tirs_toa',
    'LANDSAT_OLI_SR': 'landsat_oli_sr',
    'FMOW_RGB': 'rgb',
}


def names(architecture: str) -> list[str]:
    """The prompts of this kind for an architecture."""
    return [
        f'torchgeo:{weights}'
        for enum, fitting in _ARCHITECTURES.items()
        if fitting == architecture
        for weights in _members(enum)
    ]


def architecture_of(rest: str) -> str | None:
    """The architecture of ``<class>.<member>``; None where there is no such class."""
    return _ARCHITECTURES.get(rest.partition('.')[0])


def resolve(rest: str, architecture: str) -> Prompt:
    """Describe one of TorchGeo's weights as a prompt.

    Args:
        rest: ``<class>.<member>``.
        architecture: The timm architecture wanted.

    Raises:
        PromptError: If TorchGeo has no such weights, or they are another architecture's.
    """
    enum, _, member = rest.partition('.')
    weights = next((one for one in _members(enum) if one.name == member), None)
    if weights is None or _ARCHITECTURES[enum] != architecture:
        fits = 'is unknown to' if weights is None else f'is of {_ARCHITECTURES[enum]!r} in'
        known = names(architecture) or [f'timm:{architecture}', 'random']
        raise PromptError(
            f"prompt 'torchgeo:{rest}' {fits} TorchGeo; for {architecture!r}"
            f'{did_you_mean("torchgeo:" + rest, known)}'
        )
    bands, sensor = _bands(weights)
    publication = weights.meta.get('publication', weights.url)
    return Prompt(
        name=f'torchgeo:{rest}',
        architecture=architecture,
        bands=bands,
        sensor=sensor,
        source=weights.url,
        licence=weights.meta.get('license') or f'unknown (see {publication})',
        fingerprint=weights.url,
        load=partial(_load, f'torchgeo:{rest}', architecture, weights.url),
    )


def downloaded(url: str) -> Path:
    """Where torch's hub keeps what an address gives; it need not be there yet."""
    return Path(torch.hub.get_dir(), 'checkpoints', posixpath.basename(urlparse(url).path))


def _members(enum: str) -> Iterable[Any]:
    """The members of one of TorchGeo's classes; imported late, because it is slow to import."""
    import torchgeo.models

    return getattr(torchgeo.models, enum, ()) if enum in _ARCHITECTURES else ()


def _bands(weights: Any) -> tuple[tuple[Band, ...], str]:
    """What the stem sees, and the name of the sensor that sees just that."""
    prefix = next((prefix for prefix in _SENSORS if weights.name.startswith(prefix)), None)
    if prefix is None:
        raise PromptError(f"prompt 'torchgeo:{weights}': it is not known which sensor it sees")
    sensor = SENSORS[_SENSORS[prefix]]
    spelled = weights.meta.get('bands') or sensor.band_names
    bands = tuple(_band(sensor, name) for name in spelled)
    exact = (known.name for known in SENSORS.values() if same_bands(known.bands, bands))
    return bands, next(exact, f'{sensor.name}[{",".join(band.name for band in bands)}]')


def _band(sensor: Sensor, name: str) -> Band:
    try:
        return sensor.band(name)
    except SensorError:
        return Band(name, None, 'index', description='computed from other bands')


def _load(prompt: str, architecture: str, url: str) -> TensorSource:
    """Download into the hub's cache, where TorchGeo itself looks, and memory-map from there."""
    file = downloaded(url)
    if not file.exists():
        hashed = HASH_REGEX.search(file.name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), hashed.group(1) if hashed else None)
        except OSError as error:
            raise unreachable(prompt, architecture, error) from error
        except RuntimeError as error:  # the hash is wrong
            raise PromptError(f'prompt {prompt!r} was damaged on the way: {error}') from error
    return open_weights(file, architecture)
