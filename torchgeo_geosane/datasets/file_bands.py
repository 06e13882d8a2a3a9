"""Which band of a file is which of a sensor: what is said, in the order in which it counts.

The user's own mapping; what a STAC item states; what the file states band by band (exact names,
then common names and colours, then wavelengths); what the product's or the file's name says; and
only where nothing is said, the order of the bands. What contradicts the sensor, or itself, is an
error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rasterio.enums import ColorInterp

from torchgeo_geosane.datasets.band_claims import (
    Said,
    example,
    from_header,
    from_item,
    from_name,
    label,
    polarisations,
)
from torchgeo_geosane.datasets.band_names import named_band
from torchgeo_geosane.datasets.band_statements import FileBand
from torchgeo_geosane.datasets.evidence import Evidence, How
from torchgeo_geosane.datasets.product_names import Named, products_of
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import Sensor
from torchgeo_geosane.sensors.spelling import Kind, meaning

Mapped = Mapping[str, int | str]
"""Band of a sensor to the number, from 1, or the description of a band in each file."""


@dataclass(frozen=True)
class Decision:
    """Bands of a file.

    Attributes:
        bands: Names of the sensor's bands that it holds.
        indexes: Their numbers in the file.
        evidence: Why, for each.
        left_out: Its other bands, to be read by a person.
    """

    bands: tuple[str, ...]
    indexes: tuple[int, ...]
    evidence: tuple[Evidence, ...]
    left_out: tuple[str, ...] = ()


def decide_bands(
    path: str,
    bands: Sequence[FileBand],
    sensor: Sensor,
    mapped: Mapped | None = None,
    item: Sequence[Sequence[str]] | None = None,
    is_mask: bool = True,
) -> Decision | None:
    """Decide which bands of a file are which of a sensor.

    Args:
        path: The file.
        bands: What it states.
        sensor: The sensor, with the bands that its files may hold.
        mapped: What the user says.
        item: What a STAC item states: texts for each band of the file.
        is_mask: Whether the values of a band that is tagged as alpha are those of a mask.

    Returns:
        The bands; none where the file holds others only. None for a file of one band that does not
        say which.

    Raises:
        DataError: If what is said contradicts the sensor or itself, or cannot be understood.
    """
    if mapped is not None:
        return _mapped(path, bands, sensor, mapped)
    if is_label(sensor):
        return _only_band(path, bands, sensor)
    names = products_of(path)
    _check_product(path, names, sensor)
    said = from_item(path, bands, sensor, item) if item is not None else []
    # The key of an asset, as "image", is no more than a name.
    if not said or (len(said) == 1 and said[0].kind in {Kind.NOTHING, Kind.UNCLEAR}):
        said = from_header(path, bands, sensor)
    if len(bands) == 1:
        return _one(path, said, sensor, names)
    for found in (said, from_name(path, bands, sensor, names)):
        if found is not None and any(one.kind != Kind.NOTHING for one in found):
            return _several(path, found, bands, sensor, is_mask)
    named = named_band(Path(path).stem, sensor)
    if named is not None and named[0] == Kind.EXTRA:
        return Decision((), (), (), (f'named {named[2]!r}',))
    return _in_order(path, bands, sensor)


def is_label(sensor: Sensor) -> bool:
    """Whether a sensor stands for labels: class values in the only band of files."""
    return all(band.units == 'class' for band in sensor.bands)


def _only_band(path: str, bands: Sequence[FileBand], sensor: Sensor) -> Decision:
    numbers = [band.number for band in bands if band.colour != ColorInterp.alpha]
    if len(numbers) != 1:
        raise DataError(
            f'{path} holds {len(numbers)} bands, but labels have one: choose it by a VRT '
            '(gdal_translate -b), or leave the file out'
        )
    return Decision(sensor.band_names, (numbers[0],), (Evidence(How.STATED, 'the only band'),))


def _mapped(path: str, bands: Sequence[FileBand], sensor: Sensor, mapped: Mapped) -> Decision:
    described = {text.lower(): band.number for band in reversed(bands) for text in band.texts}
    names, numbers = [], []
    for name, where in mapped.items():
        number = where if isinstance(where, int) else described.get(where.lower(), 0)
        if not 1 <= number <= len(bands):
            raise DataError(
                f'{path} has no band {where!r}, which bands name for {name}: it has {_shown(bands)}'
            )
        names.append(sensor.band(name).name)
        numbers.append(number)
    if len(set(names)) < len(names) or len(set(numbers)) < len(numbers):
        raise DataError(f'bands {dict(mapped)} name one twice: name each band once')
    told = tuple(Evidence(How.TOLD, f'you name band {number}') for number in numbers)
    others = [band for band in bands if band.number not in numbers]
    return Decision(tuple(names), tuple(numbers), told, tuple(map(label, others)))


def _check_product(path: str, names: Sequence[Named], sensor: Sensor) -> None:
    """A product of another instrument is not read as this sensor's; photographs may be of any."""
    if all(band.gain is None for band in sensor.bands):
        return
    for named in names:
        if named.product.sensors and not sensor.name.startswith(named.product.sensors):
            raise DataError(
                f'{path} is {named.product.title} by its name, and not of sensor {sensor.name!r}: '
                'name another sensor, or say which band is which, as in '
                f'{example(sensor)}'
            )
    foreign = [pair for pair in polarisations(names) if pair not in sensor.band_names]
    if foreign and sensor.name.startswith('sentinel1'):
        raise DataError(
            f'{path} holds {", ".join(polarisations(names))} by its name, but sensor '
            f'{sensor.name!r} has {", ".join(sensor.band_names)}: name another sensor'
        )


