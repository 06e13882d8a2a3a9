"""Files and folders that appear whole or not at all, whoever else writes and whoever is killed.

A writer works in a folder of its own, inside ``.torchgeo-geosane`` beside its target, and holds a lock
on it that ends with its process. What lies there without a lock is litter, of ours or of a library's:
the next writer deletes it. Nothing else is ever in that place.
"""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.exchange import exchange, recover

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_WORKSHOP = '.torchgeo-geosane'
_LOCK = '.lock'
# What is so old is litter where the file system has no locks to tell.
_SECONDS_OF_A_WRITER = 86_400
_ATTEMPTS = 100


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that ``path`` holds either what it held before or the whole new content.

    Args:
        path: The file; its folder is made.

    Yields:
        A provisional path of the same name on the same disk, to be written; it takes the place of
        ``path`` once it is on the disk.

    Raises:
        CacheError: If the disk refuses. Whatever goes wrong, nothing is left behind.
    """
    try:
        with _workplace(path.parent) as own:
            provisional = own / path.name
            provisional.touch()
            mode = provisional.stat().st_mode
            yield provisional
            # safetensors makes files that nobody but their owner reads: give them the usual mode.
            provisional.chmod(mode)
            _flush(provisional)
            provisional.replace(path)
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError, in words that do not say so.
        guess = ' (is the disk full?)' if isinstance(error, RuntimeError) else ''
        raise CacheError(f'cannot write {path}: {error}{guess}') from error


@contextmanager
def replacing_folder(path: Path, files: Collection[str]) -> Iterator[Path]:
    """Write a folder so that ``path`` is either what it was before or the whole new folder.

    Args:
        path: The folder; the folder around it is made.
        files: The names of the files that will be in it.

    Yields:
        A provisional, empty folder on the same disk, to be filled.

    Raises:
        CacheError: If the disk refuses, or the old folder cannot be replaced (see
            :func:`check_replaceable`). Whatever goes wrong, nothing is left behind.
    """
    path = path.resolve()
    check_replaceable(path, files)
    try:
        with _workplace(path.parent) as own:
            provisional = own / path.name
            provisional.mkdir()
            yield provisional
            for name in files:
                _flush(provisional / name)
            _put_in_place(provisional, path, files)
    except OSError as error:
        raise CacheError(f'cannot write {path}: {error}') from error


def check_replaceable(path: Path, files: Collection[str]) -> None:
    """Make sure that writing a folder would delete nothing but an older version of it.

    Raises:
        CacheError: If ``path`` is a file, or a folder that holds anything but ``files``.
    """
    if not path.exists():
        return
    try:
        others = sorted(entry.name for entry in path.iterdir() if entry.name not in files)
    except OSError as error:  # A file, or somebody else's folder.
        raise CacheError(f'cannot write {path}: {error}') from error
    if others:
        raise CacheError(
            f'cannot replace the folder {path}: it also holds {others[0]!r}; choose another name'
        )


def sweep(folder: Path) -> None:
    """Delete what killed processes left while they wrote into a folder; live ones keep theirs."""
    with suppress(OSError):
        for lock in (folder / _WORKSHOP).glob(f'*{_LOCK}'):
            with suppress(OSError):
                _clear_away(lock)
        (folder / _WORKSHOP).rmdir()  # Refused while somebody works there.


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """An empty folder of this writer's own, inside of the one that is written into."""
    sweep(folder)
    lock, descriptor = _lock_a_new_name(folder / _WORKSHOP)
    own = lock.with_suffix('')
    try:
        own.mkdir()
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with suppress(OSError):
            lock.unlink()
        os.close(descriptor)
        with suppress(OSError):  # Others work there.
            lock.parent.rmdir()


def _lock_a_new_name(workshop: Path) -> tuple[Path, int]:
    for _ in range(_ATTEMPTS):
        lock = workshop / f'{uuid.uuid4().hex}{_LOCK}'
        try:
            workshop.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        except (FileNotFoundError, FileExistsError):
            if workshop.is_file():
                raise
            continue  # Another writer was the last to leave, and took the workshop away.
        # Somebody who sweeps may have come between, and taken it for litter.
        if _try_to_lock(descriptor) is not False and os.fstat(descriptor).st_nlink:
            return lock, descriptor
        os.close(descriptor)
    raise OSError(errno.EBUSY, 'other processes kept taking the place away', str(workshop))


def _clear_away(lock: Path) -> None:
    """Delete a workplace, unless its writer lives."""
    descriptor = os.open(lock, os.O_RDWR)
    try:
        locked = _try_to_lock(descriptor)
        old = time.time() - os.fstat(descriptor).st_mtime > _SECONDS_OF_A_WRITER
        if locked or (locked is None and old):
            own = lock.with_suffix('')
            recover(own, lock.parent.parent)
            shutil.rmtree(own, ignore_errors=True)
            lock.unlink()
    finally:
        os.close(descriptor)


def _try_to_lock(descriptor: int) -> bool | None:
    """Whether a lock could be had; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _flush(path: Path) -> None:
    with path.open('rb') as file:
        os.fsync(file.fileno())


def _put_in_place(new: Path, path: Path, files: Collection[str]) -> None:
    """Put a folder in the place of another, which is then where the new one was."""
    try:
        new.rename(path)  # Takes the place of an empty folder, too.
    except OSError:
        if not path.exists():
            raise
        exchange(new, path)
        try:
            check_replaceable(new, files)  # Somebody may have put something into it by now.
        except CacheError:
            exchange(new, path)
            raise
