"""Decoded pixels on disk, in blocks of a scene's grid: mapped into memory, bounded in size."""

import hashlib
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.datasets.grid import Pixels
from torchgeo_geosane.errors import CacheError, DataError

BLOCK = 256
"""Height and width of a block in pixels."""

_MOST_MAPPED = 2048
_SHARDS = 16


class BlockCache:
    """Arrays by key, one ``.npy`` file each.

    A file appears whole or not at all, so that many processes may read and write; two that lack a
    block both decode it. Above the limit the blocks that no process has opened for longest go.

    Args:
        folder: Where the files lie; it is made.
        gigabytes: How much they may take, in 10^9 bytes.

    Raises:
        DataError: If the limit is not positive.
    """

    def __init__(self, folder: str | Path, gigabytes: float = 20.0) -> None:
        if not gigabytes > 0:
            raise DataError(f'a cache of {gigabytes} GB holds nothing: give more, or no folder')
        self.folder = Path(folder)
        self.limit = int(gigabytes * 1e9)
        self._mapped: OrderedDict[str, NDArray[Any]] = OrderedDict()

    def read(
        self, key: str, pixels: Pixels, whole: Pixels, make: Callable[[Pixels], NDArray[Any]]
    ) -> NDArray[Any]:
        """Put a rectangle together from blocks.

        Args:
            key: What is read; it changes with the files.
            pixels: The rectangle, not empty.
            whole: The rectangle that blocks divide, beginning in its upper left corner.
            make: Reads a block, [bands, height, width], where there is none yet.

        Returns:
            [bands, height, width].
        """
        rows = _blocks(pixels.row - whole.row, pixels.height, whole.height)
        cols = _blocks(pixels.col - whole.col, pixels.width, whole.width)
        parts = [
            (
                row.into,
                col.into,
                self._block(
                    f'{key} {row.block.start} {col.block.start}',
                    partial(make, _shifted(whole, row.block, col.block)),
                )[:, row.out_of, col.out_of],
            )
            for row in rows
            for col in cols
        ]
        dtype = np.result_type(*(part for _, _, part in parts))
        image = np.empty((len(parts[0][2]), pixels.height, pixels.width), dtype)
        for row, col, part in parts:
            image[:, row, col] = part
        return image

    def _block(self, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """A block: from memory, from disk, or made and stored."""
        block = self._mapped.get(key)
        if block is None:
            block = self._load(self._path(key))
        if block is None:
            block = make()
            self._store(self._path(key), block)
        self._mapped[key] = block
        self._mapped.move_to_end(key)
        if len(self._mapped) > _MOST_MAPPED:
            self._mapped.popitem(last=False)
        return block

    def __getstate__(self) -> dict[str, Any]:
        """What a worker is given: not the arrays."""
        return {**self.__dict__, '_mapped': OrderedDict()}

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()[:40]
        return self.folder / name[0] / f'{name[1:]}.npy'

    def _load(self, path: Path) -> NDArray[Any] | None:
        try:
            block = np.asarray(np.load(path, mmap_mode='r', allow_pickle=False))
            os.utime(path)
        # A file that a full disk or a crash has cut short is made again.
        except (OSError, ValueError, EOFError):
            return None
        return block

    def _store(self, path: Path, block: NDArray[Any]) -> None:
        try:
            with replacing(path) as provisional, provisional.open('wb') as file:
                np.save(file, block)
        except CacheError as error:
            warnings.warn(f'the cache is of no use: {error}', stacklevel=2)
            return
        self._evict(path.parent)

    def _evict(self, shard: Path) -> None:
        """Keep a shard, one of sixteen, to its share of the limit."""
        entries = []
        with os.scandir(shard) as found:
            for entry in found:
                # Another process may have deleted or renamed it in between.
                with suppress(OSError):
                    status = entry.stat()
                    entries.append((status.st_mtime_ns, status.st_size, entry.path))
        excess = sum(size for _, size, _ in entries) - self.limit // _SHARDS
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            with suppress(OSError):
                os.unlink(path)
            excess -= size


@dataclass(frozen=True)
class _Side:
    """What a block contributes to one side of a rectangle.

    Attributes:
        block: Where the block lies in the whole.
        into: Its part of the rectangle.
        out_of: The same pixels in the block.
    """

    block: slice
    into: slice
    out_of: slice


def _blocks(start: int, length: int, whole: int) -> list[_Side]:
    sides = []
    for first in range(start // BLOCK * BLOCK, start + length, BLOCK):
        last = min(first + BLOCK, whole)
        here, end = max(first, start), min(last, start + length)
        sides.append(
            _Side(
                slice(first, last),
                slice(here - start, end - start),
                slice(here - first, end - first),
            )
        )
    return sides


def _shifted(whole: Pixels, rows: slice, cols: slice) -> Pixels:
    return Pixels(
        whole.col + cols.start,
        whole.row + rows.start,
        cols.stop - cols.start,
        rows.stop - rows.start,
    )
