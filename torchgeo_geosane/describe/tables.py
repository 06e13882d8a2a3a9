"""Tables that say what is read of imagery, and how each was decided."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import CRS

from torchgeo_geosane.datamodules.parts import Part
from torchgeo_geosane.datamodules.windows import grid_windows, places
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.evidence import Evidence, How
from torchgeo_geosane.datasets.index_table import Query
from torchgeo_geosane.datasets.raster_files import RasterFile
from torchgeo_geosane.datasets.sources import Source

_CHIP = 256
# Chips that are read: enough for shares and percentiles, and a minute's work at most.
_MOST_CHIPS = 64
# So many standard deviations from a sensor's mean no band's median is by chance.
_UNLIKE = 5.0


@dataclass(frozen=True)
class Table:
    """Rows of text under a header.

    Attributes:
        title: What it is about.
        header: Name of each column.
        rows: The cells.
        note: A sentence below it, or empty.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ''


def images_table(source: Source) -> Table:
    """The images of a sensor: when each was taken and how that is known, and its grid."""
    rows = tuple(_image_row(image, source.bands) for image in source.acquisitions)
    header = ('image', 'taken', 'how that is known', 'files', 'CRS', 'pixels', 'pixel', 'type')
    count = f'{len(rows)} image{"s" * (len(rows) != 1)}'
    return Table(f'{source.sensor.name}: {count}', (*header, 'no data'), rows)


def _image_row(image: Acquisition, bands: Sequence[str]) -> tuple[str, ...]:
    files, finest = image.holding(bands), image.finest(bands)
    return (
        Path(image.name).name,
        _time(image),
        said(image.dated),
        str(len(files)),
        _crs(finest),
        f'{finest.width} x {finest.height}',
        ', '.join(dict.fromkeys(f'{file.res[0]:g}' for file in sorted(files, key=_width))),
        ', '.join(dict.fromkeys(file.dtype for file in files)),
        ', '.join(dict.fromkeys(text for file in files for text in _no_data(file))),
    )


def _width(file: RasterFile) -> float:
    return file.res[0]


def _time(image: Acquisition) -> str:
    if image.start == pd.Timestamp.min:
        return 'unknown'
    length = image.stop - image.start
    if length < pd.Timedelta(minutes=1):
        return f'{image.start:%Y-%m-%d %H:%M:%S}'
    if length <= pd.Timedelta(days=1):
        return f'{image.start:%Y-%m-%d}'
    return f'{image.start:%Y-%m-%d} to {image.stop:%Y-%m-%d}'


def _crs(file: RasterFile) -> str:
    crs = CRS.from_wkt(file.crs)
    return f'EPSG:{crs.to_epsg()}' if crs.to_epsg() else crs.name


def _no_data(file: RasterFile) -> list[str]:
    stated = [f'{value:g}' for value in file.nodata if value is not None]
    return [*stated, *(['mask'] if file.is_masked else [])] or ['none stated']


def bands_table(data: Imagery, source: Source, sample: NDArray[np.float32] | None) -> Table:
    """The bands of a sensor: what says which is which, and what their values are like.

    Args:
        data: The imagery.
        source: The sensor.
        sample: Values of all channels that have data, NaN where one has none, [channels, n]; None
            where nothing was read.
    """
    first = source.acquisitions[0]
    rows, unlike = [], []
    for name in source.bands:
        band = source.sensor.band(name)
        file, evidence = _evidence_of(name, first)
        values = None if sample is None else sample[data.bands.index(name)]
        shown = '' if values is None else _percentiles(values)
        usual = '' if band.mean is None else f'{band.mean:g} ± {band.std or 0:g}'
        if values is not None and _is_unlike(values, band.mean, band.std):
            usual += ' (!)'
            unlike.append(name)
        path = Path(file.path).name
        rows.append((name, band.description, path, said(evidence), data.units[name], shown, usual))
    header = ('band', 'shows', 'file', 'how that is known', 'unit', 'values 2-50-98 %', 'usual')
    title = f'{source.sensor.name}: bands' + (
        f', of the first of {len(source.acquisitions)} images' * (len(source.acquisitions) > 1)
    )
    note = ''
    if unlike:
        note = (
            f'{", ".join(unlike)}: values are far from what is usual for the sensor. Are the units '
            'right? If they are, set statistics: training.'
        )
    return Table(title, header, tuple(rows), note)


def _evidence_of(band: str, image: Acquisition) -> tuple[RasterFile, Evidence]:
    (file,) = image.holding([band])
    if not file.evidence:
        return file, Evidence(How.UNKNOWN, 'not recorded')
    return file, file.evidence[file.bands.index(band)]


