"""Rasters kept open: each process has its own, and each thread one at a time."""

import atexit
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, SubElement, tostring

import rasterio
import torch
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from torchgeo_geosane.errors import DataError

T = TypeVar('T')
R = TypeVar('R')

_MOST_OPEN = 256


@dataclass
class _Handle:
    file: DatasetReader
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class _Process:
    """What belongs to one process: GDAL's handles and threads do not survive a fork."""

    handles: OrderedDict[tuple[object, ...], _Handle] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    pool: ThreadPoolExecutor | None = None


_process = _Process()
# A child neither uses nor closes what its parent opened: both would share the files' positions.
_inherited: list[_Process] = []


def _start_anew() -> None:
    global _process  # noqa: PLW0603
    _inherited.append(_process)
    _process = _Process()


os.register_at_fork(after_in_child=_start_anew)


@atexit.register
def _close() -> None:
    """Rasterio cannot close files when half of the interpreter is gone."""
    _process.handles.clear()


def modified(path: str) -> int:
    """When a file was last modified, in ns; 0 for one that is not on a local disk.

    Raises:
        DataError: If a local file does not exist.
    """
    if is_remote(path):
        return 0
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        raise DataError(f'cannot read {path} ({error.strerror}): restore the file') from error


def is_remote(path: str) -> bool:
    """Whether a path is a URL or one of GDAL's virtual files."""
    return '://' in path or path.startswith('/vsi')


@contextmanager
def open_file(path: str, squared: bool = False) -> Iterator[DatasetReader]:
    """A file, opened where this process has not yet.

    Args:
        path: The file; a changed one is opened again.
        squared: Whether values are to be the squared sizes of the file's: power from amplitude or
            from complex numbers, float32.

    Yields:
        The open file, for this thread alone. It stays open.

    Raises:
        DataError: If it does not exist, or is no raster.
    """
    process, key = _process, (path, modified(path), squared)
    with process.lock:
        handle = process.handles.get(key)
    if handle is None:
        handle = _Handle(_opened(path, squared))
    with process.lock:
        handle = process.handles.setdefault(key, handle)
        process.handles.move_to_end(key)
        # Whoever still reads one keeps it alive.
        while len(process.handles) > _MOST_OPEN:
            process.handles.popitem(last=False)
    with handle.lock:
        try:
            yield handle.file
        # Tags that are no text, or contradict each other.
        except (UnicodeDecodeError, CPLE_BaseError) as error:
            raise DataError(f'cannot read {path} ({error}): restore the file') from error


def _opened(path: str, squared: bool) -> DatasetReader:
    try:
        with warnings.catch_warnings(), _seeing_neighbours(path):
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            file = rasterio.open(path)
            return rasterio.open(_squared(file)) if squared else file
    except RasterioError as error:
        raise DataError(f'cannot open {path} ({error}): restore the file') from error


def _seeing_neighbours(path: str) -> AbstractContextManager[Any]:
    """Masks, overviews and places in files beside a local one count.

    TorchGeo's command line tells GDAL to overlook all of them, which is quick over a network alone.
    """
    return nullcontext() if is_remote(path) else rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN='FALSE')


def _squared(file: DatasetReader) -> str:
    """GDAL's description of a raster of the squared sizes of a file's values.

    GDAL squares as it reads, before anything is resampled.
    """
    root = Element('VRTDataset', rasterXSize=str(file.width), rasterYSize=str(file.height))
    SubElement(root, 'SRS', dataAxisToSRSAxisMapping='1,2').text = file.crs.to_wkt()
    place = ', '.join(repr(number) for number in file.transform.to_gdal())
    SubElement(root, 'GeoTransform').text = place
    for number in file.indexes:
        band = SubElement(
            root,
            'VRTRasterBand',
            dataType='Float32',
            band=str(number),
            subClass='VRTDerivedRasterBand',
        )
        nodata = file.nodatavals[number - 1]
        if nodata is not None:
            SubElement(band, 'NoDataValue').text = repr(abs(nodata) ** 2)
        SubElement(band, 'PixelFunctionType').text = 'intensity'
        SubElement(band, 'SourceTransferType').text = 'CFloat32'
        source = SubElement(band, 'SimpleSource')
        SubElement(source, 'SourceFilename', relativeToVRT='0').text = file.name
        SubElement(source, 'SourceBand').text = str(number)
    return tostring(root, encoding='unicode')


@contextmanager
def decoding() -> Iterator[None]:
    """GDAL with as many threads as torch has: one in a data loader's worker, all cores outside.

    GDAL's own default is one for some formats, and for JPEG 2000 all cores in every worker.
    """
    with rasterio.Env(GDAL_NUM_THREADS=torch.get_num_threads()):
        yield


def at_once(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply a function to files in threads of this process, as many as torch has.

    Each thread decodes with one of GDAL's. One file is decoded here, with GDAL's threads.
    """
    items = list(items)
    threads = torch.get_num_threads()
    if threads == 1 or len(items) == 1:
        with decoding():
            return [work(item) for item in items]
    if _process.pool is None:
        _process.pool = ThreadPoolExecutor(threads, 'rasters')
    return list(_process.pool.map(lambda item: _alone(work, item), items))


def _alone(work: Callable[[T], R], item: T) -> R:
    with rasterio.Env(GDAL_NUM_THREADS=1):
        return work(item)