def _one(
    path: str, said: Sequence[Said], sensor: Sensor, names: Sequence[Named]
) -> Decision | None:
    """The band of a file of one band."""
    kind, band, evidence = said[0].kind, said[0].band, said[0].evidence
    if kind in {Kind.NOTHING, Kind.UNCLEAR}:
        named = named_band(Path(path).stem, sensor)
        if named is None:
            return _single_polarisation(names, sensor)
        kind, band = named[0], named[1]
        evidence = Evidence(How.NAMED, f'named {named[2]!r}')
    if kind == Kind.BAND and band is not None:
        return Decision((band.name,), (1,), (evidence,))
    return Decision((), (), (), (evidence.found,))


def _single_polarisation(names: Sequence[Named], sensor: Sensor) -> Decision | None:
    stated = polarisations(names)
    if len(stated) != 1 or stated[0] not in sensor.band_names:
        return None
    return Decision((stated[0],), (1,), (Evidence(How.NAMED, f'a product of {stated[0]} alone'),))


def _several(
    path: str, said: Sequence[Said], bands: Sequence[FileBand], sensor: Sensor, is_mask: bool
) -> Decision:
    """Bands of a file that says something about several of its bands."""
    by_band: dict[str, Said] = {}
    for one in said:
        if one.band is not None and one.kind == Kind.BAND:
            other = by_band.setdefault(one.band.name, one)
            if other is not one:
                raise DataError(
                    f'{path}: bands {other.number} and {one.number} both say that they are '
                    f'{one.band.name}: say which it is, as in {example(sensor)}'
                )
    lacking = [band for band in sensor.bands if band.name not in by_band]
    alpha = {band.number for band in bands if band.colour == ColorInterp.alpha}
    silent = [one for one in said if one.kind == Kind.NOTHING]
    unclear = [one for one in said if one.kind in {Kind.UNCLEAR, Kind.FOREIGN}]
    if len(lacking) == 1 and len(silent) == 1 and by_band and not unclear:
        number = silent[0].number
        if number in alpha and is_mask and len(said) == sensor.in_chans:
            raise DataError(
                f'{path}: band {number} is a mask (alpha), so that {lacking[0].name} is lacking: '
                f'ask for other bands, or say which band is which, as in {example(sensor)}'
            )
        if len(said) == sensor.in_chans:
            left = Evidence(How.GUESSED, 'the only one left')
            by_band[lacking[0].name] = Said(number, Kind.BAND, lacking[0], left)
            lacking = []
    masks = [one for one in silent if one.number in alpha]
    if lacking and (len(silent) > len(masks) or unclear) and not _holds_others(said, by_band):
        raise DataError(
            f'{path} holds {_shown(bands, said)}, and so does not say where {sensor.name!r} has '
            f'{", ".join(band.name for band in lacking)}: say which band is which, as in '
            f'{example(sensor)}'
        )
    chosen = sorted(by_band.values(), key=lambda one: one.number)
    numbers = tuple(one.number for one in chosen)
    return Decision(
        tuple(one.band.name for one in chosen if one.band is not None),
        numbers,
        tuple(one.evidence for one in chosen),
        tuple(label(band) for band in bands if band.number not in numbers),
    )


def _holds_others(said: Sequence[Said], by_band: Mapping[str, Said]) -> bool:
    """Whether a file holds some of the sensor's bands, and others that it names as such."""
    return bool(by_band) and all(one.kind not in {Kind.NOTHING, Kind.UNCLEAR} for one in said)


def _in_order(path: str, bands: Sequence[FileBand], sensor: Sensor) -> Decision:
    """Where nothing is said: the sensor's order, if the number is exactly its."""
    foreign = meaning(Path(path).stem).polarisations
    if (
        foreign
        and sensor.name.startswith('sentinel1')
        and not set(foreign) & set(sensor.band_names)
    ):
        raise DataError(
            f'{path} names {", ".join(foreign)}, but sensor {sensor.name!r} has '
            f'{", ".join(sensor.band_names)}: name another sensor'
        )
    numbers = [band.number for band in bands if band.colour != ColorInterp.alpha]
    if len(numbers) != sensor.in_chans:
        whole = sensor.name.split('[')[0]
        raise DataError(
            f'{path} holds {len(numbers)} bands, but sensor {sensor.name!r} has {sensor.in_chans} '
            f'({", ".join(sensor.band_names)}): name the bands that it holds, as in '
            f'{whole}[{",".join(sensor.band_names[:2])}], say which is which, as in '
            f'{example(sensor)}, or leave the file out'
        )
    listed = '[' in sensor.name
    evidence = Evidence(
        How.TOLD if listed else How.GUESSED,
        f'in the order of {sensor.name}' if listed else "nothing is said: the sensor's own order",
    )
    beside = tuple(label(band) for band in bands if band.number not in numbers)
    return Decision(sensor.band_names, tuple(numbers), (evidence,) * len(numbers), beside)


def _shown(bands: Sequence[FileBand], said: Sequence[Said] = ()) -> str:
    """Bands as a message shows them: what they state, or what the file's name says of them."""
    notes = {one.number: one for one in said if one.kind != Kind.NOTHING}
    shown = []
    for band in bands:
        one = notes.get(band.number)
        described = one is None or not one.evidence.found.startswith(('named', 'listed'))
        text = label(band) if one is None or described else f'{band.number} {one.evidence.found}'
        is_band = one is not None and one.kind == Kind.BAND and one.band is not None
        shown.append(f'{text} ({one.band.name})' if is_band and one and one.band else text)
    return ', '.join(shown)
