"""The cache of generated weights: one file a spec key, atomic, locked, verified when read.

It lies in ``geosane`` under the torch hub directory, or where ``TORCHGEO_GEOSANE_CACHE`` says.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from torch import Tensor

from torchgeo_geosane.atomic import sweep
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.foundry.files import printable, reason, telling
from torchgeo_geosane.places import ENVIRONMENT, directory
from torchgeo_geosane.provenance import Provenance, read_provenance, read_weights, write_weights
from torchgeo_geosane.spec import Spec

logger = logging.getLogger(__name__)

__all__ = [
    'ENVIRONMENT',
    'Entry',
    'clear',
    'directory',
    'entries',
    'load',
    'locked',
    'path_of',
    'store',
]

# Folders inside the cache: copies of models of a collection (collection.mapped), orders of units
# (alignment.stored), files taken out of wheels (packages), features of training images (rank.features).
_FOLDERS = ('', 'collection', 'alignments', 'packages', 'features')


@dataclass(frozen=True)
class Entry:
    """One file of the cache."""

    path: Path
    size: int
    provenance: Provenance


def path_of(spec: Spec, key: str) -> Path:
    """The file for a spec, which may not exist: architecture, sensor and key are in its name."""
    sensor = spec.sensor.replace('*', 'x')  # Not a character of file names everywhere.
    return directory() / f'{spec.architecture}-{sensor}-{key}.safetensors'


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of one cache file, so that two processes asking for one spec generate it once.

    A cache that cannot be written has no lock; then there is nothing to protect.
    """
    lock = _acquire(path)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def load(path: Path, key: str) -> tuple[dict[str, Tensor], Provenance] | None:
    """Read a cache file; a damaged or foreign one is reported and set aside as ``*.damaged``.

    Returns:
        Tensors and provenance, or None if there is no file to trust.
    """
    if not os.path.exists(
        path
    ):  # Unlike Path.exists, False too where the folder may not be searched.
        return None
    try:
        tensors, provenance = read_weights(path)
        if provenance.key != key:
            raise CacheError(f'{path} belongs to another spec: {provenance.url}')
    except CacheError as error:
        if not os.path.exists(path):  # Somebody has cleared the cache this very moment.
            return None
        aside = path.with_suffix('.damaged')
        try:
            path.replace(aside)
            logger.warning('%s. Set aside as %s; generating it again.', error, aside.name)
        except OSError:
            logger.warning('%s. Generating it again.', error)
        return None
    return tensors, provenance


def store(path: Path, tensors: dict[str, Tensor], provenance: Provenance) -> None:
    """Write a cache file, whose lock is held.

    A cache that refuses is reported and otherwise ignored: the weights exist all the same.
    """
    try:
        write_weights(path, tensors, provenance)
    except CacheError as error:
        logger.warning(
            'The generated weights were not cached: %s. Set %s to a directory with room.',
            error,
            ENVIRONMENT,
        )


def entries() -> list[Entry]:
    """All readable files of the cache, by name.

    Raises:
        CacheError: If it may not be looked at.
    """
    found = []
    with telling(CacheError, f'the cache {printable(directory())} cannot be read'):
        paths = sorted(directory().glob('*.safetensors'))
    for path in paths:
        try:
            found.append(Entry(path, path.stat().st_size, read_provenance(path)))
        except (CacheError, OSError) as error:
            if os.path.lexists(path):
                why = error if isinstance(error, CacheError) else f'{path}: {reason(error)}'
                logger.warning('%s', why)
    return found


def clear() -> int:
    """Delete everything the cache holds, but what others write or wait for at this moment.

    Returns:
        The number of files deleted, locks not counted.

    Raises:
        CacheError: If it may not be written.
    """
    with telling(CacheError, f'the cache {printable(directory())} cannot be cleared'):
        return _clear()


def _clear() -> int:
    deleted = 0
    for folder in (directory() / name for name in _FOLDERS):
        sweep(folder)
        for pattern in ('*.safetensors', '*.damaged', '*.part'):  # The last of older versions.
            for path in folder.glob(pattern):
                if not path.is_dir():
                    path.unlink(missing_ok=True)
                    deleted += 1
        for path in folder.glob('*.lock'):
            _delete_free(path)
    return deleted


def _acquire(path: Path) -> FileLock | None:
    lock = FileLock(path.with_name(path.name + '.lock'))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning('Another process is generating %s; waiting for it.', path.name)
            lock.acquire()
    except (
        OSError,
        NotImplementedError,
    ) as error:  # The latter where the file system has no locks.
        logger.debug('no lock on %s: %s', path, error)
        return None
    return lock


def _delete_free(path: Path) -> None:
    """Delete a lock that nobody holds."""
    lock = FileLock(path)
    with suppress(Timeout, OSError, NotImplementedError), lock.acquire(timeout=0):
        path.unlink(missing_ok=True)
