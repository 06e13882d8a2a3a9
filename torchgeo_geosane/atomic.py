"""Files and folders that appear whole or not at all."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from torchgeo_geosane.errors import CacheError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that ``path`` holds either what it held before or the whole new content.

    Args:
        path: The file; its folder is made.

    Yields:
        A provisional path beside it, to be written; it takes the place of ``path`` once it is on
        the disk.

    Raises:
        CacheError: If the disk refuses. Whatever goes wrong, nothing is left behind.
    """
    provisional = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        provisional.touch()
        mode = provisional.stat().st_mode
        yield provisional
        # safetensors makes files that nobody but their owner reads: give them the usual mode.
        provisional.chmod(mode)
        with provisional.open('rb') as file:
            os.fsync(file.fileno())
        provisional.replace(path)
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError, in words that do not say so.
        guess = ' (is the disk full?)' if isinstance(error, RuntimeError) else ''
        raise CacheError(f'cannot write {path}: {error}{guess}') from error
    finally:
        with suppress(OSError):
            provisional.unlink()


@contextmanager
def replacing_folder(path: Path, files: Collection[str]) -> Iterator[Path]:
    """Write a folder so that ``path`` is either what it was before or the whole new folder.

    The old folder is put aside (as ``*.old``) once the new one is complete, and then deleted.

    Args:
        path: The folder; the folder around it is made.
        files: The names of the files that will be in it.

    Yields:
        A provisional, empty folder beside it, to be filled.

    Raises:
        CacheError: If the disk refuses, or the old folder cannot be replaced (see
            :func:`check_replaceable`). Whatever goes wrong, nothing is left behind.
    """
    path = path.resolve()
    provisional, old = (
        path.with_name(f'{path.name}.{os.getpid()}.{state}') for state in ('part', 'old')
    )
    check_replaceable(path, files)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A killed process may have had this number.
        shutil.rmtree(provisional, ignore_errors=True)
        provisional.mkdir()
        yield provisional
        for name in files:
            with (provisional / name).open('rb') as file:
                os.fsync(file.fileno())
        _exchange(provisional, path, old)
    except OSError as error:
        raise CacheError(f'cannot write {path}: {error}') from error
    finally:
        shutil.rmtree(provisional, ignore_errors=True)


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


def _exchange(new: Path, path: Path, old: Path) -> None:
    """Put a folder in the place of another, which is deleted last."""
    if not path.exists():
        new.rename(path)
        return
    shutil.rmtree(old, ignore_errors=True)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
