"""STAC items in a JSON file: an item, a list of items or an ItemCollection (versions 1.0, 1.1)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from torchgeo_geosane.datasets.open_files import is_remote
from torchgeo_geosane.errors import DataError

_OTHER_ROLES = {'thumbnail', 'overview', 'visual', 'metadata'}


@dataclass(frozen=True)
class StacAsset:
    """A file of an item.

    Attributes:
        key: Its name in the item.
        href: Path or URL; relative ones are resolved against the JSON file.
        bands: Names of its bands, where the item states them.
    """

    key: str
    href: str
    bands: tuple[str, ...]


@dataclass(frozen=True)
class StacItem:
    """An image.

    Attributes:
        name: Its id.
        assets: Its files, without thumbnails, previews and metadata.
        start: When it was taken.
        stop: When that ended.
    """

    name: str
    assets: tuple[StacAsset, ...]
    start: pd.Timestamp
    stop: pd.Timestamp


def is_stac(path: str | Path) -> bool:
    """Whether a path is taken for a file of STAC items: it ends in ``.json`` or ``.geojson``."""
    return not is_remote(str(path)) and Path(path).suffix.lower() in {'.json', '.geojson'}


def read_items(path: Path) -> list[StacItem]:
    """Read all items of a file.

    Raises:
        DataError: If it is missing, is no JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    if isinstance(content, Mapping) and content.get('type') == 'FeatureCollection':
        content = content.get('features')
    items = content if isinstance(content, list) else [content]
    if not items:
        raise DataError(f'{path} holds no STAC item: restore the file')
    return [_item(path, number, item) for number, item in enumerate(items, start=1)]


def _item(path: Path, number: int, item: Any) -> StacItem:
    try:
        properties = item['properties']
        start = properties.get('datetime') or properties['start_datetime']
        stop = properties.get('end_datetime') or start
        return StacItem(
            name=str(item['id']),
            assets=tuple(
                _asset(path, key, asset)
                for key, asset in item['assets'].items()
                if _OTHER_ROLES.isdisjoint(asset.get('roles') or ())
            ),
            start=_utc(start),
            stop=_utc(stop) + pd.Timedelta(milliseconds=999),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f'{path}, item {number}, is no STAC item ({type(error).__name__}: {error}): '
            'it needs id, properties with datetime, and assets with href'
        ) from error


def _asset(path: Path, key: str, asset: Mapping[str, Any]) -> StacAsset:
    href = str(asset['href'])
    if not is_remote(href):
        href = str(path.parent / href)
    bands = asset.get('bands') or asset.get('eo:bands') or ()
    return StacAsset(key, href, tuple(str(band['name']) for band in bands if 'name' in band))


def _utc(text: str) -> pd.Timestamp:
    """A time without zone, as TorchGeo has them."""
    time = pd.Timestamp(text)
    return time if time.tzinfo is None else time.tz_convert('UTC').tz_localize(None)
