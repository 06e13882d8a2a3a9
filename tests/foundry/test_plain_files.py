"""Whatever a path leads to, and whatever the system says: an error of ours, at once."""

import errno
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.foundry.errors import FoundryError, TokenError
from torchgeo_geosane.foundry.files import (
    MAX_TEXT,
    PlainFile,
    check_plain,
    printable,
    read_bytes,
    read_json,
    read_text,
    telling,
)


def special(folder: Path) -> dict[str, Path]:
    """Paths that are no plain files, or none at all, by the words that say so."""
    os.mkfifo(folder / 'pipe')
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / 'socket'))
    (folder / 'itself').symlink_to('itself')
    (folder / 'to_pipe').symlink_to('pipe')
    (folder / 'file').touch()
    return {
        'is a pipe': folder / 'pipe',
        'is a socket': folder / 'socket',
        'is a folder': folder,
        'link that leads to itself': folder / 'itself',
        'is a pipe, ': folder / 'to_pipe',
        'is a device': Path('/dev/zero'),
        'there is no such file': folder / 'gone',
        'is no folder': folder / 'file' / 'below',
        'name is too long': folder / ('a' * 300),
        'NUL character': folder / 'a\0b',
        'characters that no file name has': folder / 'a\ud800',
    }


def test_what_is_no_plain_file_is_told_at_once(tmp_path: Path) -> None:
    for words, path in special(tmp_path).items():
        for read in (check_plain, PlainFile, read_bytes, read_text, read_json):
            with pytest.raises(TokenError, match=words):
                read(path)


@pytest.mark.skipif(os.getuid() != 0, reason='only root can become somebody else')
def test_missing_permissions(tmp_path: Path) -> None:
    path = tmp_path / 'x'
    path.write_text('{}')
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        with pytest.raises(TokenError, match='permission is denied'):
            read_json(path)
    finally:
        os.seteuid(0)


def test_size_comes_before_reading(tmp_path: Path) -> None:
    path = tmp_path / 'x.json'
    with path.open('wb') as file:
        file.truncate(2**40)
    with pytest.raises(TokenError, match='1,099,511,627,776 bytes'):
        read_json(path)
    path.write_bytes(b'[' * MAX_TEXT)
    with pytest.raises(TokenError, match='nested too deeply'):
        read_json(path)


@pytest.mark.parametrize('content', [b'\xff\xfe', b'{', b'', b'NaN]', b'9' * 5000])
def test_no_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'x').write_bytes(content)
    with pytest.raises(TokenError, match=r"x' (is not readable JSON|cannot be read)"):
        read_json(tmp_path / 'x')


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / 'x').write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / 'x') == {'a': 1}


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / 'x'
    path.write_bytes(b'0123456789')
    file = PlainFile(path)
    assert file.read(3, 4) == b'3456'
    assert file.read(8, 100) == b'89'
    os.truncate(path, 5)
    with pytest.raises(TokenError, match='has changed'):
        file.read(0, 2)


@pytest.mark.parametrize('number', [errno.EIO, errno.ENOSPC, errno.EROFS, errno.ESTALE, 9999])
def test_every_error_of_the_system_is_told(number: int) -> None:
    with (
        pytest.raises(FoundryError, match=r'it was tried: .'),
        telling(FoundryError, 'it was tried'),
    ):
        raise OSError(number, os.strerror(number))


@given(st.text())
def test_any_name_can_be_shown(name: str) -> None:
    shown = printable(name)
    shown.encode()
    assert shown.isprintable()
    assert len(shown) <= 300
