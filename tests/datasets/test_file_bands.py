"""Which band is which: what a file says beats the order of its bands, and contradictions are refused.

Band ``number`` of each file holds ``number`` everywhere, so that a channel's value tells which band
of the file it was read from.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasters import UTM, write_raster

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.evidence import How
from torchgeo_geosane.errors import DataError

R, G, B, N, A = (getattr(ColorInterp, name) for name in ('red', 'green', 'blue', 'nir', 'alpha'))
NONE = ColorInterp.undefined


def write(
    path: Path,
    count: int,
    descriptions: Sequence[str | None] = (),
    colours: Sequence[ColorInterp] = (),
    tags: Sequence[dict[str, str]] = (),
    dtype: str = 'int16',
    values: Any = None,
    **profile: Any,
) -> Path:
    """A file whose band ``number`` holds ``number``."""
    numbers = np.arange(1, count + 1)[:, None, None]
    whole = np.broadcast_to(numbers, (count, 32, 32)).astype(dtype) if values is None else values
    write_raster(path, whole, **UTM, **profile)
    with rasterio.open(path, 'r+') as file:
        if descriptions:
            file.descriptions = tuple(descriptions)
        if colours:
            file.colorinterp = tuple(colours)
        for number, tag in enumerate(tags, start=1):
            file.update_tags(number, **tag)
    return path


def read(sensor: str, path: Any, **options: Any) -> dict[str, float]:
    """Channel to the value that it holds: the number of the band in the file."""
    data = Imagery({sensor: path}, **options)
    image = data[data.bounds]['image'].numpy()
    assert (image == image[:, :1, :1]).all()
    return dict(zip(data.bands, image[:, 0, 0].tolist(), strict=True))


def evidence(sensor: str, path: Any) -> list[How]:
    (source,) = Imagery({sensor: path}).stack.sources
    (file,) = source.acquisitions[0].files
    return [one.how for one in file.evidence]


GEE = ['B1', 'B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B9', 'B11', 'B12']


@pytest.mark.parametrize(
    ('sensor', 'descriptions', 'expected'),
    [
        ('rgbn', ['blue', 'green', 'red', 'nir'], {'R': 3, 'G': 2, 'B': 1, 'NIR': 4}),
        ('rgb', ['Blue', 'Green', 'Red', 'NIR'], {'R': 3, 'G': 2, 'B': 1}),
        ('rgb', ['B', 'G', 'R'], {'R': 3, 'G': 2, 'B': 1}),
        ('sentinel2_rgb', ['B2', 'B3', 'B4', 'QA60'], {'B4': 3, 'B3': 2, 'B2': 1}),
        ('sentinel2_rgb', ['B02 (blue)', 'B03 (green)', 'B04 (red)'], {'B4': 3, 'B3': 2, 'B2': 1}),
        ('sentinel2_all[B8,B8A]', ['nir08', 'nir', 'SCL'], {'B8': 2, 'B8A': 1}),
        ('sentinel2_all[B5,B6]', ['rededge2', 'rededge1'], {'B5': 2, 'B6': 1}),
        ('sentinel2_all[B2,B4]', ['band_4', 'band_2'], {'B2': 2, 'B4': 1}),
        ('landsat_oli_sr[B4,B5]', ['SR_B5', 'SR_B4', 'QA_PIXEL'], {'SR_B4': 2, 'SR_B5': 1}),
        ('sentinel1_grd', ['Sigma0_VH_db', 'Sigma0_VV_db'], {'VV': 2, 'VH': 1}),
        ('sentinel1_grd', ['VH', 'VV', 'angle'], {'VV': 2, 'VH': 1}),
        ('sentinel1_grd', ['HH', 'HV', 'VV', 'VH'], {'VV': 3, 'VH': 4}),
        ('rgb', ['Band 1', 'Band 2', 'Band 3'], {'R': 1, 'G': 2, 'B': 3}),
        ('sentinel2_4', ['lyr.1', 'lyr.2', 'lyr.3', 'lyr.4'], {'B2': 1, 'B3': 2, 'B4': 3, 'B8': 4}),
        ('sentinel2_all[B3,B4]', ['T32UMA_20200601T1030_B04', 'x_B03_10m'], {'B3': 2, 'B4': 1}),
    ],
)
def test_descriptions(
    tmp_path: Path, sensor: str, descriptions: list[str], expected: dict[str, int]
) -> None:
    path = write(tmp_path / 'scene.tif', len(descriptions), descriptions)
    assert read(sensor, path) == expected


def test_a_product_without_one_band_and_with_another_behind(tmp_path: Path) -> None:
    path = write(tmp_path / 'gee.tif', 13, [*GEE, 'SCL'])
    with pytest.raises(DataError, match=r"lacks B10 .*13 'SCL'"):
        Imagery({'sentinel2_all': path})
    found = read('sentinel2_all', path, bands=GEE)
    assert found == {name: at for at, name in enumerate(GEE, start=1)}


@pytest.mark.parametrize(
    ('sensor', 'colours', 'expected'),
    [
        ('rgb', (B, G, R), {'R': 3, 'G': 2, 'B': 1}),
        ('rgbn', (B, G, R, N), {'R': 3, 'G': 2, 'B': 1, 'NIR': 4}),
        ('rgbn', (B, G, R, NONE), {'R': 3, 'G': 2, 'B': 1, 'NIR': 4}),
        ('sentinel2_4', (R, G, B, N), {'B2': 3, 'B3': 2, 'B4': 1, 'B8': 4}),
        # A composite of near infrared, red and green is shown in red, green and blue.
        ('rgbn[NIR,R,G]', (R, G, B), {'NIR': 1, 'R': 2, 'G': 3}),
    ],
)
def test_colours(
    tmp_path: Path, sensor: str, colours: tuple[ColorInterp, ...], expected: dict[str, int]
) -> None:
    assert read(sensor, write(tmp_path / 'scene.tif', len(colours), colours=colours)) == expected


def test_colours_that_contradict_the_order_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / 'scene.tif', 3, colours=(R, G, B))
    with pytest.raises(DataError, match=r'band 1 is tagged red, which is B4, .* has B2 there'):
        Imagery({'sentinel2_all[B2,B3,B4]': path})
    told = {'files': path, 'bands': {'B2': 1, 'B3': 2, 'B4': 3}}
    assert read('sentinel2_all[B2,B3,B4]', told) == {'B2': 1, 'B3': 2, 'B4': 3}


def test_wavelengths(tmp_path: Path) -> None:
    nanometres = [{'wavelength': str(length)} for length in (842, 665, 560)]
    path = write(tmp_path / 'nm.tif', 3, tags=nanometres)
    assert read('sentinel2_all[B3,B4,B8]', path) == {'B3': 3, 'B4': 2, 'B8': 1}
    micro = [{'wavelength': t, 'wavelength_units': 'Micrometers'} for t in ('0.865', '0.66')]
    path = write(tmp_path / 'um.tif', 2, tags=micro)
    assert read('landsat_oli_sr[B4,B5]', path) == {'SR_B4': 2, 'SR_B5': 1}


def test_the_order_counts_where_nothing_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / 'scene.tif', 4)
    assert read('sentinel2_4', path) == {'B2': 1, 'B3': 2, 'B4': 3, 'B8': 4}
    assert evidence('sentinel2_4', path) == [How.GUESSED] * 4
    assert evidence('sentinel2_all[B8,B4,B3,B2]', path) == [How.TOLD] * 4
    with pytest.raises(DataError, match=r'holds 4 bands, but sensor .* has 3 .*bands: \{B4: 1'):
        Imagery({'sentinel2_rgb': path})


@pytest.mark.parametrize(
    ('sensor', 'descriptions', 'message'),
    [
        ('sentinel1_grd', ['HH', 'HV'], r"1 'HH', 2 'HV'.* VV, VH"),
        ('rgbn', ['one', 'two', 'three', 'four'], r"1 'one'.*bands: \{R: 1"),
        ('sentinel2_rgb', ['B8', 'B4', 'B3'], r'lacks B2'),
        ('sentinel2_rgb', ['B4', 'B4', 'B2'], r'bands 1 and 2 both say that they are B4'),
        ('landsat_tm_toa[B1,B2,B3]', ['B1', 'B2', 'B3 (nir)'], r"3 'B3 \(nir\)'.* B3"),
        ('sentinel2_all', ['band_1', 'band_2', 'band_3', 'band_4'], r'names or positions'),
        ('rgbn', ['B1', 'B2', 'B3', 'B4'], r"1 'B1'"),
        ('sentinel1_grd', ['i_VV', 'q_VV'], r"1 'i_VV'"),
        ('sentinel2_all[B4,B8]', ['B8 minus B4', 'nir minus red'], r"1 'B8 minus B4'"),
    ],
)
def test_contradictions(tmp_path: Path, sensor: str, descriptions: list[str], message: str) -> None:
    path = write(
        tmp_path / 'scene.tif', len(descriptions), descriptions, [NONE] * len(descriptions)
    )
    with pytest.raises(DataError, match=message):
        read(sensor, path)


def test_the_only_band_that_is_left(tmp_path: Path) -> None:
    path = write(tmp_path / 'scene.tif', 3, ['blue', 'green', None], [NONE] * 3)
    assert read('rgb', path) == {'R': 3, 'G': 2, 'B': 1}
    assert evidence('rgb', path) == [How.STATED, How.STATED, How.GUESSED]


def test_a_mapping_says_which_is_which(tmp_path: Path) -> None:
    path = write(tmp_path / 'scene.tif', 4, ['one', 'two', 'three', 'four'])
    bands = {'R': 3, 'G': 2, 'B': 1, 'NIR': 'four'}
    assert read('rgbn', {'files': path, 'bands': bands}) == {'R': 3, 'G': 2, 'B': 1, 'NIR': 4}
    assert evidence('rgbn', {'files': path, 'bands': bands}) == [How.TOLD] * 4
    for wrong, message in (
        ({'files': path, 'bands': {'R': 5}}, r"no band 5, .* 4 'four'"),
        ({'files': path, 'bands': {'R': 1, 'G': 1}}, r'name one twice'),
        ({'files': path, 'band': {'R': 1}}, r"unknown 'band' .*'bands'"),
        ({'bands': {'R': 1}}, r'names no files'),
    ):
        with pytest.raises(DataError, match=message):
            Imagery({'rgbn': wrong})


def test_blocks_of_another_mapping_are_not_used(tmp_path: Path) -> None:
    path = write(tmp_path / 'scene.tif', 3)
    for order in ((1, 2, 3), (3, 2, 1)):
        bands = dict(zip(('R', 'G', 'B'), order, strict=True))
        found = read('rgb', {'files': path, 'bands': bands}, cache=tmp_path / 'blocks')
        assert found == bands


class TestAlpha:
    """A fourth band of 8 bits, which GDAL tags as alpha whatever it is."""

    @staticmethod
    def photograph(path: Path, fourth: Any) -> Path:
        values = np.full((4, 32, 32), 100, np.uint8)
        values[3] = fourth
        return write(path, 4, values=values)

    def test_near_infrared_with_water(self, tmp_path: Path) -> None:
        fourth = np.random.default_rng(0).integers(40, 200, (32, 32))
        fourth[:, :12] = 0
        path = self.photograph(tmp_path / 'x.tif', fourth)
        data = Imagery({'rgbn': path})
        assert (data[data.bounds]['image'][3].numpy() == fourth).all()
        (file,) = data.stack.sources[0].acquisitions[0].files
        assert [one.how for one in file.evidence] == [How.STATED] * 3 + [How.GUESSED]
        colour = Imagery({'rgb': path}, nodata='nan')
        assert np.isfinite(colour[colour.bounds]['image'].numpy()).all()

    def test_near_infrared_that_is_warped(self, tmp_path: Path) -> None:
        fourth = np.tile(np.arange(32) * 3, (32, 1))
        path = self.photograph(tmp_path / 'x.tif', fourth)
        data = Imagery({'rgbn': path}, crs='EPSG:32632', nodata='nan')
        image = data[data.bounds]['image'].numpy()
        inside = np.isfinite(image[0])
        assert inside.mean() > 0.5
        assert (image[0][inside] == 100).all()
        assert np.isfinite(image[3][inside]).all()

    def test_a_constant_band(self, tmp_path: Path) -> None:
        path = self.photograph(tmp_path / 'x.tif', 104)
        assert read('rgbn', path) == {'R': 100, 'G': 100, 'B': 100, 'NIR': 104}
        assert read('rgb', path) == {'R': 100, 'G': 100, 'B': 100}

    def test_a_mask_is_no_band(self, tmp_path: Path) -> None:
        fourth = np.full((32, 32), 255)
        fourth[:, :12] = 0
        path = self.photograph(tmp_path / 'x.tif', fourth)
        with pytest.raises(DataError, match=r'band 4 is a mask \(alpha\), so that NIR is lacking'):
            Imagery({'rgbn': path})
        colour = Imagery({'rgb': path}, nodata='nan')
        image = colour[colour.bounds]['image'].numpy()
        assert np.isnan(image[:, :, :12]).all()
        assert (image[:, :, 12:] == 100).all()


ONE = {
    'T32UPU_20200601T103031_B04_10m': 'B4',
    'scene_b4_10m': 'B4',
    'LC08_L2SP_194026_20200601_20200824_02_T1_SR_B4': None,
    'HLS.S30.T33UUU.2020153T102559.v2.0.B8A': 'B8A',
    '2023-06-01-00:00_2023-06-01-23:59_Sentinel-2_L2A_B04_(Raw)': 'B4',
    'scene_red': 'B4',
    'scene_nir08': 'B8A',
    'B04': 'B4',
    'S2A_33UUU_20200601_0_L2A_swir16': 'B11',
    'red_20200601': 'B4',
}


@pytest.mark.parametrize(('name', 'band'), ONE.items())
def test_one_band_by_the_name_of_its_file(tmp_path: Path, name: str, band: str | None) -> None:
    path = write(tmp_path / f'{name}.tif', 1)
    if band is None:
        with pytest.raises(DataError, match=r'is Landsat collection 2.*not of sensor'):
            Imagery({'sentinel2_all': path})
    else:
        assert read('sentinel2_all', path, bands=[band]) == {band: 1}


@pytest.mark.parametrize(
    'name', ['scene', 'red_river', 'scene_B', 'T33UUU_2020', 'xB04x', 'B04_mask', 'MSK_DETFOO_B04']
)
def test_one_band_that_does_not_say_which(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / f'{name}.tif', 1)
    with pytest.raises(DataError, match=r'do not say which band|no image of sensor'):
        Imagery({'sentinel2_all': path}, bands=['B4'])


def test_one_band_by_its_description(tmp_path: Path) -> None:
    for name, text in (('a', 'VH'), ('b', 'Sigma0_VV_db')):
        write(tmp_path / f'{name}.tif', 1, [text])
    assert read('sentinel1_grd', tmp_path / 'a.tif', bands=['VH']) == {'VH': 1}
    assert read('sentinel1_grd', tmp_path / 'b.tif', bands=['VV']) == {'VV': 1}


def test_a_sensor_of_one_band(tmp_path: Path) -> None:
    assert read('sentinel2_all[B8]', write(tmp_path / 'scene.tif', 1)) == {'B8': 1}
    write(tmp_path / 'two' / 'x_B02.tif', 1)
    write(tmp_path / 'two' / 'x_B08.tif', 1)
    (source,) = Imagery({'sentinel2_all[B8]': tmp_path / 'two'}).stack.sources
    assert [file.path.endswith('x_B08.tif') for file in source.acquisitions[0].files] == [True]
    assert source.left_out[0].endswith("x_B02.tif: named 'B02'")


def test_a_product_as_it_is_delivered(tmp_path: Path) -> None:
    """Whole folders: masks, quality, previews and angles are left out by name."""
    inner = tmp_path / 'S2A_MSIL2A_20200601T103031_N0214_R108_T32UMA_20200601T134512.SAFE'
    for number, name in enumerate(('B02', 'B03', 'B04', 'SCL', 'WVP', 'AOT'), start=1):
        path = inner / 'IMG_DATA' / 'R10m' / f'T32UMA_20200601T103031_{name}_10m.tif'
        write(path, 1, values=np.full((1, 32, 32), number, np.uint16))
    write(inner / 'IMG_DATA' / 'R10m' / 'T32UMA_20200601T103031_TCI_10m.tif', 3, dtype='uint8')
    write(inner / 'QI_DATA' / 'MSK_DETFOO_B04.tif', 1)
    write(inner / 'QI_DATA' / 'MSK_CLDPRB_20m.tif', 1)
    write(inner / 'QI_DATA' / 'T32UMA_20200601T103031_PVI.tif', 3, dtype='uint8')
    assert read('sentinel2_rgb', tmp_path) == {'B4': 3, 'B3': 2, 'B2': 1}


def test_polarisations_of_running_numbers_are_one_image(tmp_path: Path) -> None:
    common = '20200601t052345-20200601t052410-032820-03cd2e'
    for number, pair in enumerate(('vv', 'vh'), start=1):
        values = np.full((1, 32, 32), number, np.uint16)
        write(tmp_path / f's1a-iw-grd-{pair}-{common}-00{number}.tif', 1, values=values)
    data = Imagery({'sentinel1_grd': tmp_path})
    assert len(data) == 1
    assert str(data.index.index[0].left) == '2020-06-01 05:23:45'
    # Detected products hold amplitude: power is its square.
    assert data[data.bounds]['image'].numpy()[:, 0, 0].tolist() == [1, 4]
    assert set(data.units.values()) == {'linear power'}


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('20200602_vv_vh', {'VV': 1, 'VH': 2}),
        ('20200602_vh_vv', {'VV': 2, 'VH': 1}),
        ('20200602', {'VV': 1, 'VH': 2}),
        ('20200602_hh_hv', None),
        ('S1A_EW_GRDM_1SDH_20200601T052345_20200601T052410_032820_03CD2E_1A2B', None),
    ],
)
def test_polarisations_are_never_swapped(
    tmp_path: Path, name: str, expected: dict[str, int] | None
) -> None:
    path = write(tmp_path / f'{name}.tif', 2, dtype='float32')
    if expected is None:
        with pytest.raises(DataError, match=r'(?i)hh.*hv.* has VV, VH'):
            Imagery({'sentinel1_grd': path})
    else:
        assert read('sentinel1_grd', path) == expected


def add_snap_tag(path: Path, bands: Sequence[tuple[str, str]]) -> None:
    """What SNAP writes into its GeoTIFFs: names and units of the bands, in tag 65000."""
    infos = ''.join(
        f'<Spectral_Band_Info><BAND_INDEX>{at}</BAND_INDEX><BAND_NAME>{name}</BAND_NAME>'
        f'<PHYSICAL_UNIT>{unit}</PHYSICAL_UNIT></Spectral_Band_Info>'
        for at, (name, unit) in enumerate(bands)
    )
    text = (
        f'<Dimap_Document><Image_Interpretation>{infos}</Image_Interpretation></Dimap_Document>\0'
    )
    content = path.read_bytes()
    (begin,) = struct.unpack('<I', content[4:8])
    (count,) = struct.unpack('<H', content[begin : begin + 2])
    entries = content[begin + 2 : begin + 2 + 12 * count]
    content += b'\0' * (len(content) % 2)
    new = struct.pack('<HHII', 65000, 2, len(text), len(content))
    directory = struct.pack('<H', count + 1) + entries + new + struct.pack('<I', 0)
    at = len(content) + len(text) + len(text) % 2
    content += text.encode() + b'\0' * (len(text) % 2) + directory
    path.write_bytes(content[:4] + struct.pack('<I', at) + content[8:])


def test_names_that_snap_writes(tmp_path: Path) -> None:
    """SNAP puts VH before VV, and says so in a tag that GDAL does not show."""
    name = 'S1A_IW_GRDH_1SDV_20200601T052345_20200601T052410_032820_03CD2E_1A2B_Orb_Cal_TC.tif'
    path = write(tmp_path / name, 2, dtype='float32')
    add_snap_tag(path, [('Sigma0_VH', 'intensity'), ('Sigma0_VV', 'intensity')])
    assert read('sentinel1_grd', path) == {'VV': 2, 'VH': 1}
    assert evidence('sentinel1_grd', path) == [How.STATED] * 2
    assert Imagery({'sentinel1_grd': path}).units['VV'] == 'linear power'
    path = write(tmp_path / 'db.tif', 2, dtype='float32')
    add_snap_tag(path, [('Sigma0_VH_db', 'intensity_db'), ('Sigma0_VV_db', 'intensity_db')])
    assert read('sentinel1_grd', path) == {'VV': 2, 'VH': 1}
    assert Imagery({'sentinel1_grd': path}).units['VV'] == 'dB'


def test_the_order_of_a_product(tmp_path: Path) -> None:
    path = write(tmp_path / '20200601_103031_1003_3B_AnalyticMS.tif', 4)
    assert read('rgbn', path) == {'R': 3, 'G': 2, 'B': 1, 'NIR': 4}
    assert evidence('rgbn', path) == [How.NAMED] * 4
    eight = write(tmp_path / '20200601_103031_12_2403_3B_AnalyticMS_SR_8b.tif', 8)
    assert read('rgbn', eight) == {'R': 6, 'G': 4, 'B': 2, 'NIR': 8}
    naip = write(tmp_path / 'm_3807511_ne_18_060_20181104.tif', 4)
    assert read('rgbn', naip) == {'R': 1, 'G': 2, 'B': 3, 'NIR': 4}


def test_bands_of_a_vrt(tmp_path: Path) -> None:
    """A stack of files as gdalbuildvrt makes it, with descriptions of its own."""
    for number, band in enumerate(('B04', 'B03', 'B02'), start=1):
        write(tmp_path / 'parts' / f'{band}.tif', 1, values=np.full((1, 32, 32), number, np.int16))
    with rasterio.open(tmp_path / 'parts' / 'B04.tif') as file:
        place = ','.join(map(str, file.transform.to_gdal()))
    bands = ''.join(
        f'<VRTRasterBand dataType="Int16" band="{number}"><Description>{text}</Description>'
        f'<SimpleSource><SourceFilename relativeToVRT="1">parts/{text}.tif</SourceFilename>'
        '<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
        for number, text in enumerate(('B02', 'B04', 'B03'), start=1)
    )
    (tmp_path / 'stack.vrt').write_text(
        f'<VRTDataset rasterXSize="32" rasterYSize="32"><SRS>EPSG:32633</SRS>'
        f'<GeoTransform>{place}</GeoTransform>{bands}</VRTDataset>'
    )
    assert read('sentinel2_rgb', tmp_path / 'stack.vrt') == {'B4': 1, 'B3': 2, 'B2': 3}
