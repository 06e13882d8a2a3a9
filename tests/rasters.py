"""Rasters for tests: miniatures of data sets, plausible values, and damage."""

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

Miniature = Callable[[str], Path]
"""The fixtures ``miniature`` and ``copied``: from a data set's name to a folder."""

UTM = {'crs': 'EPSG:32633', 'transform': from_origin(330_000, 5_822_040, 10, 10)}
LATLON = {'crs': 'EPSG:4326', 'transform': from_origin(-4.5, 38.2, 9e-5, 9e-5)}


def write_miniature(name: str, root: Path, **options: object) -> Path:
    """Write a small copy of a data set, by ``tests/data/<name>/data.py``, into a folder."""
    path = Path(__file__).parent / 'data' / name / 'data.py'
    specification = importlib.util.spec_from_file_location(f'miniature_{name}', path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.main(root, **options)
    return root


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of rasters without georeference: photographs have none."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        yield


def write_raster(path: Path, values: NDArray[np.generic], **profile: object) -> None:
    """Write values of shape [bands, height, width] or [height, width] as GeoTIFF, or as JPEG."""
    values = values if values.ndim == 3 else values[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {'driver': 'JPEG' if path.suffix == '.jpg' else 'GTiff', **profile}
    bands, height, width = values.shape
    shape = {'count': bands, 'height': height, 'width': width, 'dtype': values.dtype.name}
    with quiet(), rasterio.open(path, 'w', **shape, **profile) as raster:
        raster.write(values)


def read_raster(path: Path) -> NDArray[np.generic]:
    """Read all bands of a file."""
    with quiet(), rasterio.open(path) as raster:
        return raster.read()


def change(path: Path, values: NDArray[np.generic] | None = None, **profile: object) -> None:
    """Write a raster again with other values or another profile."""
    with quiet(), rasterio.open(path) as raster:
        kept = {
            key: raster.profile[key] for key in ('crs', 'transform', 'nodata') if key not in profile
        }
        old = raster.read()
    path.unlink()
    write_raster(path, old if values is None else values, **kept, **profile)


def truncate(path: Path, keep: float = 0.6) -> None:
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


def reflectance(generator: np.random.Generator, bands: int, size: int) -> NDArray[np.float64]:
    """Reflectance x 10^4: another level in each band, and a gradient with noise."""
    level = generator.uniform(400, 2500, (bands, 1, 1))
    slope = np.linspace(0.8, 1.2, size)[:, None] * np.linspace(0.9, 1.1, size)
    return level * slope + generator.normal(0, 20, (bands, size, size))


def backscatter(generator: np.random.Generator, size: int) -> NDArray[np.float32]:
    """VV and VH as linear power, with the speckle of about four looks."""
    mean = np.array([0.142, 0.027])[:, None, None]
    return (mean * generator.gamma(4, 1 / 4, (2, size, size))).astype(np.float32)


def decibel(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear power in dB."""
    return 10 * np.log10(power)
