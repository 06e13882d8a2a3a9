"""Two folders exchange their places in one step, so that a kill finds both in one place or the other."""

import ctypes
import errno
import os
import sys
from pathlib import Path

_LINUX_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2
_LINUX_HERE = -100  # AT_FDCWD
_DARWIN_SWAP = 2  # RENAME_SWAP of renamex_np
_ASIDE = '.aside'
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders on one disk.

    Where the system cannot do it at once it takes three steps; after a kill between them
    :func:`recover` finds the folder ``other`` beside ``one``.

    Raises:
        OSError: If it refuses; both are where they were.
    """
    if _at_once(one, other):
        return
    aside = one.with_name(f'{other.name}{_ASIDE}')
    other.rename(aside)
    try:
        one.rename(other)
    except OSError:
        aside.rename(other)
        raise
    aside.rename(one)


def recover(left: Path, folder: Path) -> None:
    """Put back into a folder what a killed exchange had taken from it.

    Args:
        left: The folder beside whose ``one`` the exchange was killed.
        folder: Where ``other`` was.
    """
    for aside in left.glob(f'*{_ASIDE}'):
        place = folder / aside.name.removesuffix(_ASIDE)
        if not place.exists():
            aside.rename(place)


def _at_once(one: Path, other: Path) -> bool:
    """Whether the system could."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    try:
        if sys.platform == 'darwin':
            failed = libc.renamex_np(*names, ctypes.c_uint(_DARWIN_SWAP))
        else:
            failed = libc.renameat2(
                _LINUX_HERE, names[0], _LINUX_HERE, names[1], ctypes.c_uint(_LINUX_EXCHANGE)
            )
    except (AttributeError, OSError):  # A system, or a C library, that does not know it.
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(other))
