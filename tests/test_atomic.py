"""Folders; of files what their writers do not test."""

import os
from pathlib import Path

import pytest

from torchgeo_geosane.atomic import replacing, replacing_folder
from torchgeo_geosane.errors import CacheError

FILES = ('a', 'b')


def write(path: Path, text: str) -> None:
    with replacing_folder(path, FILES) as provisional:
        for name in FILES:
            (provisional / name).write_text(text)


def fail_half_way(path: Path, failure: BaseException) -> None:
    with replacing_folder(path, FILES) as provisional:
        (provisional / 'a').write_text('2')
        raise failure


def content(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'new' / 'folder'


def test_it_appears_whole(path: Path) -> None:
    with replacing_folder(path, FILES) as provisional:
        for name in FILES:
            (provisional / name).write_text('1')
            assert not path.exists()
    assert content(path) == {'a': '1', 'b': '1'}
    assert list(path.parent.iterdir()) == [path]


def test_the_old_one_stays_until_the_new_one_is_complete(path: Path) -> None:
    write(path, '1')
    with replacing_folder(path, FILES) as provisional:
        for name in FILES:
            (provisional / name).write_text('2')
            assert content(path) == {'a': '1', 'b': '1'}
    assert content(path) == {'a': '2', 'b': '2'}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('failure', [KeyboardInterrupt(), OSError('disk full'), ValueError()])
def test_nothing_is_left_of_what_fails(path: Path, failure: BaseException) -> None:
    write(path, '1')
    with pytest.raises(CacheError if isinstance(failure, OSError) else type(failure)):
        fail_half_way(path, failure)
    assert content(path) == {'a': '1', 'b': '1'}
    assert list(path.parent.iterdir()) == [path]


def test_the_old_one_comes_back_if_the_new_one_cannot_be_moved(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, '1')
    rename = Path.rename

    def refuse_new(self: Path, target: Path) -> Path:
        if self.suffix == '.part':
            raise OSError('no')
        return rename(self, target)

    monkeypatch.setattr(Path, 'rename', refuse_new)
    with pytest.raises(CacheError, match='cannot write'):
        write(path, '2')
    assert content(path) == {'a': '1', 'b': '1'}
    assert list(path.parent.iterdir()) == [path]


def test_remains_of_a_killed_process_of_the_same_number(path: Path) -> None:
    write(path, '1')
    for state in ('part', 'old'):
        remains = path.with_name(f'{path.name}.{os.getpid()}.{state}')
        remains.mkdir()
        (remains / 'a').write_text('0')
    write(path, '2')
    assert content(path) == {'a': '2', 'b': '2'}
    assert list(path.parent.iterdir()) == [path]


def test_an_incomplete_folder_does_not_appear(path: Path) -> None:
    with pytest.raises(CacheError, match='cannot write'), replacing_folder(path, FILES) as new:
        (new / 'a').write_text('1')
    assert list(path.parent.iterdir()) == []


def test_only_an_older_version_is_deleted(path: Path) -> None:
    path.mkdir(parents=True)
    (path / 'thesis.tex').write_text('precious')
    with pytest.raises(CacheError, match=r"also holds 'thesis.tex'"):
        write(path, '1')
    assert content(path) == {'thesis.tex': 'precious'}
    (path / 'thesis.tex').rename(path.parent / 'file')
    write(path, '1')
    with pytest.raises(CacheError, match='Not a directory'):
        write(path.parent / 'file', '1')
    assert (path.parent / 'file').read_text() == 'precious'


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    write(path, '1')
    link = tmp_path / 'link'
    os.symlink(path, link)
    write(link, '2')
    assert link.is_symlink()
    assert content(path) == {'a': '2', 'b': '2'}


def test_a_full_disk_is_named_where_torch_does_not(path: Path) -> None:
    with (
        pytest.raises(CacheError, match=r'unexpected pos 64 vs 0 \(is the disk full\?\)'),
        replacing(path),
    ):
        raise RuntimeError('[enforce fail at inline_container.cc] . unexpected pos 64 vs 0')
    assert list(path.parent.iterdir()) == []
