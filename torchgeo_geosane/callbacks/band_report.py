"""What differs between the bands that weights are for and those that data deliver, and the remedy."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from torchgeo_geosane.callbacks.band_lists import Delivered, Wanted, is_same_band, is_same_order
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.sensors import find_sensor, get_sensor
from torchgeo_geosane.spec import SCHEME, Spec


def agree(wanted: Wanted, delivered: Delivered) -> bool:
    """Whether data deliver what the weights are for, at each of the dates that these may be for."""
    return is_same_order(_stacked(delivered.bands or (), wanted), wanted.bands)


def explain(wanted: Wanted, delivered: Delivered) -> str:
    """Set both orders side by side, and say how to make them one.

    Args:
        wanted: What the weights are for.
        delivered: What the data deliver; its ``bands`` are known, and others than the weights'.
    """
    bands = _stacked(delivered.bands or (), wanted)
    return '\n'.join(
        [
            f'{delivered.name} and {wanted.weights} disagree on the bands: {_kind(wanted, bands)}',
            *_table(bands, wanted.bands),
            *_remedies(wanted, delivered),
        ]
    )


def _images(bands: tuple[str, ...], wanted: Wanted) -> int:
    """How many images of these bands the weights are for."""
    images, rest = divmod(len(wanted.bands), len(bands) or 1)
    return 1 if rest else images


def _stacked(bands: tuple[str, ...], wanted: Wanted) -> tuple[str, ...]:
    return bands * _images(bands, wanted)


def _kind(wanted: Wanted, bands: tuple[str, ...]) -> str:
    if len(bands) != len(wanted.bands):
        return f'the data deliver {len(bands)}, the weights are for {len(wanted.bands)}'
    positions = [
        str(position)
        for position, pair in enumerate(zip(bands, wanted.bands, strict=True), 1)
        if not is_same_band(*pair)
    ]
    lacking = [band for band in wanted.bands if not _find(band, bands)]
    what = 'others' if lacking else 'the same in another order'
    return f'{what}; different in {len(positions)} positions: {", ".join(positions)}'


def _table(bands: tuple[str, ...], wanted: tuple[str, ...]) -> Iterator[str]:
    yield '  position  data       weights'
    for position, (one, other) in enumerate(zip_longest(bands, wanted, fillvalue='-'), 1):
        mark = '' if is_same_band(one, other) else '  <'
        yield f'  {position:8d}  {one:9s}  {other}{mark}'


def _remedies(wanted: Wanted, delivered: Delivered) -> Iterator[str]:
    spec = _in_order_of(delivered.bands or (), wanted)
    if spec is not None:
        prefix = 'tu-' if wanted.weights.startswith('tu-') else ''
        name = _short(spec) if wanted.argument == 'weights' else prefix + timm_name(spec)
        yield f"Either take weights for the data's order: {wanted.argument}: '{name}'"
    images = _images(delivered.bands or (), wanted)
    each = wanted.bands[: len(wanted.bands) // images]
    selection = [_find(band, delivered.available) for band in each]
    if delivered.selectable and all(selection):
        names = ', '.join(str(name) for name in selection)
        yield f"Or give the data module the weights' order: bands: [{names}]"
    yield 'If the data set misnames its bands, give CheckBands the right names: bands: […]'


def _in_order_of(bands: tuple[str, ...], wanted: Wanted) -> Spec | None:
    """The same weights for other bands; None where these are not of one known sensor."""
    try:
        if wanted.spec is None:
            return Spec(str(wanted.architecture), find_sensor(bands).name)
        whole = get_sensor(re.split(r'[\[*]', wanted.spec.sensor)[0])
        sensor = whole.select(bands).stacked(_images(bands, wanted))
        return replace(wanted.spec, sensor=sensor.name)
    except GeoSANEError:
        return None


def _short(spec: Spec) -> str:
    """A URL of the spec without what is default."""
    plain = spec == Spec(spec.architecture, spec.sensor)
    return f'{SCHEME}://{spec.architecture}?sensor={spec.sensor}' if plain else spec.url


def _find(band: str, among: tuple[str, ...]) -> str | None:
    return next((name for name in among if is_same_band(name, band)), None)
