"""What a satellite took at one time: its files, found in folders, lists or STAC items."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from glob import escape, glob
from pathlib import Path

import pandas as pd

from torchgeo_geosane.datasets.open_files import is_remote
from torchgeo_geosane.datasets.raster_files import SUFFIXES, RasterFile, header, named_band
from torchgeo_geosane.datasets.stac import StacItem, is_stac, read_items
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import Sensor
from torchgeo_geosane.sensors.base import plain_name

Paths = str | Path | Sequence[str | Path]

_RESOLUTION = re.compile(r'(?<![A-Za-z0-9])\d\dm(?![A-Za-z0-9])')
_DATE = re.compile(
    r'(?<!\d)((?:19|20)\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])'
    r'(?:T([01]\d|2[0-3])([0-5]\d)([0-5]\d))?(?!\d)'
)


@dataclass(frozen=True)
class Acquisition:
    """One image of a sensor.

    Attributes:
        name: What its files' names share.
        files: One file, or several that hold different bands.
        start: When it began.
        stop: When it ended; both are the limits of pandas' calendar where that is unknown.
    """

    name: str
    files: tuple[RasterFile, ...]
    start: pd.Timestamp
    stop: pd.Timestamp

    def holding(self, bands: Iterable[str]) -> list[RasterFile]:
        """The files that hold at least one of some bands."""
        return [file for file in self.files if not set(file.bands).isdisjoint(bands)]

    def finest(self, bands: Iterable[str]) -> RasterFile:
        """Of the files that hold some bands, the one with the smallest pixels."""
        return min(self.holding(bands), key=lambda file: file.res[0] * file.res[1])


def find_acquisitions(paths: Paths, sensor: Sensor) -> list[Acquisition]:
    """Find the images of a sensor.

    Args:
        paths: A folder (with those below it), a glob, a file, a JSON file of STAC items, or a
            sequence of these.
        sensor: The sensor, whose bands the files hold.

    Returns:
        Images by name; those that hold one band a file have several files.

    Raises:
        DataError: If there is none, or a file is damaged, without georeference or of another
            number of bands, or two files hold one band of one image.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    items = [item for path in listed if is_stac(path) for item in read_items(Path(path))]
    files = [file for path in listed if not is_stac(path) for file in _files(str(path))]
    grouped: dict[str, list[RasterFile]] = {}
    strange = []
    for path in sorted(set(files)):
        found = header(path, sensor)
        if found is None:
            strange.append(path)
        else:
            grouped.setdefault(_key(path, found, sensor), []).append(found)
    acquisitions = [
        Acquisition(name, _one_a_band(name, group), *_dates(name))
        for name, group in sorted(grouped.items())
    ]
    acquisitions += [_from_item(item, sensor) for item in items]
    if not acquisitions:
        extra = f'; {len(strange)} files name no band, first {strange[0]}' if strange else ''
        raise DataError(
            f'no image of sensor {sensor.name!r} in {", ".join(map(str, listed))}{extra}: files '
            f'hold all of its bands, or one that their name names ({", ".join(sensor.band_names)})'
        )
    if strange:
        raise DataError(
            f'{len(strange)} files do not say which band of {sensor.name!r} they hold, first '
            f'{strange[0]}: leave them out, for instance by a glob'
        )
    return acquisitions


def _files(path: str) -> list[str]:
    """The rasters that a folder, a glob or a path stands for."""
    if is_remote(path):
        return [path]
    if os.path.isdir(path):
        found = glob(f'{escape(path)}/**/*', recursive=True)
        return [name for name in found if name.lower().endswith(SUFFIXES)]
    found = [path] if os.path.isfile(path) else glob(path, recursive=True)
    if not found:
        raise DataError(f'{path} does not exist, and matches no file: correct the path')
    return found


def _key(path: str, file: RasterFile, sensor: Sensor) -> str:
    """What the files of one image have in common: the path without band and resolution."""
    plain = Path(path)
    if len(file.bands) > 1 or (named := named_band(plain.stem, sensor)) is None:
        return str(plain.with_suffix(''))
    folders = [part for part in plain.parent.parts if not re.fullmatch(r'R\d\dm', part)]
    stem = _RESOLUTION.sub('', named[1]).strip('_-.')
    return str(Path(*folders, re.sub(r'([_.-])[_.-]+', r'\1', stem)))


def _one_a_band(name: str, files: Sequence[RasterFile]) -> tuple[RasterFile, ...]:
    """Of files that hold one band at several resolutions, the finest."""
    chosen: dict[str, RasterFile] = {}
    for file in sorted(files, key=lambda file: file.res):
        for band in file.bands:
            other = chosen.setdefault(band, file)
            if other is not file and other.res == file.res:
                raise DataError(
                    f'{other.path} and {file.path} both hold band {band} of {name}: leave one out'
                )
    return tuple(dict.fromkeys(chosen.values()))


def _dates(name: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The day, or the second, that a name states last in its file's part."""
    found = list(_DATE.finditer(Path(name).name))
    if not found:
        return pd.Timestamp.min, pd.Timestamp.max
    parts = [int(part) for part in found[-1].groups() if part is not None]
    try:
        start = pd.Timestamp(*parts)
    except ValueError:  # The 31st of June is no date.
        return pd.Timestamp.min, pd.Timestamp.max
    length = pd.Timedelta(days=1) if len(parts) == 3 else pd.Timedelta(seconds=1)
    return start, start + length - pd.Timedelta(microseconds=1)


def _from_item(item: StacItem, sensor: Sensor) -> Acquisition:
    """The image of a STAC item: its assets by their bands, keys and file names."""
    known = {plain_name(name): name for name in sensor.band_names}
    files: list[RasterFile] = []
    for asset in item.assets:
        named = [known[plain_name(name)] for name in asset.bands if plain_name(name) in known]
        by_name = named_band(Path(asset.href).stem, sensor)
        if plain_name(asset.key) in known:
            named = [known[plain_name(asset.key)]]
        elif not named and by_name is not None:
            named = [by_name[0]]
        elif not named and len(item.assets) == 1:
            named = list(sensor.band_names)
        held = {band for file in files for band in file.bands}
        if named and held.isdisjoint(named):
            files.append(_asset(asset.href, tuple(named), sensor))
    if not files:
        raise DataError(
            f'no asset of STAC item {item.name!r} holds a band of sensor {sensor.name!r}: it has '
            f'{", ".join(asset.key for asset in item.assets) or "none"}'
        )
    return Acquisition(item.name, tuple(files), item.start, item.stop)


def _asset(href: str, bands: tuple[str, ...], sensor: Sensor) -> RasterFile:
    file = header(href, replace(sensor, bands=tuple(sensor.band(name) for name in bands)))
    if file is None:
        raise DataError(f'{href} holds one band, but its STAC item says {", ".join(bands)}')
    return file
