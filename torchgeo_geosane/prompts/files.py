"""Prompts from files: ``file:<path>[@<sensor>]`` to safetensors, torch files, ONNX, an index of several."""

import os
from functools import partial
from pathlib import Path

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import PromptError
from torchgeo_geosane.foundry.files import check_plain, printable, telling
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.prompts.choice import choose_network
from torchgeo_geosane.prompts.shards import hash_files
from torchgeo_geosane.prompts.weights_file import open_networks
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
    if '@' in path and not is_here(path):
        path, _, said = path.rpartition('@')
        sensor = get_sensor(said)
    where = printable(path)
    with telling(PromptError, f'prompt file {where} cannot be read'):
        # Not resolved: in the Hub's cache a file is a link, and its other files lie beside the link.
        file = Path(os.path.abspath(Path(path).expanduser()))
        if not os.path.lexists(file):
            raise PromptError(f'prompt file {printable(file)} does not exist')
        check_plain(file)
        source, which = _open(file, architecture)
        digest = hash_files(file)
        stem = get_architecture(architecture).stems[0]
        if stem not in source.names():
            raise PromptError(f'prompt file {where} has no stem {stem!r} of {architecture!r}')
        channels = (*source.shape(stem), 0, 0)[1]
    if channels != sensor.in_chans:
        fitting = ', '.join(sensors_with(channels)) or 'none'
        raise PromptError(
            f'the stem of prompt file {where} has {channels} channels, but sensor '
            f'{sensor.name!r} has {sensor.in_chans} bands. Say what the file sees: file:…@SENSOR; '
            f'sensors with {channels} bands: {fitting}'
        )
    return Prompt(
        name=f'file:{file}@{sensor.name}' if said else f'file:{file}',
        architecture=architecture,
        bands=sensor.bands,
        sensor=sensor.name,
        source=f'{file}{which}',
        licence='unknown (a local file)',
        fingerprint=f'sha256:{digest}',
        load=partial(open_weights, file, architecture),
    )


def is_here(path: str) -> bool:
    """Whether there is something of this name; ``~`` is expanded.

    Raises:
        PromptError: If it cannot be the name of a file.
    """
    with telling(PromptError, f'prompt file {printable(path)} cannot be read'):
        return os.path.lexists(os.path.expanduser(path))


def open_weights(path: Path, architecture: str) -> TensorSource:
    """Open a weights file under timm's names, lazily where its names and shapes are timm's.

    Args:
        path: The file.
        architecture: The timm architecture whose tensors are looked for.

    Raises:
        PromptError: If the file cannot be read safely, or holds none of the tensors.
    """
    with telling(PromptError, f'{printable(path)} cannot be read'):
        return _open(path, architecture)[0]


def _open(path: Path, architecture: str) -> tuple[TensorSource, str]:
    """The tensors, and a few words that say which of the file's networks they are."""
    return choose_network(open_networks(path), architecture, printable(path))
