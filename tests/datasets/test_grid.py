"""Where pixels are: every affine geotransform and CRS, compared with plain rasterio and numpy."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.warp import reproject, transform

from torchgeo_geosane.datasets.acquisitions import Acquisition
from torchgeo_geosane.datasets.decoding import decode, decode_values
from torchgeo_geosane.datasets.grid import Grid, Pixels, grid_of
from torchgeo_geosane.datasets.raster_files import header
from torchgeo_geosane.datasets.turns import Turn
from torchgeo_geosane.sensors import get_sensor

RGB = get_sensor('rgb')
NAMES = ('R', 'G', 'B')
UTM = rasterio.crs.CRS.from_epsg(32633).to_wkt()
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_000_000)
numbers = count()


@contextmanager
def raster(
    values: NDArray[Any],
    place: Affine,
    crs: str = UTM,
    mask: NDArray[Any] | None = None,
    **more: Any,
) -> Iterator[Acquisition]:
    """A GeoTIFF in memory."""
    bands, height, width = values.shape
    shape = {'count': bands, 'height': height, 'width': width, 'dtype': values.dtype.name}
    with MemoryFile(filename=f'grid{next(numbers)}.tif') as memory:
        with memory.open(driver='GTiff', crs=crs, transform=place, **shape, **more) as file:
            file.write(values)
            if mask is not None:
                file.write_mask(mask)
        found = header(memory.name, RGB)
        assert found is not None
        yield Acquisition('image', (found,), pd.Timestamp.min, pd.Timestamp.max)


def random_values(seed: int, height: int = 20, width: int = 30) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(1, 3000, (3, height, width)).astype(np.uint16)


def turned(values: NDArray[Any], place: Affine, way: tuple[bool, bool, bool]) -> tuple[Any, Affine]:
    """One raster stored in another direction: the same pixels in the same places."""
    swapped, upside_down, backwards = way
    if swapped:
        values, place = values.swapaxes(-1, -2), place @ Affine(0, 1, 0, 1, 0, 0)
    height, width = values.shape[-2:]
    if upside_down:
        values, place = values[..., ::-1, :], place @ Affine(1, 0, 0, 0, -1, height)
    if backwards:
        values, place = values[..., ::-1], place @ Affine(-1, 0, width, 0, 1, 0)
    return np.ascontiguousarray(values), place


WAYS = list(product((False, True), repeat=3))


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('res', [(10, 10), (2.5, 5), (20, 30)])
@pytest.mark.parametrize('resampling', [Resampling.nearest, Resampling.bilinear])
def test_eight_directions_are_one_image(
    way: tuple[bool, bool, bool], res: tuple[float, float], resampling: Resampling
) -> None:
    values = random_values(0)
    mask = np.full((20, 30), 255, np.uint8)
    reduced = res[0] > 10 and resampling == Resampling.bilinear
    if not reduced:  # GDAL weighs what is left around a gap along the rows first.
        values[:, 3, 4], values[1, 5, 6] = 65535, 65535
        mask[10:12, 10:12] = 0
    grid = Grid(UTM, Affine(res[0], 0, 500_000, 0, -res[1], 5_000_000))
    width, height = round(300 / res[0]), round(200 / res[1])
    window = Pixels(-4, 2, width + 10, height - 3)
    other, place = turned(values, NORTH_UP, way)
    with (
        raster(values, NORTH_UP, mask=mask, nodata=65535) as plain,
        raster(other, place, mask=turned(mask, NORTH_UP, way)[0], nodata=65535) as here,
    ):
        one, two = (
            decode_values(image, NAMES, grid, window, resampling=resampling)
            for image in (plain, here)
        )
    assert (one.missing == two.missing).all()
    assert one.missing[:, :, :4].all()
    there = ~one.missing
    # Its halves may fall either way.
    assert np.abs(one.values[there].astype(int) - two.values[there]).max() <= int(reduced)
    if res == (10, 10):
        expected = values[:, 2:19]
        seen = one.values[:, :17, 4:34]
        assert (seen[~one.missing[:, :17, 4:34]] == expected[~one.missing[:, :17, 4:34]]).all()


sizes = st.floats(4, 40)
maps = st.builds(
    lambda x, y, angle, shear, width, height, sign: (
        Affine.translation(x, y)
        @ Affine.rotation(angle)
        @ Affine.shear(shear)
        @ Affine.scale(width, sign * height)
    ),
    st.floats(499_000, 501_000),
    st.floats(4_999_000, 5_001_000),
    st.floats(0, 360),
    st.floats(-40, 40),
    sizes,
    sizes,
    st.sampled_from((1, -1)),
)


@settings(max_examples=60, deadline=None)
@given(place=maps, onto=maps, seed=st.integers(0, 99))
def test_any_affine_on_any_grid_is_where_rasterio_has_it(
    place: Affine, onto: Affine, seed: int
) -> None:
    """The nearest pixel of each centre, found by the inverse of the geotransform."""
    values = random_values(seed)
    middle = ~onto @ (place @ (15, 10))
    window = Pixels(round(middle[0]) - 12, round(middle[1]) - 9, 25, 19)
    with raster(values, place) as image:
        found = decode_values(image, NAMES, Grid(UTM, onto), window, resampling=Resampling.nearest)
    cols, rows = np.meshgrid(np.arange(25) + 0.5, np.arange(19) + 0.5)
    across, down = ~place @ (onto @ Affine.translation(*window[:2]) @ (cols, rows))
    # Centres on an edge between two pixels may fall either way.
    clear = (np.abs(across - np.round(across)) > 1e-4) & (np.abs(down - np.round(down)) > 1e-4)
    inside = (across > 0) & (across < 30) & (down > 0) & (down < 20)
    missing = np.zeros_like(values[:, :1, :1], bool) if found.missing is None else found.missing
    assert (np.broadcast_to(missing, found.values.shape)[:, clear] == ~inside[clear]).all()
    seen = clear & inside
    expected = values[:, down[seen].astype(int), across[seen].astype(int)]
    assert (found.values[:, seen] == expected).all()


@settings(max_examples=40, deadline=None)
@given(place=maps, seed=st.integers(0, 99), angle=st.floats(0, 360), scale=st.floats(0.3, 0.99))
def test_interpolation_is_gdals(place: Affine, seed: int, angle: float, scale: float) -> None:
    """Smaller pixels of another direction, within the raster, against GDAL's warper."""
    values = random_values(seed).astype(np.float32)
    onto = (
        Affine.translation(*(place @ (15, 10)))
        @ Affine.rotation(angle)
        @ Affine.scale(scale * min(np.hypot(place.a, place.d), np.hypot(place.b, place.e)))
    )
    a, b, _, d, e, *_ = tuple(~place @ onto)
    lean = max(min(abs(a), abs(b)), min(abs(d), abs(e)))
    assume(lean < 1e-6 or Turn.between(place, 30, 20, onto) is None)  # The others: see below.
    window = Pixels(-9, -7, 18, 14)
    expected = np.full((3, 14, 18), np.nan, np.float32)
    reproject(
        values,
        expected,
        src_transform=place,
        dst_transform=onto @ Affine.translation(-9, -7),
        src_crs=UTM,
        dst_crs=UTM,
        resampling=Resampling.bilinear,
        init_dest_nodata=False,
        XSCALE=1,
        YSCALE=1,
    )
    with raster(values, place) as image:
        found = decode(image, NAMES, Grid(UTM, onto), window)
    both = np.isfinite(found) & np.isfinite(expected)
    # GDAL, too, may count a centre on the very edge as outside.
    assert both.sum() >= 0.95 * np.isfinite(expected).sum()
    assert np.abs(found - expected)[both].max(initial=0) < 0.5


