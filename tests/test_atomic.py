"""Files and folders that appear whole or not at all."""

import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from torchgeo_geosane import exchange
from torchgeo_geosane.atomic import replacing, replacing_folder, sweep
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


@pytest.mark.parametrize('at_once', [True, False])
def test_the_old_one_comes_back_if_the_new_one_cannot_be_moved(
    path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    write(path, '1')
    rename = Path.rename

    def refuse_new(self: Path, target: Path) -> Path:
        if target == path and self.name == path.name:
            raise OSError('no')
        return rename(self, target)

    def refuse(one: Path, other: Path) -> bool:
        if at_once:
            raise OSError('no')
        return False

    monkeypatch.setattr(Path, 'rename', refuse_new)
    monkeypatch.setattr(exchange, '_at_once', refuse)
    with pytest.raises(CacheError, match='cannot write'):
        write(path, '2')
    assert content(path) == {'a': '1', 'b': '1'}
    assert list(path.parent.iterdir()) == [path]


# Writers that are killed, and writers that live.


def kill_at(event: str, target: Callable[[], None], count: int = 1) -> None:
    """Run in a forked process, which dies when something of the kind happens for the n-th time."""
    child = os.fork()
    if not child:
        seen = []

        def die(name: str, arguments: tuple[object, ...]) -> None:
            if name == event:
                seen.append(arguments)
                if len(seen) == count:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        target()
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def without_exchange(path: Path, text: str) -> None:
    exchange._at_once = lambda one, other: False
    write(path, text)


@pytest.mark.parametrize('event', ['os.mkdir', 'open', 'os.rename', 'shutil.rmtree', 'os.remove'])
@pytest.mark.parametrize('count', [1, 2, 3])
def test_a_killed_writer_leaves_the_old_folder_or_the_new(
    path: Path, event: str, count: int
) -> None:
    write(path, '1')
    try:
        kill_at(event, partial(write, path, '2'), count)
    except AssertionError:  # It happens less often.
        return
    assert content(path) in ({'a': '1', 'b': '1'}, {'a': '2', 'b': '2'})
    write(path, '3')
    assert content(path) == {'a': '3', 'b': '3'}
    assert list(path.parent.iterdir()) == [path], 'what it left is swept away'


@pytest.mark.parametrize('count', [2, 3, 4])
def test_where_folders_cannot_be_exchanged_the_old_one_is_found_again(
    path: Path, count: int
) -> None:
    write(path, '1')
    kill_at('os.rename', partial(without_exchange, path, '2'), count)
    sweep(path.parent)
    assert content(path) in ({'a': '1', 'b': '1'}, {'a': '2', 'b': '2'})
    assert list(path.parent.iterdir()) == [path]


def test_whatever_lies_in_a_dead_writers_place_is_litter(tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / 'file') as provisional:
            provisional.with_name('.tmpLibrary').write_text('half')
            (provisional.parent / 'folder').mkdir()
            (provisional.parent / 'folder' / 'file').touch()
            os.replace(provisional, provisional)

    kill_at('os.rename', fill)
    assert len(list(tmp_path.rglob('*'))) == 7
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_live_writer_keeps_its_place(tmp_path: Path) -> None:
    with replacing(tmp_path / 'one') as one, replacing_folder(tmp_path / 'two', ['a']) as two:
        one.write_text('1')
        (two / 'a').write_text('2')
        for _ in range(3):
            sweep(tmp_path)
            with replacing(tmp_path / 'three') as three:
                three.write_text('3')
        child = os.fork()
        if not child:  # Another process sweeps, too.
            sweep(tmp_path)
            os._exit(0)
        os.waitpid(child, 0)
    assert [(tmp_path / name).read_text() for name in ('one', 'two/a', 'three')] == ['1', '2', '3']
    assert {path.name for path in tmp_path.iterdir()} == {'one', 'two', 'three'}


def test_writers_at_once_never_share(tmp_path: Path) -> None:
    """Threads and processes write to the same two paths; what appears is always one writer's."""
    processes = []
    for process in range(3):
        processes.append(child := os.fork())
        if not child:
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(partial(write_both, tmp_path, process), range(8)))
            os._exit(0)
    running = set(processes)
    while running:
        for path in (tmp_path / 'file', tmp_path / 'folder' / 'a'):
            with suppress(FileNotFoundError):
                assert len(set(path.read_text().splitlines())) == 1
        done, status = os.waitpid(-1, os.WNOHANG)
        if done:
            running.discard(done)
            assert status == 0
    assert {path.name for path in tmp_path.iterdir()} == {'file', 'folder'}
    assert len(set(content(tmp_path / 'folder').values())) == 1


def write_both(folder: Path, process: int, number: int) -> None:
    line = f'{process} {number}\n'
    with replacing(folder / 'file') as provisional, provisional.open('w') as file:
        for _ in range(1000):
            file.write(line)
    write(folder / 'folder', line)


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
