"""From a prompt's name to the prompt."""

from functools import partial

from torchgeo_geosane.architectures import check_architecture, get_architecture
from torchgeo_geosane.errors import PromptError, did_you_mean
from torchgeo_geosane.foundry.source import StateDictSource, TensorSource
from torchgeo_geosane.prompts import files, hub, packaged, pretrained, reference
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.sensors import Sensor

_BY_NAME = {'torchgeo': hub.resolve, 'timm': pretrained.resolve}


def resolve_prompt(
    name: str, architecture: str, sensor: Sensor, seed: int, foundry: str = 'embedded'
) -> Prompt:
    """Find a prompt by its name, without reading tensors and without network.

    Args:
        name: ``torchgeo:<class>.<member>``, ``timm:<architecture>[.<tag>]``, ``ukis:<model>``,
            ``kelp:<model>``, ``mobilenet:<model>``,
            ``file:<path>[@<sensor>]``, the path of an existing file, ``random``, or ``reference``.
        architecture: The timm architecture wanted.
        sensor: The sensor wanted; the bands of ``random`` and of a file.
        seed: The seed of ``random``.
        foundry: The foundry that has ``reference``.

    Returns:
        The prompt; its bands are what *its* stem sees, whatever sensor is wanted.

    Raises:
        ArchitectureError: If timm has no such architecture.
        PromptError: If there is no such prompt, or it is another architecture's.
    """
    check_architecture(architecture)
    kind, _, rest = name.partition(':')
    if name == 'random':
        return _random(architecture, sensor, seed)
    if name == reference.NAME:
        return reference.resolve(foundry, architecture, sensor)
    if kind in _BY_NAME:
        return _BY_NAME[kind](rest, architecture)
    if kind in packaged.KINDS:
        return packaged.resolve(name, architecture)
    if kind == 'file':
        return files.resolve(rest, architecture, sensor)
    if files.is_here(name):
        return files.resolve(name, architecture, sensor)
    kinds = ', '.join(f'{kind}:<model>' for kind in ('timm', *packaged.KINDS))
    raise PromptError(
        f'unknown prompt {name!r} (prompts are torchgeo:<weights>, {kinds}, '
        f'file:<path>, random and reference){did_you_mean(name, list_prompts(architecture))}'
    )


def list_prompts(architecture: str) -> list[str]:
    """Every named prompt for an architecture, those that need no download last."""
    check_architecture(architecture)
    kinds = (hub, pretrained, packaged)
    return [name for kind in kinds for name in kind.names(architecture)] + ['random']


def _random(architecture: str, sensor: Sensor, seed: int) -> Prompt:
    return Prompt(
        name='random',
        architecture=architecture,
        bands=sensor.bands,
        sensor=sensor.name,
        source=f'random initialisation by timm, seed {seed}',
        licence='none: random initialisation',
        fingerprint=f'random:{seed}',
        load=partial(_initialised, architecture, sensor.in_chans, seed),
    )


def _initialised(architecture: str, in_chans: int, seed: int) -> TensorSource:
    return StateDictSource(get_architecture(architecture, in_chans).initialise(seed))