def test_what_leans_by_less_than_a_hundredth_of_a_pixel_counts_as_straight() -> None:
    """The warper heeds a shear of .06 degrees; over this raster's twenty rows it makes .0097 pixels."""
    place = Affine.translation(499_000, 4_999_000) @ Affine.shear(0.0625) @ Affine.scale(9, 4)
    onto = Affine.translation(*(place @ (15, 10))) @ Affine.scale(2, 2)
    window = Pixels(-9, -7, 18, 14)
    values = np.broadcast_to(np.arange(30, dtype=np.float32) * 1000, (3, 20, 30))
    with raster(values, place) as image:
        found = decode(image, NAMES, Grid(UTM, onto), window)
    to_file = ~place @ Grid(UTM, onto).at(window)
    cols, rows = np.meshgrid(np.arange(18) + 0.5, np.arange(14) + 0.5)
    exact = (to_file.a * cols + to_file.b * rows + to_file.c - 0.5) * 1000
    assert 0 < np.abs(found - exact).max() < 0.01 * 1000


@settings(max_examples=30, deadline=None)
@given(place=maps, col=st.integers(-5, 25), row=st.integers(-5, 15))
def test_a_scene_is_read_as_it_is_on_its_own_grid(place: Affine, col: int, row: int) -> None:
    values = random_values(1)
    window = Pixels(col, row, 10, 10)
    with raster(values, place) as image:
        found = decode(image, NAMES, image.files[0].grid, window)
    padded = np.pad(values.astype(np.float32), ((0, 0), (9, 9), (9, 9)), constant_values=np.nan)
    expected = padded[:, row + 9 : row + 19, col + 9 : col + 19]
    assert np.array_equal(found.astype(np.float32), expected, equal_nan=True)


