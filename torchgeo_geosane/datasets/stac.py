"""STAC in a JSON file: items, lists and collections of them, catalogues (versions 0.8 to 1.1)."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlparse

import pandas as pd
import pystac
from pystac.errors import STACError, STACTypeError

from torchgeo_geosane.datasets.band_names import named_band
from torchgeo_geosane.datasets.open_files import is_remote
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import Sensor
from torchgeo_geosane.sensors.spelling import Kind, band_meant, words

_OTHER_ROLES = {'thumbnail', 'overview', 'visual', 'metadata', 'tiles'}
_PREVIEWS = {'visual', 'tci', 'preview', 'thumbnail', 'overview', 'tilejson'}
_RASTERS = ('image/tiff', 'image/jp2', 'image/vnd.stac.geotiff', 'application/x-geotiff')


_PLATFORMS = {
    'sentinel-1': 'sentinel1',
    'sentinel-2': 'sentinel2',
    'landsat-4': 'landsat_tm',
    'landsat-5': 'landsat_tm',
    'landsat-7': 'landsat_etm',
    'landsat-8': 'landsat_oli',
    'landsat-9': 'landsat_oli',
}


@dataclass(frozen=True)
class StacBand:
    """A band of an asset.

    Attributes:
        texts: Its name, its common name and its centre wavelength, as far as the item states them.
        scale: What one digital number is worth, or None.
        offset: What is added after that, or None.
        unit: Unit of the result, or nothing.
        nodata: Digital number that means no data, or None.
    """

    texts: tuple[str, ...]
    scale: float | None = None
    offset: float | None = None
    unit: str = ''
    nodata: float | None = None


@dataclass(frozen=True)
class StacAsset:
    """A file of an item.

    Attributes:
        key: Its name in the item.
        href: Path or URL; relative ones are resolved against the JSON file.
        bands: Its bands, where the item states them.
        is_raster: Whether it is imagery, by its role, media type or ending.
        collection: The item's collection, or nothing.
        baseline: Processing baseline of Sentinel-2, as ``'04.00'``, or nothing.
        offset_applied: Whether the catalogue has undone the offset of that baseline, or None.
    """

    key: str
    href: str
    bands: tuple[StacBand, ...] = ()
    is_raster: bool = True
    collection: str = ''
    baseline: str = ''
    offset_applied: bool | None = None

    @property
    def said(self) -> str:
        """The names of its bands, to be read by a person."""
        return ', '.join('/'.join(band.texts) for band in self.bands if band.texts)

    def names(self, count: int) -> list[tuple[str, ...]] | None:
        """Names of each band of the file, if the item has any for so many bands."""
        # Some items list all of their polarisations at each asset.
        several = len(self.bands) > count == 1
        if not several and any(band.texts for band in self.bands):
            return [band.texts for band in self.bands]
        return [(self.key,)] if count == 1 else None

    def bands_of(self, sensor: Sensor) -> set[str]:
        """The bands of a sensor that it holds, by what the item or the file's name says."""
        photograph = all(band.gain is None for band in sensor.bands)
        if not photograph and _PREVIEWS.intersection(words(self.key)):
            return set()
        texts = [text for band in self.bands for text in band.texts]
        found = [band_meant(text, sensor) for text in texts or [self.key]]
        if not texts and found[0][0] in {Kind.UNCLEAR, Kind.NOTHING}:
            named = named_band(Path(self.href).stem, sensor)
            found = [named[:2]] if named is not None else []
        return {band.name for _, band in found if band is not None}


@dataclass(frozen=True)
class StacItem:
    """An image.

    Attributes:
        name: Its id.
        assets: Its files, without thumbnails, previews and metadata.
        start: When it was taken.
        stop: When that ended.
        platform: Name of the satellite, or nothing.
        polarisations: Those of all assets of radar, or none.
    """

    name: str
    assets: tuple[StacAsset, ...]
    start: pd.Timestamp
    stop: pd.Timestamp
    platform: str = ''
    polarisations: tuple[str, ...] = ()

    def contradicts(self, sensor: Sensor) -> str:
        """What the item says that a sensor is not; photographs may be of anything."""
        if all(band.gain is None for band in sensor.bands):
            return ''
        for platform, prefix in _PLATFORMS.items():
            if self.platform.lower().startswith(platform) and not sensor.name.startswith(prefix):
                return f'of {self.platform}'
        other = self.polarisations and set(self.polarisations).isdisjoint(sensor.band_names)
        return f'of {", ".join(self.polarisations)}' if other else ''


def is_stac(path: str | Path) -> bool:
    """Whether a path is taken for a file of STAC items: it ends in ``.json`` or ``.geojson``."""
    return not is_remote(str(path)) and Path(path).suffix.lower() in {'.json', '.geojson'}


