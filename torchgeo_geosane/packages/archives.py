"""Packages as files: wheels of Python and tarballs of npm, out of which single files are read."""

import json
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from torchgeo_geosane.foundry.files import ContentError

# Of one file in a tarball: networks in packages have some megabytes.
_LARGEST = 2**30
_TARBALL = '.tgz'
_LICENCE = re.compile(r'package/licen[cs]e[^/]*', re.IGNORECASE)


def plain(package: str) -> str:
    """The name of a package as part of a file's: ``@owner/name`` of npm is ``owner-name``."""
    return package.removeprefix('@').replace('/', '-')


def find_archive(folder: Path, package: str, version: str) -> Path | None:
    """The wheel or the tarball in a folder that is one version of a package."""
    wheel = f'{re.sub(r"[-_.]+", "_", package)}-{version}-'.lower()
    tarball = f'{plain(package)}-{version}{_TARBALL}'
    wheels = sorted(folder.glob('*.whl'))
    found = [each for each in wheels if each.name.lower().startswith(wheel)]
    found += [each for each in folder.glob(f'*{_TARBALL}') if each.name == tarball]
    return found[0] if found else None


def check_inside(name: str) -> None:
    """Make sure that a path stays in the folder that it is joined to: manifests say any.

    Raises:
        ContentError: If not.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or '..' in path.parts or '\\' in name:
        raise ContentError('its path leads out of the package')


def read_member(archive: Path, name: str) -> bytes:
    """One file in an archive; nothing is unpacked.

    Args:
        archive: The wheel or tarball.
        name: Path in it.

    Raises:
        ContentError: If there is no such file in it; OSError and others if the archive is missing or
            damaged.
    """
    if archive.suffix != _TARBALL:
        with zipfile.ZipFile(archive) as wheel:
            if name not in wheel.namelist():
                raise ContentError('it is not in it')
            return wheel.read(name)
    with _tarball(archive) as tarball:
        return _read(tarball, next((each for each in tarball if each.name == name), None))


def read_licences(archive: Path) -> list[str]:
    """The texts of the licence files in an archive; of a tarball without any what its metadata says.

    Raises:
        ContentError: If the metadata is damaged; OSError and others if the archive is.
    """
    if archive.suffix != _TARBALL:
        with zipfile.ZipFile(archive) as wheel:
            names = [n for n in wheel.namelist() if '.dist-info' in n and 'licen' in n.lower()]
            return [wheel.read(name).decode() for name in names if not name.endswith('/')]
    with _tarball(archive) as tarball:
        licences = [each for each in tarball.getmembers() if _LICENCE.fullmatch(each.name)]
        if licences:
            return [_read(tarball, each).decode() for each in licences]
    stated = json.loads(read_member(archive, 'package/package.json'))
    licence = stated.get('license') if isinstance(stated, dict) else None
    if not isinstance(licence, str):
        return []
    return [f'{licence} (says package.json; the package ships no licence text)\n']


@contextmanager
def _tarball(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(archive, 'r:gz') as tarball:
            yield tarball
    except tarfile.TarError as error:
        raise ContentError('it is truncated or damaged') from error


def _read(tarball: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes:
    """A plain file: links in a tarball are not followed."""
    file = tarball.extractfile(member) if member is not None and member.isreg() else None
    if member is None or file is None:
        raise ContentError('it is not in it, or is no file there')
    if member.size > _LARGEST:
        raise ContentError(f'it has {member.size:,} bytes, at most {_LARGEST:,} are read')
    return file.read()
