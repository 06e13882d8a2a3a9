"""Prompts inside Python packages: encoders of trained networks, as ``ukis:6b_l1c`` (see ``packages``)."""

import hashlib
from functools import partial
from pathlib import Path

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import CacheError, PromptError, TokenError, did_you_mean
from torchgeo_geosane.foundry.source import RenamedSource, TensorSource
from torchgeo_geosane.packages import PACKAGES, Encoder, Package, PackageError, locate
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.prompts.copies import open_packaged
from torchgeo_geosane.sensors import get_sensor

_PROMPTS: dict[str, tuple[Package, str, Encoder]] = {
    encoder.prompt: (package, model, encoder)
    for package in PACKAGES
    for model, encoder in package.prompts.items()
}
# What the names of packaged prompts begin with.
KINDS = tuple(dict.fromkeys(name.partition(':')[0] for name in _PROMPTS))


def names(architecture: str) -> list[str]:
    """The prompts of this kind for an architecture."""
    found = (encoder for _, _, encoder in _PROMPTS.values())
    return [encoder.prompt for encoder in found if encoder.architecture == architecture]


def architecture_of(name: str) -> str | None:
    """The architecture of one of the packaged encoders; None where there is no such."""
    return _PROMPTS[name][2].architecture if name in _PROMPTS else None


def resolve(name: str, architecture: str) -> Prompt:
    """Describe one of the packaged encoders as a prompt; the package need not be here yet.

    Args:
        name: The prompt's whole name.
        architecture: The timm architecture wanted.

    Raises:
        PromptError: If there is no such encoder, or it is of another architecture.
    """
    if name not in _PROMPTS:
        raise PromptError(f'unknown prompt {name!r}{did_you_mean(name, _PROMPTS)}')
    package, model, encoder = _PROMPTS[name]
    if architecture != encoder.architecture:
        raise PromptError(
            f'prompt {name!r} is an encoder of {encoder.architecture!r}, not of {architecture!r}'
        )
    sensor = get_sensor(encoder.sensor)
    file, sha256 = package.files[model]
    return Prompt(
        name=name,
        architecture=architecture,
        bands=sensor.bands,
        sensor=sensor.name,
        source=f'{package.name} {package.version} (PyPI), {Path(file).name}, encoder',
        licence=package.licence,
        fingerprint=f'sha256:{sha256}',
        load=partial(_load, name),
    )


def _load(name: str) -> TensorSource:
    package, model, encoder = _PROMPTS[name]
    path, sha256 = _verified(name), package.files[model][1]
    try:
        stored = open_packaged(path, sha256)
    except TokenError as error:
        raise PromptError(f'prompt {name!r}: {error}') from error
    kept = [
        tensor
        for tensor in stored.names()
        if tensor.startswith(encoder.prefix) and not tensor.endswith('num_batches_tracked')
    ]
    bands = get_sensor(encoder.sensor).in_chans
    # Both list their modules in the order of the forward pass; counters of batches are left out, and
    # what a network lacks of its encoder (a last convolution) comes last.
    target = get_architecture(encoder.architecture, bands).shapes
    keys = [key for key in target if not key.endswith('num_batches_tracked')]
    return RenamedSource(stored, dict(zip(keys, kept, strict=False)))


def located(name: str) -> Path:
    """Where the file of a packaged encoder lies.

    Raises:
        PackageError: If the package is not here.
        CacheError: If there is no room for a wheel's file.
    """
    package, model, _ = _PROMPTS[name]
    return locate(package.name, package.version, package.files[model][0], package.way)


def _verified(name: str) -> Path:
    """One model file, if its bytes are those that the fingerprint promises."""
    package, model, _ = _PROMPTS[name]
    sha256 = package.files[model][1]
    try:
        path = located(name)
        with path.open('rb') as opened:
            found = hashlib.file_digest(opened, 'sha256').hexdigest()
    except (PackageError, CacheError) as error:
        raise PromptError(f'prompt {name!r}: {error}') from error
    except OSError as error:
        raise PromptError(f'prompt {name!r}: {error}; reinstall it: {package.way}') from error
    if found != sha256:
        raise PromptError(
            f'prompt {name!r}: {path} is not the file of {package.name} {package.version} '
            f'(another version, or damaged); reinstall it: {package.way}'
        )
    return path
