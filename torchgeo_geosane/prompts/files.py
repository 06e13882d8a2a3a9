"""Prompts from files: ``file:<path>[@<sensor>]`` to safetensors, .pth, .pt, a Lightning checkpoint."""

import os
from collections import Counter
from collections.abc import Collection
from functools import partial
from pathlib import Path

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import PromptError, TokenError
from torchgeo_geosane.foundry.source import RenamedSource, TensorSource
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.prompts.shards import hash_files
from torchgeo_geosane.prompts.weights_file import open_file
from torchgeo_geosane.sensors import Sensor, get_sensor, sensors_with


def resolve(path: str, architecture: str, sensor: Sensor) -> Prompt:
    """Describe a file as a prompt: its header is read, and the file is hashed.

    Args:
        path: Path to the file; ``~`` is expanded. After an ``@``, the sensor that its stem sees.
        architecture: The timm architecture that it must fit.
        sensor: The sensor wanted; what its stem sees where the path says nothing.

    Raises:
        PromptError: If there is no such file, it cannot be read, or its stem has other channels.
        SensorError: If the path names an unknown sensor.
    """
    said = ''
    if '@' in path and not os.path.isfile(os.path.expanduser(path)):
        path, _, said = path.rpartition('@')
        sensor = get_sensor(said)
    file = Path(path).expanduser().resolve()
    if not os.path.isfile(file):  # False too for a name too long for a file.
        raise PromptError(f'prompt file {str(file)!r} does not exist')
    source = open_weights(file, architecture)
    stem = get_architecture(architecture).stems[0]
    if stem not in source.names():
        raise PromptError(f'prompt file {str(file)!r} has no stem {stem!r} of {architecture!r}')
    channels = (*source.shape(stem), 0, 0)[1]
    if channels != sensor.in_chans:
        fitting = ', '.join(sensors_with(channels)) or 'none'
        raise PromptError(
            f'the stem of prompt file {str(file)!r} has {channels} channels, but sensor '
            f'{sensor.name!r} has {sensor.in_chans} bands. Say what the file sees: file:…@SENSOR; '
            f'sensors with {channels} bands: {fitting}'
        )
    digest = hash_files(file)
    return Prompt(
        name=f'file:{file}@{sensor.name}' if said else f'file:{file}',
        architecture=architecture,
        bands=sensor.bands,
        sensor=sensor.name,
        source=str(file),
        licence='unknown (a local file)',
        fingerprint=f'sha256:{digest}',
        load=partial(open_weights, file, architecture),
    )


def open_weights(path: Path, architecture: str) -> TensorSource:
    """Open a weights file under timm's names, memory-mapped where its format allows.

    Containers are unwrapped. Prefixes such as ``model.backbone.`` are found, not listed: the one
    under which most of the architecture's tensors lie is taken (of equals, the first).

    Args:
        path: The file.
        architecture: The timm architecture whose tensors are looked for.

    Raises:
        PromptError: If the file cannot be read safely, or holds none of the tensors.
    """
    try:
        source = open_file(path)
    except TokenError as error:
        raise PromptError(str(error)) from error
    names = source.names()
    wanted = get_architecture(architecture, 3).shapes.keys()
    prefix = _prefix(names, wanted)
    if prefix is None:
        raise PromptError(
            f'{str(path)!r} holds no tensor of {architecture!r}; '
            f'it has {", ".join(names[:5]) or "no tensors"}'
        )
    present = set(names)
    return RenamedSource(
        source, {name: prefix + name for name in wanted if prefix + name in present}
    )


def _prefix(names: Collection[str], wanted: Collection[str]) -> str | None:
    """The prefix under which most wanted names are found; None where there is none."""
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split('.')
        for cut in range(len(parts)):
            if '.'.join(parts[cut:]) in wanted:
                found[''.join(part + '.' for part in parts[:cut])] += 1
    return found.most_common(1)[0][0] if found else None
