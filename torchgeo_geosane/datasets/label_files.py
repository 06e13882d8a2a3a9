"""Where labels are: rasters or polygons, in files, folders and archives, told by what they hold."""

import os
import zipfile
from glob import escape, glob
from pathlib import Path

from torchgeo_geosane.datasets.acquisitions import Paths
from torchgeo_geosane.datasets.label_polygons import Layer, VectorLabels, layers_of
from torchgeo_geosane.datasets.label_rasters import RasterLabels
from torchgeo_geosane.datasets.labels import UNDATED, Labels
from torchgeo_geosane.datasets.legend import Legend
from torchgeo_geosane.datasets.open_files import is_remote
from torchgeo_geosane.datasets.product_names import any_date
from torchgeo_geosane.datasets.raster_files import SUFFIXES
from torchgeo_geosane.errors import DataError

_VECTORS = ('.gpkg', '.shp', '.geojson', '.fgb', '.parquet', '.gml', '.kml', '.gdb', '.zip')
"""Endings of the files of polygons that are looked for in folders without rasters."""

_STAC = '"stac_version"'
_BEGINNING = 2**20


def find_labels(
    paths: Paths,
    legend: Legend,
    attribute: str | None = None,
    background: str | None = None,
    layer: Layer | None = None,
) -> Labels:
    """Labels in rasters or in polygons.

    Args:
        paths: Files, folders (a geodatabase is one), globs, archives or STAC items; all rasters or
            all polygons.
        legend: What the values mean.
        attribute: Column of the polygons' values.
        background: Class of pixels that no polygon covers.
        layer: Layer of the polygons.

    Raises:
        DataError: As the two classes state, or if there are both rasters and polygons.
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    found = [path for given in listed for path in _expanded(str(given))]
    vectors = [path for path in found if _holds_polygons(path)]
    if vectors and len(vectors) < len(found):
        others = [path for path in found if path not in vectors]
        raise DataError(
            f'labels are polygons in {vectors[0]}, but not in {others[0]}: give one kind'
        )
    if vectors:
        files = _chosen(vectors, layer)
        times = [any_date(Path(path).stem) or UNDATED for path in files]
        return VectorLabels(files, times, legend, attribute, background, layer)
    given = {'attribute': attribute, 'background': background, 'layer': layer}
    if any(value is not None for value in given.values()):
        raise DataError(
            f'{paths} holds no polygons: attribute, background and layer are for polygons'
        )
    return RasterLabels(found, legend)


def _expanded(path: str) -> list[str]:
    """The files that a path stands for: folders of rasters stay folders."""
    if is_remote(path):
        return [path]
    if os.path.isdir(path):
        return [path] if path.rstrip('/').lower().endswith('.gdb') else _in_folder(path)
    if not os.path.exists(path):
        return _matching(path)
    return (
        _in_archive(path) if zipfile.is_zipfile(path) and path.lower().endswith('.zip') else [path]
    )


def _matching(pattern: str) -> list[str]:
    found = sorted(glob(pattern, recursive=True))
    if not found:
        raise DataError(f'{pattern} does not exist, and matches no file: correct the path')
    return found


def _in_folder(path: str) -> list[str]:
    inside = sorted(glob(f'{escape(path)}/**/*', recursive=True))
    if any(name.lower().endswith(SUFFIXES) for name in inside):
        return [path]
    vectors = [name for name in inside if name.lower().endswith(_VECTORS)]
    if not vectors:
        known = ', '.join((*SUFFIXES, *_VECTORS))
        raise DataError(f'{path} holds no labels ({known}): correct the path, or name the files')
    return [file for name in vectors for file in _expanded(name)]


def _in_archive(path: str) -> list[str]:
    """Rasters and polygons inside of an archive, as GDAL names them."""
    with zipfile.ZipFile(path) as archive:
        names = [name.rstrip('/') for name in archive.namelist()]
    # A geodatabase is a folder, whether or not the archive lists it as one.
    bases = {name[: name.lower().index('.gdb/') + 4] for name in names if '.gdb/' in name.lower()}
    kept = [name for name in names if name.lower().endswith((*SUFFIXES, *_VECTORS[:-2]))]
    inside = sorted({*kept, *bases})
    return [f'/vsizip/{os.path.abspath(path)}/{name}' for name in inside] or [path]


def _holds_polygons(path: str) -> bool:
    name = path.rstrip('/').lower()
    if name.endswith(SUFFIXES) or (os.path.isdir(path) and not name.endswith('.gdb')):
        return False
    if name.endswith('.parquet'):
        return True
    if name.endswith('.json') and os.path.isfile(path):
        with open(path, encoding='utf-8', errors='replace') as file:
            beginning = file.read(_BEGINNING)
        if _STAC in beginning:
            return False
    try:
        return bool(layers_of(path))
    except RuntimeError:
        return False


def _chosen(files: list[str], layer: Layer | None) -> list[str]:
    """Of shapefiles in an archive, each of which is a layer, the one that is asked for."""
    inside = [
        path for path in files if path.startswith('/vsizip/') and path.lower().endswith('.shp')
    ]
    layers = [Path(path).stem for path in inside]
    if len(inside) < 2 or len(inside) < len(files):
        return files
    if layer is None:
        raise DataError(
            f'{Path(inside[0]).parent} has the layers {", ".join(layers)}: choose one by layer'
        )
    return [path for path, name in zip(inside, layers, strict=True) if name == layer] or files
