"""What has no data: by band, by file, by mask, on the files' own grid, coarser, finer and warped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasters import UTM, write_raster

from torchgeo_geosane.datasets import IGNORE_INDEX, Imagery

Grids = dict[str, dict[str, Any]]
GRIDS: Grids = {
    'as it is': {},
    'finer': {'res': 2.5},
    'coarser': {'res': 20},
    'much coarser': {'res': 40},
    'as a thumbnail': {'res': 120},
    'in another zone': {'crs': 'EPSG:32632', 'res': 10},
    'in degrees, coarser': {'crs': 'EPSG:4326', 'res': 4e-4},
}
GAP = slice(0, 20)
"""Columns without data; the first 40 of 120 rows and columns lie in no wanted corner."""


def scene(dtype: str = 'uint16') -> NDArray[Any]:
    """Three even bands: whatever is interpolated or averaged of data is what it was."""
    return (np.ones((3, 80, 120)) * [[[100]], [[150]], [[200]]]).astype(dtype)


def vrt(path: Path, values: list[str | None], dtype: str, tail: str = '') -> Path:
    """A VRT over a file, with other values for no data."""
    with rasterio.open(path) as file:
        size = f'rasterXSize="{file.width}" rasterYSize="{file.height}"'
        place = ','.join(str(number) for number in file.transform.to_gdal())
    bands = ''.join(
        f'<VRTRasterBand dataType="{dtype}" band="{band}">'
        + ('' if value is None else f'<NoDataValue>{value}</NoDataValue>')
        + f'<SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>{band}</SourceBand>'
        '</SimpleSource></VRTRasterBand>'
        for band, value in enumerate(values, start=1)
    )
    text = f'<VRTDataset {size}><SRS>EPSG:32633</SRS><GeoTransform>{place}</GeoTransform>'
    path.with_suffix('.vrt').write_text(f'{text}{bands}{tail}</VRTDataset>')
    return path.with_suffix('.vrt')


def per_band(folder: Path) -> Path:
    values = scene()
    values[:, :, GAP] = np.array([65535, 65000, 64000])[:, None, None]
    write_raster(folder / 'image.tif', values, **UTM)
    return vrt(folder / 'image.tif', ['65535', '65000', '64000'], 'UInt16')


def stated(value: float, dtype: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        values = scene(dtype)
        values[:, :, GAP] = value
        write_raster(folder / 'image.tif', values, nodata=value, **UTM)
        return folder / 'image.tif'

    return write


def unstated(value: float, dtype: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        values = scene(dtype)
        values[:, :, GAP] = value
        write_raster(folder / 'image.tif', values, **UTM)
        return folder / 'image.tif'

    return write


def masked(folder: Path, internal: bool = True, **more: Any) -> Path:
    """Below the mask the values are of other data, as lossy compression leaves them."""
    values = scene('uint8')
    values[:, :, GAP] = 7
    write_raster(folder / 'image.tif', values, **UTM, **more)
    mask = np.full((80, 120), 255, np.uint8)
    mask[:, GAP] = 0
    options = {'GDAL_TIFF_INTERNAL_MASK': internal}
    with rasterio.Env(**options), rasterio.open(folder / 'image.tif', 'r+') as file:
        file.write_mask(mask)
    assert (folder / 'image.tif.msk').exists() != internal
    return folder / 'image.tif'


def sidecar(folder: Path) -> Path:
    return masked(folder, internal=False)


def mask_and_value(folder: Path) -> Path:
    """The mask hides one half of the gap, the value for no data the other."""
    path = masked(folder, nodata=255)
    with rasterio.open(path, 'r+') as file:
        values = file.read()
        values[:, :, 10:20] = 255
        file.write(values)
        mask = np.full((80, 120), 255, np.uint8)
        mask[:, :10] = 0
        file.write_mask(mask)
    return path


def alpha(folder: Path) -> Path:
    """A half transparent pixel is one, as GDAL has it; only an alpha of 0 is no data."""
    values = np.concatenate([scene('uint8'), np.full((1, 80, 120), 90, np.uint8)])
    values[3, 40:] = 1
    values[3, :, GAP] = 0
    write_raster(folder / 'image.tif', values, photometric='RGB', ALPHA='YES', **UTM)
    return folder / 'image.tif'


CASES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    'a VRT with a value for each band': (per_band, {}),
    'a fraction': (stated(0.1, 'float32'), {}),
    'the least float': (stated(float(np.finfo('float32').min), 'float32'), {}),
    'NaN stated': (stated(np.nan, 'float32'), {}),
    'NaN unstated': (unstated(np.nan, 'float32'), {}),
    'infinity stated': (stated(np.inf, 'float64'), {}),
    'infinity unstated': (unstated(-np.inf, 'float32'), {}),
    'a mask': (masked, {}),
    'a mask beside the file': (sidecar, {}),
    'a mask and a value': (mask_and_value, {}),
    'alpha': (alpha, {}),
    'zero stated': (stated(0, 'uint16'), {}),
    'zero given': (unstated(0, 'uint16'), {'nodata_value': 0}),
    'a value given': (unstated(-9999, 'float32'), {'nodata_value': -9999}),
    'a whole number given': (unstated(30000, 'int16'), {'nodata_value': 30000}),
}


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('case', CASES)
def test_gaps_are_missing_and_nothing_of_them_is_in_the_rest(
    tmp_path: Path, case: str, grid: str
) -> None:
    write, options = CASES[case]
    data = Imagery({'rgb': write(tmp_path)}, nodata='nan', **options, **GRIDS[grid])
    found = data[data.bounds]['image'].numpy()
    there = np.isfinite(found)
    assert (there == there[0]).all()
    expected = np.array([100, 150, 200], np.float32)[:, None]
    assert np.abs(found[:, there[0]] - expected).max() < 1e-3
    # A pixel is missing where its centre lies in the gap, give or take a coarse one.
    x, y, _ = data.bounds
    height, width = found.shape[1:]
    east, north = np.meshgrid(
        x.start + (np.arange(width) + 0.5) * x.step, y.stop - (np.arange(height) + 0.5) * y.step
    )
    moved = rasterio.warp.transform(data.crs, 'EPSG:32633', east.ravel(), north.ravel())
    cols, rows = ~UTM['transform'] @ tuple(np.array(side).reshape(height, width) for side in moved)
    coarse = {'coarser': 2, 'much coarser': 4, 'as a thumbnail': 12, 'in degrees, coarser': 9}.get(
        grid, 0
    )
    inside = (rows > coarse) & (rows < 80 - coarse) & (cols < 120 - coarse)
    assert not there[0][inside & (cols > 0) & (cols < 20 - coarse - 1e-3)].any()
    assert there[0][inside & (cols > 20 + coarse + 1e-3)].all()


def test_torchgeos_command_line_hides_no_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells GDAL to overlook what lies beside a file."""
    monkeypatch.setenv('GDAL_DISABLE_READDIR_ON_OPEN', 'EMPTY_DIR')
    data = Imagery({'rgb': sidecar(tmp_path)}, nodata='nan')
    found = np.isfinite(data[data.bounds]['image'].numpy())
    assert not found[..., GAP].any()
    assert found[..., GAP.stop :].all()