def read_items(path: Path) -> list[StacItem]:
    """Read all items of a file, and those that its catalogue links to.

    Raises:
        DataError: If it is missing, is no JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    items = list(_items(path, content))
    if not items:
        raise DataError(f'{path} holds no STAC item: restore the file')
    return items


def _items(path: Path, content: Any) -> Iterator[StacItem]:
    if isinstance(content, Mapping) and content.get('type') in {'Catalog', 'Collection'}:
        try:
            for item in pystac.Catalog.from_file(str(path.resolve())).get_items(recursive=True):
                yield _item(Path(item.get_self_href() or path), item)
        except (STACError, STACTypeError, OSError, KeyError, ValueError) as error:
            raise DataError(f'cannot read the catalogue {path} ({error}): restore it') from error
        return
    if isinstance(content, Mapping) and content.get('type') == 'FeatureCollection':
        content = content.get('features')
    for number, item in enumerate(content if isinstance(content, list) else [content], start=1):
        try:
            # What pystac wants of an item, and many files lack.
            whole = {'stac_version': '1.0.0', 'geometry': None, 'links': [], **item}
            assert whole['assets'] is not None
            yield _item(path, pystac.Item.from_dict(whole, migrate=True))
        except (
            STACError,
            STACTypeError,
            KeyError,
            TypeError,
            AttributeError,
            ValueError,
            AssertionError,
        ) as error:
            raise DataError(
                f'{path}, item {number}, is no STAC item ({type(error).__name__}: {error}): '
                'it needs id, properties with datetime, and assets with href'
            ) from error


def _item(path: Path, item: pystac.Item) -> StacItem:
    properties = item.properties
    start = properties.get('datetime') or properties['start_datetime']
    if properties.get('start_datetime') and properties.get('end_datetime'):
        start = properties['start_datetime']
    stop = properties.get('end_datetime') or start
    return StacItem(
        name=item.id,
        assets=tuple(
            _asset(path, item, key, asset)
            for key, asset in item.assets.items()
            if _OTHER_ROLES.isdisjoint(asset.roles or ())
        ),
        start=_utc(start),
        stop=_utc(stop) + pd.Timedelta(milliseconds=999),
        platform=str(properties.get('platform') or properties.get('constellation') or ''),
        polarisations=tuple(map(str, properties.get('sar:polarizations') or ())),
    )


def _asset(path: Path, item: pystac.Item, key: str, asset: pystac.Asset) -> StacAsset:
    properties = item.properties
    applied = [value for name, value in properties.items() if name.endswith('boa_offset_applied')]
    baseline = (
        properties.get('s2:processing_baseline') or properties.get('processing:baseline') or ''
    )
    media = str(asset.media_type or '')
    roles = asset.roles or ()
    href = _href(path, item, asset.href)
    return StacAsset(
        key=key,
        href=href,
        bands=_bands(asset.extra_fields),
        is_raster='data' in roles or media.startswith(_RASTERS) or not (media or roles),
        collection=str(item.collection_id or ''),
        baseline=str(baseline),
        offset_applied=bool(applied[0]) if applied else None,
    )


def _bands(fields: Mapping[str, Any]) -> tuple[StacBand, ...]:
    """Bands as version 1.1 states them, or the extensions of version 1.0."""
    bands = fields.get('bands') or fields.get('eo:bands') or []
    rasters = fields.get('raster:bands') or []
    merged = [
        {
            **{
                name: fields[name]
                for name in ('raster:scale', 'raster:offset', 'unit')
                if name in fields
            },
            **(rasters[at] if at < len(rasters) else {}),
            **(bands[at] if at < len(bands) else {}),
        }
        for at in range(max(len(bands), len(rasters)))
    ]
    polarisations = fields.get('sar:polarizations') or []
    if not bands and len(polarisations) == len(merged or polarisations):
        merged = [
            {**(merged[at] if merged else {}), 'name': name}
            for at, name in enumerate(polarisations)
        ]
    return tuple(
        StacBand(
            texts=_texts(band),
            scale=_number(band, 'scale'),
            offset=_number(band, 'offset'),
            unit=str(band.get('unit') or ''),
            nodata=_number(band, 'nodata'),
        )
        for band in merged
    )


def _texts(band: Mapping[str, Any]) -> tuple[str, ...]:
    names = [band.get('name'), band.get('eo:common_name') or band.get('common_name')]
    length = band.get('eo:center_wavelength') or band.get('center_wavelength')
    texts = [str(name) for name in names if name]
    return (*texts, *([f'{length} um'] if length and not texts else []))


def _number(band: Mapping[str, Any], name: str) -> float | None:
    value = band.get(f'raster:{name}', band.get(name))
    # Version 1.0 writes 'nan' and 'inf' as texts.
    return None if value is None else float(value)


def _href(path: Path, item: pystac.Item, href: str) -> str:
    """An asset's path or URL: beside the JSON file if it is there, else where the item lay."""
    if href.startswith('file:'):
        return unquote(urlparse(href).path)
    if is_remote(href):
        return href
    # Links are escaped; files may have a per cent sign in their names, too.
    for name in (href, unquote(href)):
        if os.path.exists(path.parent / name):
            return str(path.parent / name)
    home = item.get_self_href()
    if home is not None and is_remote(home):
        return urljoin(home, href)
    return str(path.parent / unquote(href))


def _utc(text: str) -> pd.Timestamp:
    """A time without zone, as TorchGeo has them."""
    time = pd.Timestamp(text)
    return time if time.tzinfo is None else time.tz_convert('UTC').tz_localize(None)
