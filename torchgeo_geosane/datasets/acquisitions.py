"""What a satellite took at one time: its files, found in folders, lists or STAC items."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from glob import escape, glob
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from torchgeo_geosane.datasets.band_names import codes_in, named_band
from torchgeo_geosane.datasets.evidence import Evidence, How
from torchgeo_geosane.datasets.file_bands import is_label
from torchgeo_geosane.datasets.open_files import is_remote
from torchgeo_geosane.datasets.product import Radar
from torchgeo_geosane.datasets.product_names import any_date, named, products_of
from torchgeo_geosane.datasets.raster_files import (
    SUFFIXES,
    Beside,
    RasterFile,
    Told,
    header,
)
from torchgeo_geosane.datasets.stac import StacItem, is_stac, read_items
from torchgeo_geosane.datasets.units import Calibration
from torchgeo_geosane.errors import DataError, did_you_mean
from torchgeo_geosane.sensors import Sensor
from torchgeo_geosane.sensors.spelling import words

Paths = str | Path | Sequence[str | Path]
Image = StacItem | tuple[str, ...]
"""One image: a STAC item, or its files."""
Files = Paths | Image | Mapping[str, Any]
"""Files alone, or a mapping that also says what is in them, see :func:`split_told`."""

_RESOLUTION = re.compile(r'(?<![A-Za-z0-9])\d\dm(?![A-Za-z0-9])')
_PREVIEWS = {'tci', 'pvi', 'preview', 'thumbnail', 'quicklook', 'browse', 'ql', 'true color'}
_UNDATED = Evidence(How.UNKNOWN, 'no date is stated')


@dataclass(frozen=True)
class Acquisition:
    """One image of a sensor.

    Attributes:
        name: What its files' names share.
        files: One file, or several that hold different bands.
        start: When it began.
        stop: When it ended; both are the limits of pandas' calendar where that is unknown.
        dated: What says when it was taken.
    """

    name: str
    files: tuple[RasterFile, ...]
    start: pd.Timestamp
    stop: pd.Timestamp
    dated: Evidence = field(default=_UNDATED, compare=False)

    def holding(self, bands: Iterable[str]) -> list[RasterFile]:
        """The files that hold at least one of some bands."""
        return [file for file in self.files if not set(file.bands).isdisjoint(bands)]

    def calibrations(self, bands: Iterable[str]) -> list[Calibration]:
        """How some bands come into their sensor's unit."""
        held = {
            band: one
            for file in reversed(self.files)
            for band, one in zip(file.bands, file.calibrations, strict=True)
        }
        return [held[band] for band in bands]

    def finest(self, bands: Iterable[str]) -> RasterFile:
        """Of the files that hold some bands, the one with the smallest pixels."""
        return min(self.holding(bands), key=lambda file: file.res[0] * file.res[1])


@dataclass(frozen=True)
class Found:
    """What lies in folders, lists or STAC items.

    Attributes:
        acquisitions: The images, by name.
        left_out: Files that are not read, and why, to be read by a person.
    """

    acquisitions: tuple[Acquisition, ...]
    left_out: tuple[str, ...]


def split_told(files: Files) -> tuple[Paths | Image, Told]:
    """Files, and what is said about them: ``{'files': 'data', 'bands': {'R': 3, 'G': 2, 'B': 1}}``.

    Raises:
        DataError: If there is a key that means nothing, or none for the files.
    """
    if not isinstance(files, Mapping):
        return files, Told()
    known = ['files', *Told.__dataclass_fields__]
    for key in files:
        if key not in known:
            raise DataError(f'unknown {key!r} about files{did_you_mean(str(key), known)}')
    if 'files' not in files:
        raise DataError(f'{dict(files)} names no files: add them, as in {{files: data, bands: …}}')
    return files['files'], Told(**{key: value for key, value in files.items() if key != 'files'})


def find_acquisitions(paths: Files, sensor: Sensor) -> list[Acquisition]:
    """The images of a sensor, see :func:`find_images`."""
    return list(find_images(paths, sensor).acquisitions)


def find_images(paths: Files, sensor: Sensor, radar: Radar | None = None) -> Found:
    """Find the images of a sensor.

    Args:
        paths: A folder (with those below it), a glob, a file, a JSON file of STAC items, or a
            sequence of these; or a mapping of ``files`` to it that also says more, see
            :class:`~.raster_files.Told`.
        sensor: The sensor, whose bands the files hold.
        radar: What radar files hold, where ``paths`` does not say it.

    Returns:
        Images by name, those that hold one band a file have several files; and what else was there.

    Raises:
        DataError: If there is none, a file is damaged, without georeference or says of its bands
            what contradicts the sensor, or two files hold one band of one image.
    """
    given, told = split_told(paths)
    if told.radar is None:
        told = replace(told, radar=radar)
    listed, items, files = _listed(given)
    grouped: dict[str, list[RasterFile]] = {}
    silent, left_out = [], []
    for path in sorted(set(files)):
        beside = _beside(path, sensor) if told.bands is None else None
        if beside is not None:
            left_out.append(f'{path}: {beside}')
            continue
        found = header(path, sensor, told)
        if found is None:
            silent.append(path)
        elif isinstance(found, Beside):
            left_out.append(f'{path}: {", ".join(found.holds)}')
        else:
            grouped.setdefault(_key(path, found, sensor), []).append(found)
    if silent and not grouped and sensor.in_chans == 1 and '[' in sensor.name:
        # No file names a band: that it is this one is what the user says.
        only = replace(told, bands={sensor.band_names[0]: 1})
        grouped = {str(Path(path).with_suffix('')): [_read(path, sensor, only)] for path in silent}
        silent = []
    if silent:
        raise DataError(
            f'{len(silent)} files do not say which band of {sensor.name!r} they hold, first '
            f'{silent[0]}: leave them out, for instance by a glob'
        )
    acquisitions = [
        Acquisition(name, _one_a_band(name, group), *_dates(name, group))
        for name, group in sorted(grouped.items())
    ]
    acquisitions += [_from_item(item, sensor, told) for item in items]
    if not acquisitions:
        others = f'; {len(left_out)} files hold others, first {left_out[0]}' if left_out else ''
        raise DataError(
            f'no image of sensor {sensor.name!r} in {", ".join(map(str, listed))}{others}: files '
            f'hold all of its bands, or one that they name ({", ".join(sensor.band_names)})'
        )
    return Found(tuple(acquisitions), tuple(left_out))


