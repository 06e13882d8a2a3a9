"""Files of others, opened with care: what is no plain file, too large or gone is told at once.

Every room reads through this module, so that a pipe or a device never blocks, and so that whatever the system
says becomes an error of ours in one place (:func:`telling`).
"""

import errno
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from torchgeo_geosane.foundry.errors import GeoSANEError, TokenError

# Indices, parameters and configurations have kilobytes; more takes many times its size once parsed.
MAX_TEXT = 16 * 2**20

_KINDS = {
    stat.S_IFDIR: 'is a folder',
    stat.S_IFIFO: 'is a pipe, which is never read: save it as a file',
    stat.S_IFCHR: 'is a device',
    stat.S_IFBLK: 'is a device',
    stat.S_IFSOCK: 'is a socket',
}
_REASONS = {
    errno.ENOENT: 'there is no such file or folder',
    errno.ENOTDIR: 'a part of its path is no folder',
    errno.EISDIR: 'it is a folder',
    errno.ELOOP: 'it is a link that leads to itself',
    errno.ENAMETOOLONG: 'the name is too long for a file',
    errno.EACCES: 'permission is denied: make it readable, or choose another place',
    errno.EPERM: 'permission is denied: make it readable, or choose another place',
    errno.EROFS: 'the disk can only be read: choose another place',
    errno.ENOSPC: 'the disk is full: make room, or choose another place',
    errno.EDQUOT: 'the quota of the disk is used up: make room, or choose another place',
    errno.EMFILE: 'too many files are open: raise the limit (ulimit -n)',
    errno.EILSEQ: 'the file system takes no such name',
}
_WORDS: dict[type[Exception], str] = {
    RecursionError: 'it is nested too deeply',
    MemoryError: 'there is not enough memory',
    UnicodeEncodeError: 'the name holds characters that no file name has',
    UnicodeDecodeError: 'it is no UTF-8 text',
    zipfile.BadZipFile: 'it is truncated or damaged',
    zlib.error: 'it is truncated or damaged',
    struct.error: 'it is truncated or damaged',
    EOFError: 'it is truncated',
}
# RuntimeError: no home directory, loops of links, JSON nested too deeply. ValueError: NUL characters,
# texts that are no UTF-8, no JSON.
_EXPECTED: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, *_WORDS)


class ContentError(TokenError):
    """What is wrong inside of a file; the message does not name the file, :func:`telling` does."""


class Stamp(NamedTuple):
    """What tells one state of a file from another without reading it."""

    device: int
    inode: int
    size: int
    modified: int


def reason(error: BaseException) -> str:
    """What an error of the system or of a parser means, in words that say what is wrong."""
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, ValueError) and 'null byte' in str(error):
        return 'the name holds a NUL character'
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def telling(kind: type[GeoSANEError], what: str) -> Iterator[None]:
    """Turn whatever the system, or a file's content, raises into an error of ours.

    Args:
        kind: The class to raise; errors of ours other than :class:`TokenError` pass as they are.
        what: What was tried, the beginning of the message: ``"prompt 'x' cannot be read"``.

    Raises:
        GeoSANEError: Of class ``kind``, with the reason in words.
    """
    try:
        yield
    except ContentError as error:
        raise kind(f'{what}: {error}') from error
    except TokenError as error:
        raise error if kind is TokenError else kind(str(error)) from error
    except GeoSANEError:
        raise
    except _EXPECTED as error:
        raise kind(f'{what}: {reason(error)}') from error


def printable(path: str | Path) -> str:
    """A path for a message, quoted; bytes that are no text are escaped, and a long one is cut."""
    text = ascii(str(path)) if not str(path).isprintable() else repr(str(path))
    return text if len(text) <= 300 else f'{text[:140]}…{text[-140:]}'


@contextmanager
def open_plain(path: str | Path) -> Iterator[BufferedReader]:
    """Open a plain file for reading; neither a pipe nor a device is waited for.

    Raises:
        TokenError: If it is missing, may not be read, or is no plain file.
    """
    with telling(TokenError, f'{printable(path)} cannot be read'):
        check_plain(path)
        # Should it become a pipe this very moment, it is not waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | _BINARY)
    with os.fdopen(descriptor, 'rb') as file:
        _check_mode(os.fstat(descriptor).st_mode, path)
        yield file


