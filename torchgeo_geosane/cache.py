"""The cache of generated weights: one file a spec key, written atomically, locked, verified when read.

It lies in ``geosane`` under the torch hub directory, or where ``TORCHGEO_GEOSANE_CACHE`` says.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.provenance import Provenance, read_provenance, read_weights, write_weights
from torchgeo_geosane.spec import Spec

logger = logging.getLogger(__name__)

ENVIRONMENT = 'TORCHGEO_GEOSANE_CACHE'


@dataclass(frozen=True)
class Entry:
    """One file of the cache."""

    path: Path
    size: int
    provenance: Provenance


def directory() -> Path:
    """Where the cache lies; it may not exist yet."""
    return Path(os.environ.get(ENVIRONMENT) or Path(torch.hub.get_dir()) / 'geosane')


def path_of(spec: Spec, key: str) -> Path:
    """The file for a spec, which may not exist: architecture, sensor and key are in its name."""
    return directory() / f'{spec.architecture}-{spec.sensor}-{key}.safetensors'


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of one cache file, so that two processes asking for one spec generate it once.

    A cache that cannot be written has no lock; then there is nothing to protect.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(path.name + '.lock'))
        lock.acquire()
    except OSError as error:
        logger.debug('no lock on %s: %s', path, error)
        yield
        return
    try:
        yield
    finally:
        lock.release()


def load(path: Path, key: str) -> tuple[dict[str, Tensor], Provenance] | None:
    """Read a cache file; a damaged or foreign one is reported, set aside as ``*.damaged``, and not used.

    Returns:
        Tensors and provenance, or None if there is no file to trust.
    """
    if not path.exists():
        return None
    try:
        tensors, provenance = read_weights(path)
        if provenance.key != key:
            raise CacheError(f'{path} belongs to another spec: {provenance.url}')
    except CacheError as error:
        aside = path.with_suffix('.damaged')
        try:
            path.replace(aside)
            logger.warning('%s. Set aside as %s; generating it again.', error, aside.name)
        except OSError:
            logger.warning('%s. Generating it again.', error)
        return None
    return tensors, provenance


def store(path: Path, tensors: dict[str, Tensor], provenance: Provenance) -> None:
    """Write a cache file. A cache that refuses is reported and otherwise ignored: the weights exist all the same."""
    try:
        write_weights(path, tensors, provenance)
    except CacheError as error:
        logger.warning(
            'The generated weights were not cached: %s. Set %s to a writable directory.',
            error,
            ENVIRONMENT,
        )


def entries() -> list[Entry]:
    """All readable files of the cache, by name."""
    found = []
    for path in sorted(directory().glob('*.safetensors')):
        try:
            found.append(Entry(path, path.stat().st_size, read_provenance(path)))
        except CacheError as error:
            logger.warning('%s', error)
    return found


def clear() -> int:
    """Delete everything the cache holds.

    Returns:
        The number of files deleted, locks not counted.
    """
    deleted = 0
    for pattern in ('*.safetensors', '*.damaged', '*.part', '*.lock'):
        for path in directory().glob(pattern):
            path.unlink(missing_ok=True)
            deleted += pattern != '*.lock'
    return deleted
