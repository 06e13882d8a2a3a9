"""What is said about the bands of a file: by its STAC item, by itself, by its name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rasterio.enums import ColorInterp

from torchgeo_geosane.datasets.band_names import codes_in, named_band
from torchgeo_geosane.datasets.band_statements import FileBand
from torchgeo_geosane.datasets.evidence import Evidence, How
from torchgeo_geosane.datasets.product_names import Named
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import Band, Sensor
from torchgeo_geosane.sensors.spelling import Kind, band_meant, is_numbering, meaning

_DISPLAY = {ColorInterp.red, ColorInterp.green, ColorInterp.blue}
_WITHOUT_BAND = {ColorInterp.undefined, ColorInterp.gray, ColorInterp.palette, ColorInterp.alpha}


@dataclass(frozen=True)
class Said:
    """What was said about one band of a file.

    Attributes:
        number: Its number, from 1.
        kind: What is said.
        band: Which band of the sensor it is, where that is said.
        evidence: Who says it.
    """

    number: int
    kind: Kind
    band: Band | None
    evidence: Evidence


def from_item(
    path: str, bands: Sequence[FileBand], sensor: Sensor, item: Sequence[Sequence[str]]
) -> list[Said]:
    """What a STAC item states of each band.

    Args:
        path: The file.
        bands: Its bands.
        sensor: The sensor.
        item: Texts for each band; an alpha band behind them needs none.

    Raises:
        DataError: If it states another number of bands.
    """
    beside = [band for band in bands[len(item) :] if band.colour != ColorInterp.alpha]
    if len(item) > len(bands) or beside:
        raise DataError(
            f'{path} holds {len(bands)} bands, but its STAC item says '
            f'{", ".join("/".join(texts) for texts in item)}: correct the item'
        )
    if is_numbering([texts[0] if texts else None for texts in item]) and any(item[0][1:]):
        item = [texts[1:] for texts in item]  # B1, B2, ... beside common names merely count.
    said = [
        _say(band.number, texts, sensor, How.STATED, 'named {} by the STAC item')
        for band, texts in zip(bands, item, strict=False)
    ]
    rest = bands[len(item) :]
    return said + [Said(b.number, Kind.EXTRA, None, Evidence(How.STATED, 'alpha')) for b in rest]


def from_header(path: str, bands: Sequence[FileBand], sensor: Sensor) -> list[Said]:
    """What a file states of each band: by texts, else by its colour, else by its wavelength.

    Raises:
        DataError: If descriptions may be names or positions, or colours contradict an order that is
            asked for.
    """
    said = [_say(band.number, band.texts, sensor, How.STATED, 'described as {}') for band in bands]
    if is_numbering([band.texts[0] if band.texts else None for band in bands]):
        said = _numbered(path, bands, said, sensor)
    colours = _colours(path, bands, said, sensor)
    result = []
    for band, one in zip(bands, said, strict=True):
        found = one
        if found.kind == Kind.NOTHING and band.number in colours:
            found = _say(band.number, (band.colour.name,), sensor, How.STATED, 'of colour {}')
        if found.kind == Kind.NOTHING and band.wavelength:
            found = _say(band.number, (band.wavelength,), sensor, How.STATED, 'around {}')
        result.append(found)
    return result


def _say(number: int, texts: Sequence[str], sensor: Sensor, how: How, form: str) -> Said:
    """What several texts say about a band: the first that names one, if none names another."""
    found = [(text, *_meant(text, sensor)) for text in texts]
    for wanted in (Kind.BAND, Kind.EXTRA, Kind.FOREIGN, Kind.UNCLEAR):
        for text, kind, band in found:
            if kind != wanted:
                continue
            others = {other.name for _, _, other in found if other is not None}
            agreed = Kind.UNCLEAR if len(others) > 1 else kind
            shown = '/'.join(texts) if agreed == Kind.UNCLEAR else text
            return Said(number, agreed, band, Evidence(how, form.format(repr(shown))))
    return Said(number, Kind.NOTHING, None, Evidence(How.UNKNOWN, 'says nothing'))


def _meant(text: str, sensor: Sensor) -> tuple[Kind, Band | None]:
    kind, band = band_meant(text, sensor)
    said = meaning(text)
    # Stacks of files often carry their names; "B8 minus B4" is none.
    if kind == Kind.UNCLEAR and said.rest and len(codes_in(text, sensor)) == 1 and not said.common:
        named = named_band(text, sensor)
        if named is not None:
            return named[0], named[1]
    return kind, band


def _numbered(path: str, bands: Sequence[FileBand], said: list[Said], sensor: Sensor) -> list[Said]:
    """Descriptions that count: names of bands, or mere positions."""
    texts = [band.texts[0] for band in bands]
    if re.fullmatch(r'[Bb]0*1', texts[0].strip()):
        return said
    exact = all(one.kind == Kind.BAND for one in said)
    if exact and tuple(one.band.name for one in said if one.band) != sensor.band_names:
        raise DataError(
            f'{path}: bands {", ".join(texts)} may be names or positions: say which band is which, '
            f'as in {example(sensor)}'
        )
    return [Said(band.number, Kind.NOTHING, None, _UNSAID) for band in bands]


_UNSAID = Evidence(How.UNKNOWN, 'says nothing')


def _colours(
    path: str, bands: Sequence[FileBand], said: Sequence[Said], sensor: Sensor
) -> set[int]:
    """Numbers of the bands whose colour says which they are.

    Red, green and blue are also how a composite is shown: of a sensor that lacks one of them they
    say nothing.
    """
    silent = [
        band
        for band, one in zip(bands, said, strict=True)
        if one.kind == Kind.NOTHING and band.colour not in _WITHOUT_BAND
    ]
    shown = [band for band in silent if band.colour in _DISPLAY]
    known = [band_meant(band.colour.name, sensor)[1] for band in shown]
    if None in known:
        return {band.number for band in silent if band.colour not in _DISPLAY}
    listed = '[' in sensor.name and len(bands) == sensor.in_chans
    for band, meant in zip(shown, known, strict=True):
        if listed and meant is not None and sensor.bands[band.number - 1] is not meant:
            raise DataError(
                f'{path}: band {band.number} is tagged {band.colour.name}, which is {meant.name}, '
                f'but {sensor.name!r} has {sensor.band_names[band.number - 1]} there: correct the '
                f'order, or say which band is which, as in {example(sensor)}'
            )
    return {band.number for band in silent}


def from_name(
    path: str, bands: Sequence[FileBand], sensor: Sensor, names: Sequence[Named]
) -> list[Said] | None:
    """Bands in the order that the product's definition or the file's name lists."""
    inner = [band for band in bands if band.colour != ColorInterp.alpha]
    for count, held in ((len(bands), bands), (len(inner), inner)):
        for named in names:
            if count in named.product.orders:
                order = named.product.orders[count]
                form = f'{{}} in the order of {named.product.title}'
                return [
                    _say(band.number, (text,), sensor, How.NAMED, form)
                    for band, text in zip(held, order, strict=True)
                ]
        listed = [band for _, band, _ in codes_in(Path(path).stem, sensor)]
        if len(listed) == count and len(set(listed)) == count:
            return [
                _say(band.number, (name,), sensor, How.NAMED, 'listed as {} in the name')
                for band, name in zip(held, listed, strict=True)
            ]
    return None


def polarisations(names: Sequence[Named]) -> list[str]:
    """The polarisations that the name of a product states for all its files."""
    stated = {'SV': ['VV'], 'DV': ['VV', 'VH'], 'SH': ['HH'], 'DH': ['HH', 'HV']}
    for named in names:
        if 'polarisations' in named.groups:
            return stated[named.groups['polarisations'].upper()]
    return []


def label(band: FileBand) -> str:
    """A band as a message shows it: its number and what it is called."""
    text = band.texts[0] if band.texts else band.colour.name
    return f'{band.number} {text!r}'


def example(sensor: Sensor) -> str:
    """How a user says which band is which, for a message."""
    bands = ', '.join(f'{name}: {at}' for at, name in enumerate(sensor.band_names[:2], start=1))
    return f'{{files: …, bands: {{{bands}, …}}}} in place of the files'