def test_what_a_type_cannot_hold_is_no_value(tmp_path: Path) -> None:
    values = scene('uint8')
    values[:, :, GAP] = 0
    write_raster(tmp_path / 'image.tif', values, **UTM)
    for value in ('-9999', 'nan', '0.5', '70000', '-inf'):
        path = vrt(tmp_path / 'image.tif', [value] * 3, 'Byte')
        data = Imagery({'rgb': path}, nodata='nan')
        assert (data[data.bounds]['image'].numpy() == values).all()
    (tmp_path / 'image.vrt').unlink()
    for given in (-9999, 0.5, 1e9, np.nan):
        for more in GRIDS.values():
            plain, told = (
                Imagery({'rgb': tmp_path}, nodata='nan', nodata_value=value, **more)
                for value in (None, given)
            )
            one, other = (data[data.bounds]['image'].numpy() for data in (plain, told))
            assert np.array_equal(one, other, equal_nan=True)


def test_a_band_without_a_value_keeps_what_it_holds(tmp_path: Path) -> None:
    """The others are filled, and the label of the pixel does not count."""
    values = scene()
    values[:2, :, GAP] = 65535
    write_raster(tmp_path / 'image.tif', values, **UTM)
    path = vrt(tmp_path / 'image.tif', ['65535', '65535', None], 'UInt16')
    write_raster(tmp_path / 'labels' / 'map.tif', np.ones((1, 80, 120), np.uint8), **UTM)
    options: dict[str, Any] = {'labels': tmp_path / 'labels', 'classes': ['a', 'b']}
    for nodata, filled in (('nan', np.nan), ('fill', 0)):
        data = Imagery({'rgb': path}, nodata=nodata, **options)
        sample = data[data.bounds]
        image = sample['image'].numpy()
        assert np.array_equal(image[:2, :, GAP], np.full((2, 80, 20), filled), equal_nan=True)
        assert (image[2] == 200).all()
        assert (sample['mask'][:, GAP] == IGNORE_INDEX).all()
        assert (sample['mask'][:, 20:] == 1).all()
    only = Imagery({'rgb': path}, bands=['B'], **options)
    assert (only[only.bounds]['mask'] == 1).all()