def check_plain(path: str | Path) -> os.stat_result:
    """Make sure that a path is a plain file, and say what the system knows of it.

    Raises:
        TokenError: If it is missing, or something else.
    """
    with telling(TokenError, f'{printable(path)} cannot be read'):
        status = os.stat(path)
    _check_mode(status.st_mode, path)
    return status


def stamp_of(path: str | Path) -> Stamp:
    """What tells the present state of a plain file from another.

    Raises:
        TokenError: As :func:`check_plain`.
    """
    return _stamp(check_plain(path))


def read_bytes(path: str | Path, limit: int = MAX_TEXT) -> bytes:
    """The content of a small file.

    Raises:
        TokenError: If it cannot be read, or has more than ``limit`` bytes (none is read then).
    """
    with telling(TokenError, f'{printable(path)} cannot be read'), open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise TokenError(
                f'{printable(path)} has {size:,} bytes, at most {limit:,} are read of its kind: '
                'is it the right file?'
            )
        # Files of the system's own (/proc) say that they have no bytes.
        return file.read(limit)


def read_text(path: str | Path, limit: int = MAX_TEXT) -> str:
    """The content of a small text file in UTF-8, with or without a byte order mark.

    Raises:
        TokenError: As :func:`read_bytes`, or if it is no UTF-8.
    """
    with telling(TokenError, f'{printable(path)} cannot be read'):
        return read_bytes(path, limit).decode('utf-8-sig')


def parse_json(text: str | bytes, what: str) -> Any:
    """What a JSON text says.

    Raises:
        TokenError: If it is none; the message begins with ``what``.
    """
    with telling(TokenError, f'{what} is not readable JSON'):
        return json.loads(text)


def read_json(path: str | Path, limit: int = MAX_TEXT) -> Any:
    """What a small JSON file says.

    Raises:
        TokenError: As :func:`read_text` and :func:`parse_json`.
    """
    return parse_json(read_text(path, limit), printable(path))


class PlainFile:
    """A file read at any place; that it is still the one that was opened is checked at each read.

    Nothing of it stays open or mapped: it may be replaced, truncated or deleted at any time, which is noticed.
    """

    def __init__(self, path: str | Path) -> None:
        """Remember ``path`` as it is now.

        Raises:
            TokenError: As :func:`open_plain`.
        """
        self.path = Path(path)
        with open_plain(path) as file:
            self.stamp = _stamp(os.fstat(file.fileno()))

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self.stamp.size

    @contextmanager
    def open(self) -> Iterator[BufferedReader]:
        """Open it once more.

        Raises:
            TokenError: If it has changed since, or cannot be read.
        """
        with open_plain(self.path) as file:
            if _stamp(os.fstat(file.fileno())) != self.stamp:
                raise TokenError(
                    f'{printable(self.path)} has changed while it was read: run again once it is '
                    'written'
                )
            yield file

    def read_into(self, start: int, buffer: memoryview) -> None:
        """Fill a buffer with what begins at byte ``start``.

        Raises:
            TokenError: If it ends before, has changed, or cannot be read.
        """
        with telling(TokenError, f'{printable(self.path)} cannot be read'), self.open() as file:
            file.seek(start)
            done = 0
            while done < len(buffer):
                got = file.readinto(buffer[done:])
                if not got:
                    raise TokenError(f'{printable(self.path)} is truncated')
                done += got

    def read(self, start: int, count: int) -> bytes:
        """Some bytes; fewer where the file ends.

        Raises:
            TokenError: If it has changed, or cannot be read.
        """
        content = bytearray(max(0, min(count, self.size - start)))
        self.read_into(start, memoryview(content))
        return bytes(content)


_BINARY = getattr(os, 'O_BINARY', 0)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _check_mode(mode: int, path: str | Path) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), 'is no plain file')
        raise TokenError(f'{printable(path)} {kind}, not a file')
