"""Where photos were taken: from tables, layers of points, or the photos themselves."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from torchgeo_geosane.errors import DataError, did_you_mean
from torchgeo_geosane.models.location import check_coordinates

_PHOTOS = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class PhotoTable:
    """Places, with a photo and a value of each, or without.

    Attributes:
        locations: Longitude and latitude in degrees, float64, [n, 2].
        photos: The files; empty where there are only places.
        values: What is known of each place, [n]; None where nothing is.
        skipped: How many rows were left out, by reason.
    """

    locations: NDArray[np.float64]
    photos: tuple[Path, ...]
    values: NDArray[Any] | None
    skipped: Counter[str]

    def __len__(self) -> int:
        """How many places there are."""
        return len(self.locations)

    def chosen(self, rows: Sequence[int] | NDArray[np.intp], reason: str) -> 'PhotoTable':
        """Some of the rows; the others are skipped for a reason."""
        rows = np.asarray(rows, np.intp)
        skipped = Counter(self.skipped)
        if len(rows) < len(self):
            skipped[reason] += len(self) - len(rows)
        return PhotoTable(
            self.locations[rows],
            tuple(self.photos[row] for row in rows) if self.photos else (),
            None if self.values is None else self.values[rows],
            skipped,
        )


def read_photo_table(
    source: str | Path,
    file: str | None = 'file',
    longitude: str = 'longitude',
    latitude: str = 'latitude',
    value: str | None = None,
) -> PhotoTable:
    """Read where photos were taken.

    Args:
        source: A CSV file; a layer of points that geopandas reads (GeoPackage, GeoParquet, GeoJSON);
            or a folder of photos that say it themselves (GPS in their EXIF).
        file: Column of the photos' paths, relative to the table; None reads places alone.
        longitude: Column of a CSV file, degrees.
        latitude: Column of a CSV file, degrees.
        value: Column of what is known of each place; None reads none.

    Returns:
        Rows without coordinates, and photos that cannot be read, are skipped and counted.

    Raises:
        DataError: If the source does not exist, lacks a column, or no row is left.
        LocationError: If a coordinate is beyond the globe, because longitude and latitude are
            swapped, say.
    """
    source = Path(source)
    if source.is_dir():
        table = _from_photos(source)
    elif source.is_file():
        table = _from_table(source, file, longitude, latitude, value)
    else:
        raise DataError(f'{source} does not exist: name a table, a layer of points, or a folder')
    known = np.isfinite(table.locations).all(axis=1)
    table = table.chosen(np.flatnonzero(known), 'without coordinates')
    if len(table):
        check_coordinates(torch.from_numpy(table.locations))
    if table.photos:
        readable = [at for at, path in enumerate(table.photos) if _is_readable(path)]
        table = table.chosen(readable, 'unreadable photo')
    if not len(table):
        raise DataError(f'{source} holds no place to use: {describe_skipped(table)}')
    return table


def describe_skipped(table: PhotoTable) -> str:
    """Which rows were left out, and why."""
    return ', '.join(f'{count} {reason}' for reason, count in table.skipped.items()) or 'no rows'


def read_photo(path: Path) -> Image.Image:
    """Decode a photo, turned as its camera was.

    Raises:
        DataError: If it is damaged.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert('RGB')
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f'cannot decode {path} ({error}): restore the photo') from error


def _is_readable(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


def _from_photos(folder: Path) -> PhotoTable:
    paths = [path for path in sorted(folder.rglob('*')) if path.suffix.lower() in _PHOTOS]
    if not paths:
        raise DataError(f'{folder} holds no photo ({", ".join(_PHOTOS)}): name another folder')
    locations = np.array([_gps(path) for path in paths], np.float64).reshape(-1, 2)
    return PhotoTable(locations, tuple(paths), None, Counter())


def _gps(path: Path) -> tuple[float, float]:
    """Longitude and latitude that a photo states, else NaN."""
    try:
        with Image.open(path) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        return (
            _degrees(gps[ExifTags.GPS.GPSLongitude], gps[ExifTags.GPS.GPSLongitudeRef], 'W'),
            _degrees(gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLatitudeRef], 'S'),
        )
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, KeyError, TypeError):
        return np.nan, np.nan
    except ZeroDivisionError:  # EXIF has fractions, and some cameras write 0/0.
        return np.nan, np.nan


def _degrees(parts: Sequence[Any], side: str, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return -value if side.strip('\x00 ').upper() == negative else value


def _from_table(
    source: Path, file: str | None, longitude: str, latitude: str, value: str | None
) -> PhotoTable:
    frame = _read(source)
    is_layer = isinstance(frame, gpd.GeoDataFrame)
    wanted = [name for name in (file, value) if name is not None]
    for name in wanted if is_layer else [*wanted, longitude, latitude]:
        if name not in frame.columns:
            columns = [str(column) for column in frame.columns]
            raise DataError(f'{source} has no column {name!r}{did_you_mean(name, columns)}')
    if is_layer:
        points = frame.geometry.to_crs('EPSG:4326')
        locations = np.column_stack([points.x, points.y])
    else:
        locations = np.column_stack(
            [pd.to_numeric(frame[name], errors='coerce') for name in (longitude, latitude)]
        )
    photos = () if file is None else tuple(source.parent / str(name) for name in frame[file])
    values = None if value is None else frame[value].to_numpy()
    return PhotoTable(locations.astype(np.float64), photos, values, Counter())


def _read(source: Path) -> pd.DataFrame:
    try:
        if source.suffix.lower() in {'.csv', '.txt'}:
            return pd.read_csv(source)
        if source.suffix.lower() in {'.parquet', '.geoparquet'}:
            layer = gpd.read_parquet(source)
        else:
            layer = gpd.read_file(source)
    except ImportError as error:  # GeoParquet needs pyarrow.
        raise DataError(f'cannot read {source}: {error}') from error
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f'cannot read {source} ({error}): restore the file') from error
    if not isinstance(layer, gpd.GeoDataFrame) or layer.crs is None:
        raise DataError(f'{source} does not state its coordinate reference system: add it')
    if not (layer.geom_type.dropna() == 'Point').all():
        raise DataError(f'{source} holds other shapes than points: give the points of the photos')
    return layer
