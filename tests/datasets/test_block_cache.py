"""Decoded blocks on disk: the same pixels, bounded, shared, and made again where damaged."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasters import Miniature, truncate

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.block_cache import BLOCK, BlockCache
from torchgeo_geosane.datasets.grid import Pixels

WHOLE = Pixels(-30, 1000, 3 * BLOCK + 5, 2 * BLOCK + 7)


def coordinates(pixels: Pixels) -> np.ndarray:
    """Column and row of each pixel."""
    rows, cols = np.indices((pixels.height, pixels.width))
    return np.stack([cols + pixels.col, rows + pixels.row]).astype(np.int16)


@given(data=st.data())
def test_any_rectangle_is_put_together(data: st.DataObject) -> None:
    width = data.draw(st.integers(1, WHOLE.width))
    height = data.draw(st.integers(1, WHOLE.height))
    col = data.draw(st.integers(0, WHOLE.width - width))
    row = data.draw(st.integers(0, WHOLE.height - height))
    wanted = Pixels(WHOLE.col + col, WHOLE.row + row, width, height)
    # Nothing can be written there: every block is decoded.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlockCache, '_store', lambda *arguments: None)
        read = BlockCache('/nowhere').read('key', wanted, WHOLE, coordinates)
    assert (read == coordinates(wanted)).all()


def test_a_block_is_made_once_and_found_by_others(tmp_path: Path) -> None:
    made = []

    def make(pixels: Pixels) -> np.ndarray:
        made.append(pixels)
        return coordinates(pixels)

    wanted = Pixels(WHOLE.col + 10, WHOLE.row + 10, 20, 20)
    for _ in range(2):
        cache = BlockCache(tmp_path)
        for _ in range(2):
            assert (cache.read('key', wanted, WHOLE, make) == coordinates(wanted)).all()
    assert made == [Pixels(WHOLE.col, WHOLE.row, BLOCK, BLOCK)]
    cache.read('other key', wanted, WHOLE, make)
    assert len(made) == 2


def test_a_damaged_block_is_made_again(tmp_path: Path) -> None:
    wanted = Pixels(WHOLE.col, WHOLE.row, 20, 20)
    BlockCache(tmp_path).read('key', wanted, WHOLE, coordinates)
    (file,) = tmp_path.rglob('*.npy')
    for damage in (lambda: truncate(file), lambda: file.write_bytes(b'')):
        damage()
        again = BlockCache(tmp_path).read('key', wanted, WHOLE, coordinates)
        assert (again == coordinates(wanted)).all()
        assert np.load(file).shape == (2, BLOCK, BLOCK)


def test_the_oldest_blocks_go(tmp_path: Path) -> None:
    size = 2 * 2 * BLOCK**2
    cache = BlockCache(tmp_path, gigabytes=16 * 3.5 * size / 1e9)
    for number in range(120):
        cache.read(f'{number}', Pixels(*WHOLE[:2], 8, 8), WHOLE, coordinates)
    files = list(tmp_path.rglob('*.npy'))
    assert sum(file.stat().st_size for file in files) <= cache.limit
    assert len(files) >= 16
    assert not list(tmp_path.rglob('*.part'))


def test_what_is_used_stays(tmp_path: Path) -> None:
    size = 2 * 2 * BLOCK**2
    wanted = Pixels(*WHOLE[:2], 8, 8)
    made = []

    def make(pixels: Pixels) -> np.ndarray:
        made.append(pixels)
        return coordinates(pixels)

    for number in range(100):
        cache = BlockCache(tmp_path, gigabytes=16 * 3.5 * size / 1e9)
        cache.read('often', wanted, WHOLE, make)
        time.sleep(0.001)  # Times of files are what tells the order.
        cache.read(f'{number}', wanted, WHOLE, coordinates)
    assert len(made) == 1


def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    cache = BlockCache(tmp_path / 'file')
    wanted = Pixels(*WHOLE[:2], 8, 8)
    with pytest.warns(UserWarning, match='the cache is of no use: cannot write'):
        assert (cache.read('key', wanted, WHOLE, coordinates) == coordinates(wanted)).all()


def test_chips_are_the_same_with_a_cache(miniature: Miniature, tmp_path: Path) -> None:
    root = miniature('imagery')
    images = {'sentinel2_all[B2,B3,B4,B8,B11]': root / 's2', 'sentinel1_grd': root / 's1'}
    labels = {
        'labels': root / 'labels' / 'cover.gpkg',
        'classes': ['water', 'forest', 'urban'],
        'attribute': 'kind',
    }
    plain = Imagery(images, nodata='nan', **labels)
    cached = Imagery(images, nodata='nan', cache=tmp_path, **labels)
    x, y, _ = plain.bounds
    for col, row in ((-20, 3), (0, 0), (100, 40), (170, 60)):
        left, top = x.start + 10 * col, y.stop - 10 * row
        where = slice(left, left + 640, 10), slice(top - 640, top, 10)
        for _ in range(2):
            one, other = plain[where], cached[where]
            assert np.array_equal(one['image'], other['image'], equal_nan=True)
            assert np.array_equal(one['mask'], other['mask'])
