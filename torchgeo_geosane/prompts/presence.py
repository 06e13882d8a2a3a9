"""Which prompts are on this machine, and what architecture a prompt's name tells."""

from pathlib import Path

import timm

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.packages import PackageError
from torchgeo_geosane.prompts import hub, packaged, pretrained
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.prompts.reference import NAME


def bytes_here(prompt: Prompt) -> int | None:
    """How large a prompt's file on this machine is.

    Returns:
        Bytes, 0 for ``random`` and a foundry's own ``reference``; None where the file is not here and
        would have to be fetched, or its package installed.
    """
    if prompt.name in ('random', NAME):
        return 0
    path = _file(prompt)
    return path.stat().st_size if path is not None and path.exists() else None


def architecture_of(name: str) -> str | None:
    """The timm architecture that a prompt's name tells; None for files, ``random`` and unknown names."""
    kind, _, rest = name.partition(':')
    if kind == 'torchgeo':
        return hub.architecture_of(rest)
    if kind == 'timm':
        architecture = rest.partition('.')[0]
        return architecture if timm.is_model(architecture) else None
    return packaged.architecture_of(name)


def _file(prompt: Prompt) -> Path | None:
    kind, _, rest = prompt.name.partition(':')
    if kind == 'torchgeo':
        return hub.downloaded(prompt.source)
    if kind == 'timm':
        return pretrained.downloaded(rest)
    if kind == 'file':
        path = Path(rest)
        return path if path.exists() else Path(rest.rpartition('@')[0])
    try:
        return packaged.located(prompt.name)
    except (PackageError, CacheError):
        return None