@pytest.mark.parametrize('shift', [0.25, 0.5, 0.75])
def test_grids_shifted_by_a_part_of_a_pixel_are_read_at_one_shift(shift: float) -> None:
    """Half a pixel goes the same way everywhere, whatever chip it is in."""
    values = random_values(2)
    grid = Grid(UTM, NORTH_UP @ Affine.translation(shift, shift))
    with raster(values, NORTH_UP) as image:
        whole = decode(image, NAMES, grid, Pixels(-2, -2, 34, 24)).astype(np.float32)
        for col, row in product(range(-2, 25), range(-2, 15)):
            part = decode(image, NAMES, grid, Pixels(col, row, 7, 7)).astype(np.float32)
            expected = whole[:, row + 2 : row + 9, col + 2 : col + 9]
            assert np.array_equal(part, expected, equal_nan=True)


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize(('epsg', 'res'), [(32632, 10), (4326, 1e-4), (3857, 14)])
def test_another_system_in_any_direction(
    way: tuple[bool, bool, bool], epsg: int, res: float
) -> None:
    """Planes in column and row tell where pixels come from."""
    rows, cols = np.mgrid[0:40, 0:60].astype(np.float32) + 0.5
    values, place = turned(np.stack([cols, rows, cols + rows]), NORTH_UP, way)
    crs = rasterio.crs.CRS.from_epsg(epsg)
    (x,), (y,) = transform(UTM, crs, [500_300], [4_999_800])
    grid, window = grid_of(
        crs.to_wkt(), slice(x - 10 * res, x + 10 * res, res), slice(y - 10 * res, y + 10 * res, res)
    )
    with raster(values, place) as image:
        found = decode(image, NAMES, grid, window)
    across, down = grid.at(window) @ tuple(np.meshgrid(np.arange(20) + 0.5, np.arange(20) + 0.5))
    east, north = transform(crs, UTM, across.ravel(), down.ravel())
    expected_cols, expected_rows = ~NORTH_UP @ (np.array(east), np.array(north))
    assert np.abs(found[0].ravel() - expected_cols).max() < 0.03
    assert np.abs(found[1].ravel() - expected_rows).max() < 0.03
