"""Where what is made once is kept: generated weights, orders of units, copies of packaged models."""

import os
from pathlib import Path

import torch

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.foundry.files import printable, telling

ENVIRONMENT = 'TORCHGEO_GEOSANE_CACHE'


def directory() -> Path:
    """Where the cache lies; it may not exist yet.

    Raises:
        CacheError: If its name cannot be that of a folder.
    """
    chosen = os.environ.get(ENVIRONMENT)
    with telling(CacheError, f'{ENVIRONMENT}={printable(chosen or "")} is no place for a cache'):
        return Path(chosen).expanduser() if chosen else Path(torch.hub.get_dir(), 'geosane')