def _read(path: str, sensor: Sensor, told: Told) -> RasterFile:
    found = header(path, sensor, told)
    assert isinstance(found, RasterFile)
    return found


def _beside(path: str, sensor: Sensor) -> str | None:
    """What a file is that a product has beside its bands: a preview of 8 bits, for one."""
    if all(band.gain is None for band in sensor.bands):
        return None
    inner = words(Path(path).stem)
    previews = _PREVIEWS.intersection([*inner, *map(' '.join, pairwise(inner))])
    return f'a preview ({", ".join(previews)})' if previews else None


def images_in(paths: Files, sensor: Sensor) -> dict[str, Image]:
    """What images there seem to be, by name, without opening a file.

    Raises:
        DataError: If a path does not exist, or STAC items are damaged.
    """
    _, items, files = _listed(split_told(paths)[0])
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(set(files)):
        if _beside(path, sensor) is None:
            name = _image(path, sensor)
            found[name] = (*found.get(name, ()), path)
    return {**found, **{item.name: item for item in items}}


def _listed(paths: Paths | Image) -> tuple[list[str | Path], list[StacItem], list[str]]:
    """What is listed, and the items and files that it stands for."""
    if isinstance(paths, StacItem):
        return [paths.name], [paths], []
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    items = [item for path in listed if is_stac(path) for item in read_items(Path(path))]
    files = [file for path in listed if not is_stac(path) for file in _files(str(path))]
    return listed, items, files


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
    """What the files of one image have in common."""
    whole = is_label(sensor) or len(file.bands) > 1
    return str(Path(path).with_suffix('')) if whole else _image(path, sensor)


def _image(path: str, sensor: Sensor) -> str:
    """A path without band, number and resolution."""
    plain = Path(path)
    if (rest := _without_band(plain.stem, sensor)) is None:
        return str(plain.with_suffix(''))
    folders = [part for part in plain.parent.parts if not re.fullmatch(r'R\d\dm', part)]
    stem = _RESOLUTION.sub('', rest).strip('_-.')
    return str(Path(*folders, re.sub(r'([_.-])[_.-]+', r'\1', stem)))


def _without_band(name: str, sensor: Sensor) -> str | None:
    """A name without the band that it names; None where it names none."""
    product = named(name)
    text = product.groups.get('band', '') if product is not None else ''
    codes = codes_in(name, sensor)
    if product is not None and text and (not codes or product.rest.count(codes[-1][1]) == 0):
        return product.rest
    if codes:
        return name[: codes[-1][0]] + name[codes[-1][2] :]
    found = named_band(name, sensor)
    if found is None:
        return None
    pattern = '[^A-Za-z0-9]*'.join(map(re.escape, found[2].split()))
    return re.sub(rf'{pattern}(?!.*{pattern})', '', name, flags=re.IGNORECASE)


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


def _dates(name: str, files: Sequence[RasterFile]) -> tuple[pd.Timestamp, pd.Timestamp, Evidence]:
    """When an image was taken: what its file states, then its name, then the product around it."""
    for file in files:
        if file.taken is not None:
            return *file.taken, Evidence(How.STATED, 'stated by the file')
    for product in products_of(files[0].path):
        if product.start is not None and product.stop is not None:
            found = f'{product.product.title}: {product.text}'
            return product.start, product.stop, Evidence(How.NAMED, found)
    span = any_date(Path(name).name)
    if span is None:
        return pd.Timestamp.min, pd.Timestamp.max, _UNDATED
    return *span, Evidence(How.GUESSED, f'the first date in {Path(name).name}')


def _from_item(item: StacItem, sensor: Sensor, told: Told) -> Acquisition:
    """The image of a STAC item: its assets by the bands that they state, their keys and names."""
    other = item.contradicts(sensor)
    if other:
        raise DataError(
            f'STAC item {item.name!r} is {other}, and not of sensor {sensor.name!r} '
            f'({", ".join(sensor.band_names)}): name another sensor'
        )
    candidates = [asset for asset in item.assets if asset.bands_of(sensor)]
    if not candidates:
        candidates = [asset for asset in item.assets if asset.is_raster and not asset.said]
    files: list[RasterFile] = []
    for asset in candidates:
        held = {band for file in files for band in file.bands}
        if held and asset.bands_of(sensor) <= held:
            continue  # The same bands in another format, perhaps far away.
        file = header(asset.href, sensor, told, asset)
        if isinstance(file, RasterFile) and held.isdisjoint(file.bands):
            files.append(file)
    if not files:
        stated = [asset.said for asset in item.assets if asset.said]
        raise DataError(
            f'no asset of STAC item {item.name!r} holds a band of sensor {sensor.name!r}: it has '
            f'{", ".join(asset.key for asset in item.assets) or "none"}'
            + (f', with the bands {"; ".join(stated)}' if stated else '')
        )
    dated = Evidence(How.STATED, f'the STAC item {item.name}')
    return Acquisition(item.name, tuple(files), item.start, item.stop, dated)