def test_zero_counts_where_all_bands_of_which_it_is_the_value_hold_it(tmp_path: Path) -> None:
    values = scene()
    values[0, :, :30], values[1, :, :20] = 0, 0
    values[2, :, :10] = 65535
    write_raster(tmp_path / 'image.tif', values, **UTM)
    path = vrt(tmp_path / 'image.tif', ['0', '0', '65535'], 'UInt16')
    data = Imagery({'rgb': path}, nodata='nan')
    image = data[data.bounds]['image'].numpy()
    assert np.isnan(image[:2, :, :20]).all()
    assert (image[0, :, 20:30] == 0).all()
    assert np.isnan(image[2, :, :10]).all()
    assert (image[2, :, 10:] == 200).all()


def test_a_mask_of_one_band_is_of_that_band(tmp_path: Path) -> None:
    values = scene('uint8')
    write_raster(tmp_path / 'image.tif', values, **UTM)
    mask = np.full((1, 80, 120), 255, np.uint8)
    mask[..., GAP] = 0
    write_raster(tmp_path / 'mask' / 'mask.tif', mask, **UTM)
    path = vrt(tmp_path / 'image.tif', [None] * 3, 'Byte')
    own = (
        '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename>'
        f'{tmp_path}/mask/mask.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        '</VRTRasterBand></MaskBand></VRTRasterBand>'
    )
    path.write_text(path.read_text().replace('</VRTRasterBand>', own, 1))
    data = Imagery({'rgb': path}, nodata='nan')
    image = data[data.bounds]['image'].numpy()
    assert np.isnan(image[0, :, GAP]).all()
    assert np.isfinite(image[1:]).all()
    assert np.isfinite(image[0, :, 20:]).all()


def test_each_file_has_a_value_of_its_own(tmp_path: Path) -> None:
    """Bands of one image in files of their own; in an image beside it the value is another."""
    values = scene()
    for number, value in enumerate((0, 9999, 65535)):
        band = values[number : number + 1].copy()
        band[..., GAP] = value
        name = f'20200601_{"RGB"[number]}.tif'
        write_raster(tmp_path / name, band, nodata=value, **UTM)
    data = Imagery({'rgb': tmp_path}, nodata='nan')
    image = data[data.bounds]['image'].numpy()
    assert np.isnan(image[..., GAP]).all()
    assert (image[..., 20:] == values[..., 20:]).all()


def test_sensors_share_a_value_that_only_one_can_hold(tmp_path: Path) -> None:
    write_raster(tmp_path / 'rgb' / 'image.tif', scene('uint8'), **UTM)
    radar = np.full((2, 80, 120), -12, np.float32)
    radar[..., GAP] = -9999
    write_raster(tmp_path / 's1' / 'radar.tif', radar, **UTM)
    images = {'rgb': tmp_path / 'rgb', 'sentinel1_grd': tmp_path / 's1'}
    data = Imagery(images, nodata='nan', nodata_value=-9999)
    image = data[data.bounds]['image'].numpy()
    assert (image[:3] == scene('uint8')).all()
    assert np.isnan(image[3:, :, GAP]).all()
    assert (image[3:, :, 20:] == -12).all()


def test_gaps_are_filled_from_the_next_image_across_directions(tmp_path: Path) -> None:
    """A mosaic of a north-up and a south-up file, each with a gap."""
    first = scene()
    first[:, :, 100:] = 0
    second = scene() + np.uint16(1)
    second[:, :, GAP] = 0
    write_raster(tmp_path / 'a.tif', first, nodata=0, **UTM)
    place = UTM['transform'] @ rasterio.Affine(1, 0, 0, 0, -1, 80)
    write_raster(tmp_path / 'b.tif', second[:, ::-1], nodata=0, **UTM | {'transform': place})
    data = Imagery({'rgb': tmp_path}, nodata='nan')
    image = data[data.bounds]['image'].numpy()
    assert (image[:, :, :100] == first[:, :, :100]).all()
    assert (image[:, :, 100:] == second[:, :, 100:]).all()


def test_an_alpha_band_is_told_by_its_tag(tmp_path: Path) -> None:
    """The same four bands are read another way where the fourth is no alpha."""
    with rasterio.open(alpha(tmp_path), 'r+') as file:
        file.colorinterp = [*file.colorinterp[:3], ColorInterp.undefined]
    with rasterio.open(tmp_path / 'image.tif') as file:
        assert ColorInterp.alpha not in file.colorinterp
    path = tmp_path / 'image.tif'
    data = Imagery({'sentinel2_all[B4,B3,B2,B8]': path}, nodata='nan')
    assert np.isfinite(data[data.bounds]['image']).all()