def _percentiles(values: NDArray[np.float32]) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return 'no data'
    return ' '.join(f'{value:.4g}' for value in np.percentile(known, [2, 50, 98]))


def _is_unlike(values: NDArray[np.float32], mean: float | None, std: float | None) -> bool:
    known = values[np.isfinite(values)]
    if not len(known) or mean is None or not std:
        return False
    return bool(abs(float(np.median(known)) - mean) > _UNLIKE * std)


def guesses(source: Source) -> list[str]:
    """What nobody says about the images of a sensor, and was guessed or left open."""
    found: dict[str, list[str]] = {}
    for image in source.acquisitions:
        name = Path(image.name).name
        if not image.dated.is_sure:
            found.setdefault(f'time of an image {said(image.dated)}', []).append(name)
        for file in image.holding(source.bands):
            for band, evidence in zip(file.bands, file.evidence, strict=False):
                if band in source.bands and not evidence.is_sure:
                    what = f'band {band} {said(evidence)}'
                    found.setdefault(what, []).append(name)
    return [
        f'{source.sensor.name}: {what}: {names[0]}'
        + (f' and {len(set(names)) - 1} more' if len(set(names)) > 1 else '')
        for what, names in found.items()
    ]


def said(evidence: Evidence) -> str:
    """Evidence as one short text."""
    how = str(evidence.how)
    return evidence.found if evidence.found.startswith(how) else f'{how}: {evidence.found}'


def left_out_table(sources: Iterable[Source]) -> Table:
    """Files and bands that are not read, and why."""
    rows: list[tuple[str, str]] = []
    for source in sources:
        for text in source.left_out:
            path, _, reason = text.rpartition(': ')
            rows.append((Path(path).name, reason))
        files = (file for image in source.acquisitions for file in image.files)
        rows += [
            (Path(file.path).name, ', '.join(file.left_out)) for file in files if file.left_out
        ]
    return Table('Not read', ('file', 'what it holds'), tuple(dict.fromkeys(rows)))


def labels_table(data: Imagery, parts: Mapping[Part, Imagery]) -> Table:
    """Pixels of each class, in each part.

    Args:
        data: The imagery, with labels.
        parts: Its parts; the whole of it where it cannot be divided.
    """
    named: Mapping[str, Imagery] = dict(parts.items()) if parts else {'all': data}
    counts: dict[str, Counter[int]] = {}
    pixels_of = {name: _pixels(part) for name, part in named.items()}
    sampled = False
    for name, part in named.items():
        windows = grid_windows(part, _CHIP)
        read = spread(windows)
        if len(read) < len(windows):
            sampled = True
            pixels_of[name] = len(read) * _CHIP**2
        counts[name] = Counter()
        for window in read:
            values, pixels = np.unique(part[window]['mask'].numpy(), return_counts=True)
            counts[name].update(dict(zip(values.tolist(), pixels.tolist(), strict=True)))
    rows = [
        (str(index), name, *(f'{count[index]:,}' for count in counts.values()))
        for index, name in enumerate(data.classes)
    ]
    known = range(len(data.classes))
    rest = [pixels_of[name] - sum(counts[name][index] for index in known) for name in counts]
    rows.append(('', 'no label', *(f'{pixels:,}' for pixels in rest)))
    note = f'Counted in {_MOST_CHIPS} chips a part, evenly spread.' if sampled else ''
    return Table('Labels: pixels', ('index', 'class', *counts), tuple(rows), note)


def _pixels(part: Imagery) -> int:
    return sum(rows * cols for rows, cols in (place.shape(part.res) for place in places(part)))


def parts_table(parts: Mapping[Part, Imagery]) -> Table:
    """Ground and images of each part."""
    rows = tuple(
        (name, str(len(part.index)), f'{_square_kilometres(part):,.2f}')
        for name, part in parts.items()
    )
    return Table('Parts', ('part', 'images', 'ground in km²'), rows)


def _square_kilometres(part: Imagery) -> float:
    ground = part.index.geometry.to_crs('ESRI:54034')  # Cylindrical, of equal area.
    return float(ground.union_all().area) / 1e6


def spread(windows: Sequence[Query]) -> Sequence[Query]:
    """At most 64 windows, evenly spread."""
    if len(windows) <= _MOST_CHIPS:
        return windows
    return [windows[at * len(windows) // _MOST_CHIPS] for at in range(_MOST_CHIPS)]
