"""What digital numbers mean: every sensor's chip is in its documented unit, whatever the product."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasters import UTM, read_raster, write_raster

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.evidence import Evidence, How
from torchgeo_geosane.datasets.units import Physical
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import get_sensor

NUMBERS = np.random.default_rng(0).integers(1, 12_000, (3, 32, 32)).astype(np.uint16)
OLD = 'S2A_MSIL2A_20200601T103031_N0214_R108_T32UMA_20200601T134512'
NEW = 'S2A_MSIL2A_20200601T103031_N0500_R108_T32UMA_20230512T004512'


def write(path: Path, values: Any = NUMBERS, tags: Any = None, **profile: Any) -> Path:
    write_raster(path, values, **UTM, **profile)
    if tags:
        with rasterio.open(path, 'r+') as file:
            if 'scale' in tags:
                file.scales, file.offsets = (
                    [tags[key]] * file.count for key in ('scale', 'offset')
                )
            file.update_tags(**tags)
    return path


def read(sensor: str, files: Any, **options: Any) -> np.ndarray:
    data = Imagery({sensor: files}, **options)
    return data[data.bounds]['image'].numpy()


def how(sensor: str, files: Any) -> How:
    (source,) = Imagery({sensor: files}).stack.sources
    (found,) = {one.evidence.how for one in source.acquisitions[0].files[0].calibrations}
    return found


@pytest.mark.parametrize(
    ('name', 'offset', 'said'),
    [
        (OLD, 0, How.NAMED),
        (NEW, -1000, How.NAMED),
        (NEW.replace('MSIL2A', 'MSIL1C').replace('N0500', 'N0400'), -1000, How.NAMED),
        (NEW.replace('N0500', 'N0301'), 0, How.NAMED),
        # Sen2Cor at home: nobody knows.
        (NEW.replace('N0500', 'N9999'), 0, How.UNKNOWN),
        ('scene_20230601', 0, How.UNKNOWN),
        ('T32UMA_20230601T103031', 0, How.UNKNOWN),
    ],
)
def test_the_offset_of_sentinel_2_by_its_name(
    tmp_path: Path, name: str, offset: int, said: How
) -> None:
    path = write(tmp_path / f'{name}.tif')
    assert (read('sentinel2_rgb', path) == read_raster(path).astype(np.float32) + offset).all()
    assert how('sentinel2_rgb', path) == said


def test_the_offset_by_the_folder_and_by_the_metadata_around_a_file(tmp_path: Path) -> None:
    granule = Path('GRANULE') / 'L2A_T32UMA_A025814_20200601T103025' / 'IMG_DATA' / 'R10m'
    for root in (f'{NEW}.SAFE', 'renamed'):
        path = tmp_path / root / granule / 'T32UMA_20200601T103031_B04_10m.tif'
        write(path, NUMBERS[:1])
        xml = '<n1:User_Product><PROCESSING_BASELINE>05.00</PROCESSING_BASELINE></n1:User_Product>'
        (tmp_path / root / 'MTD_MSIL2A.xml').write_text(xml)
        image = read('sentinel2_all', tmp_path / root, bands=['B4'])
        assert (image == NUMBERS[:1].astype(np.float32) - 1000).all()


def test_the_offset_by_a_tag(tmp_path: Path) -> None:
    path = write(tmp_path / 'scene.tif', tags={'PROCESSING_BASELINE': '04.00'})
    assert (read('sentinel2_rgb', path) == NUMBERS.astype(np.float32) - 1000).all()
    assert how('sentinel2_rgb', path) == How.STATED


def test_no_data_stays_no_data(tmp_path: Path) -> None:
    values = NUMBERS.copy()
    values[:, :4] = 0
    image = read('sentinel2_rgb', write(tmp_path / f'{NEW}.tif', values), nodata='nan')
    assert np.isnan(image[:, :4]).all()
    assert (image[:, 4:] == values[:, 4:].astype(np.float32) - 1000).all()
    assert (read('sentinel2_rgb', tmp_path)[:, :4] == 0).all()


@pytest.mark.parametrize(
    ('sensor', 'tags', 'expected'),
    [
        ('sentinel2_rgb', {'scale': 1e-4, 'offset': -0.1}, NUMBERS - 1000.0),
        ('sentinel2_rgb', {'scale': 1e-4, 'offset': 0}, NUMBERS * 1.0),
        ('sentinel2_rgb', {'scale': 2.75e-5, 'offset': -0.2}, NUMBERS * 0.275 - 2000),
        # SSL4EO-L: reflectance 0 to 0.3 over 256 values.
        (
            'landsat_oli_sr[B4,B3,B2]',
            {'scale': 2.75e-5, 'offset': -0.2},
            (NUMBERS * 2.75e-5 - 0.2) / 0.3 * 256,
        ),
        (
            'landsat_oli_tirs_toa[B10,B11,B4]',
            {'scale': 0.1, 'offset': 100},
            (NUMBERS * 0.1 + 100 - np.array([248.15, 248.15, 0])[:, None, None])
            / np.array([70, 70, 0.4])[:, None, None]
            * 256,
        ),
    ],
)
def test_scale_and_offset_of_a_file(
    tmp_path: Path, sensor: str, tags: dict[str, float], expected: np.ndarray
) -> None:
    path = write(tmp_path / 'scene.tif', tags=tags)
    assert np.allclose(read(sensor, path), expected, rtol=1e-5, atol=1e-2)
    assert how(sensor, path) == How.STATED


def test_landsat_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / 'LC08_L2SP_194026_20200601_20200824_02_T1_SR_B4.TIF'
    write(path, NUMBERS[:1], nodata=0)
    expected = (NUMBERS[:1] * 2.75e-5 - 0.2) / 0.3 * 256
    found = read('landsat_oli_sr', path, bands=['B4'])
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-2)
    # Of other bits, or without its value for no data: not what is delivered.
    path = write(tmp_path / 'converted' / path.name, NUMBERS[:1])
    assert (read('landsat_oli_sr', path, bands=['B4']) == NUMBERS[:1]).all()
    assert how('landsat_oli_sr[B4]', path) == How.UNKNOWN
    eight = (NUMBERS[:1] // 64).astype(np.uint8)
    path = write(tmp_path / 'small' / path.name, eight)
    assert (read('landsat_oli_sr', path, bands=['B4']) == eight).all()
    # Level 1 needs the sun's elevation.
    path = write(tmp_path / 'LC08_L1TP_194026_20200601_20200824_02_T1_B4.TIF', NUMBERS[:1])
    assert (read('landsat_oli_tirs_toa', path, bands=['B4']) == NUMBERS[:1]).all()


def test_the_user_is_asked_first(tmp_path: Path) -> None:
    path = write(tmp_path / f'{NEW}.tif', tags={'scale': 1e-4, 'offset': 0})
    told = {'files': path, 'scale': 2e-4, 'offset': 0.05}
    assert np.allclose(read('sentinel2_rgb', told), NUMBERS * 2.0 + 500, rtol=1e-5)
    assert how('sentinel2_rgb', told) == How.TOLD
    photograph = write(tmp_path / 'photograph.tif')
    told = {'files': photograph, 'scale': 255 / 10_000}
    assert np.allclose(read('rgb', told), NUMBERS * 0.0255, rtol=1e-5)
    assert how('rgb', photograph) == How.UNKNOWN


def test_native_images_keep_their_type_where_nothing_is_converted(tmp_path: Path) -> None:
    old, new = (write(tmp_path / f'{name}.tif') for name in (OLD, NEW))
    assert read('sentinel2_rgb', old, native=True).dtype == np.uint16
    assert read('sentinel2_rgb', new, native=True).dtype == np.float32


def test_years_of_different_products_agree(tmp_path: Path) -> None:
    """The same ground before and after the change of 2022: where one has no data, the other's."""
    first, second = NUMBERS.copy(), NUMBERS + np.uint16(1000)
    first[:, :8] = 0
    write(tmp_path / f'{OLD}.tif', first, nodata=0)
    write(tmp_path / f'{NEW}.tif', second, nodata=0)
    assert (read('sentinel2_rgb', tmp_path) == NUMBERS).all()


def test_the_cache_holds_converted_values(tmp_path: Path) -> None:
    path = write(tmp_path / 'scene.tif')
    plain = read('sentinel2_rgb', path, cache=tmp_path / 'blocks')
    told = {'files': path, 'scale': 1e-4, 'offset': -0.1}
    for _ in range(2):
        found = read('sentinel2_rgb', told, cache=tmp_path / 'blocks')
        assert (found == plain - 1000).all()


def item(tmp_path: Path, asset: dict[str, Any], properties: dict[str, Any]) -> Path:
    write(tmp_path / 'scene.tif')
    names = [{'name': name} for name in ('B04', 'B03', 'B02')]
    content = {
        'type': 'Feature',
        'id': 'x',
        'properties': {'datetime': '2023-06-01T00:00:00Z', **properties},
        'assets': {'image': {'href': 'scene.tif', 'eo:bands': names, **asset}},
    }
    (tmp_path / 'item.json').write_text(json.dumps(content))
    return tmp_path / 'item.json'


BANDS = [{'scale': 1e-4, 'offset': -0.1}] * 3


@pytest.mark.parametrize(
    ('asset', 'properties', 'offset', 'said'),
    [
        ({}, {}, 0, How.UNKNOWN),
        ({'raster:bands': BANDS}, {}, -1000, How.STATED),
        # Earth Search states the offset that it has undone.
        ({'raster:bands': BANDS}, {'earthsearch:boa_offset_applied': True}, 0, How.STATED),
        ({}, {'s2:processing_baseline': '05.09'}, -1000, How.STATED),
        ({}, {'s2:processing_baseline': '03.01'}, 0, How.STATED),
        ({}, {'s2:processing_baseline': '05.09', 'x:boa_offset_applied': True}, 0, How.STATED),
        ({}, {'s2:processing_baseline': '05.09', 'x:boa_offset_applied': False}, -1000, How.STATED),
        (
            {'raster:bands': [{'scale': 1e-4}] * 3},
            {'s2:processing_baseline': '05.09'},
            -1000,
            How.STATED,
        ),
        ({'raster:scale': 1e-4, 'raster:offset': -0.1}, {}, -1000, How.STATED),
    ],
)
def test_what_a_stac_item_states(
    tmp_path: Path, asset: dict[str, Any], properties: dict[str, Any], offset: int, said: How
) -> None:
    path = item(tmp_path, asset, properties)
    assert (read('sentinel2_rgb', path) == NUMBERS.astype(np.float32) + offset).all()
    assert how('sentinel2_rgb', path) == said


def test_bands_of_version_1_1(tmp_path: Path) -> None:
    path = item(tmp_path, {}, {})
    content = json.loads(path.read_text())
    asset = content['assets']['image']
    asset['bands'] = [
        {'eo:common_name': colour, 'raster:scale': 1e-4, 'raster:offset': -0.1}
        for colour in ('blue', 'green', 'red')
    ]
    del asset['eo:bands']
    path.write_text(json.dumps({**content, 'stac_version': '1.1.0'}))
    assert (read('sentinel2_rgb', path) == NUMBERS[::-1].astype(np.float32) - 1000).all()


@given(
    st.floats(1e-5, 10), st.floats(-100, 100), st.integers(0, 65535),
    st.sampled_from(['B4', 'B10', 'B11']),
)  # fmt: skip
def test_a_value_stands_for_its_physical_quantity(
    scale: float, offset: float, number: int, name: str
) -> None:
    band = get_sensor('landsat_oli_tirs_toa').band(name)
    found = Physical(scale, offset, Evidence(How.TOLD, '')).for_band(band)
    value = number * found.scale + found.offset
    assert band.gain is not None
    assert np.isclose(
        value / band.gain + band.origin, number * scale + offset, rtol=1e-6, atol=1e-5
    )


class TestRadar:
    """dB, power, amplitude and complex numbers, as far as a file says."""

    power = np.random.default_rng(1).gamma(4, 0.05, (2, 32, 32)).astype(np.float32)

    def unit(self, files: Any, **options: Any) -> tuple[np.ndarray, str]:
        data = Imagery({'sentinel1_grd': files}, **options)
        (unit,) = set(data.units.values())
        return data[data.bounds]['image'].numpy(), unit

    @pytest.mark.parametrize('kind', ['complex64', 'complex_int16'])
    def test_complex(self, tmp_path: Path, kind: str) -> None:
        generator = np.random.default_rng(2)
        values = generator.normal(size=(2, 32, 32)) + 1j * generator.normal(size=(2, 32, 32))
        values = (100 * values).astype(np.complex64)
        path = tmp_path / 'slc.tif'
        with rasterio.open(
            path, 'w', driver='GTiff', width=32, height=32, count=2, dtype=kind, **UTM
        ) as file:
            file.write(values)
        held = read_raster(path)
        for radar in (None, 'dB', 'linear', 'amplitude'):
            with pytest.raises(DataError, match=r"complex values .*radar='complex'"):
                Imagery({'sentinel1_grd': path}, radar=radar)
        image, unit = self.unit(path, radar='complex')
        assert unit == 'linear power'
        assert np.allclose(image, np.abs(held) ** 2, rtol=1e-5)
        # Intensity is what is interpolated, not the complex numbers.
        x, y, _ = (data := Imagery({'sentinel1_grd': path}, radar='complex', res=5)).bounds
        fine = data[x.start : x.stop, y.start : y.stop]['image'].numpy()
        assert np.isclose(fine.mean(), image.mean(), rtol=0.02)
        assert (fine > 0).all()
        warped, _ = self.unit(path, radar='complex', crs='EPSG:32632', nodata='nan')
        assert np.isclose(np.nanmean(warped), image.mean(), rtol=0.05)

    def test_complex_without_need(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'x.tif', self.power)
        with pytest.raises(DataError, match=r'float32, no complex values'):
            Imagery({'sentinel1_grd': path}, radar='complex')
        whole = write(tmp_path / 'y.tif', np.ones((3, 32, 32), np.complex64))
        with pytest.raises(DataError, match=r'complex values, which only radar has'):
            Imagery({'rgb': whole})
        with pytest.raises(DataError, match=r"unknown radar 'power'"):
            Imagery({'sentinel1_grd': path}, radar='power')

    def describe(self, path: Path, texts: tuple[str, str]) -> Path:
        with rasterio.open(path, 'r+') as file:
            file.descriptions = texts
        return path

    @pytest.mark.parametrize(
        ('texts', 'unit'),
        [
            (('Sigma0_VV_db', 'Sigma0_VH_db'), 'dB'),
            (('VV dB', 'VH dB'), 'dB'),
            (('Sigma0_VV', 'Sigma0_VH'), 'linear power'),
            (('Intensity_VV', 'Intensity_VH'), 'linear power'),
            (('VV', 'VH'), 'dB'),
        ],
    )
    def test_descriptions(self, tmp_path: Path, texts: tuple[str, str], unit: str) -> None:
        path = self.describe(write(tmp_path / 'x.tif', self.power), texts)
        image, found = self.unit(path)
        assert found == unit
        assert (image == self.power).all()

    def test_amplitude(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'x.tif', np.sqrt(self.power), nodata=-9999)
        self.describe(path, ('Amplitude_VV', 'Amplitude_VH'))
        image, unit = self.unit(path)
        assert unit == 'linear power'
        assert np.allclose(image, self.power, rtol=1e-5)
        with pytest.raises(DataError, match=r"holds amplitude .*radar='dB' is asked for"):
            Imagery({'sentinel1_grd': path}, radar='dB')

    def test_the_user_is_asked_before_names(self, tmp_path: Path) -> None:
        path = self.describe(write(tmp_path / 'x.tif', self.power), ('Sigma0_VV', 'Sigma0_VH'))
        assert self.unit(path, radar='dB')[1] == 'dB'
        assert self.unit(write(tmp_path / 'x_db.tif', self.power), radar='linear')[1] != 'dB'

    def test_numbers_without_sign_are_hardly_db(self, tmp_path: Path) -> None:
        numbers = (1000 * self.power).astype(np.uint16)
        path = write(tmp_path / 'x.tif', numbers)
        with pytest.warns(UserWarning, match=r"uint16, which has no negative .*radar='amplitude'"):
            image, unit = self.unit(path)
        assert unit == 'dB'
        assert (image == numbers).all()
        image, _ = self.unit(path, radar='amplitude')
        assert (image == numbers.astype(np.float32) ** 2).all()

    def test_scaled_db(self, tmp_path: Path) -> None:
        decibel = np.round(1000 * np.log10(self.power)).astype(np.int16)
        path = write(tmp_path / 'x.tif', decibel, tags={'scale': 0.01, 'offset': 0})
        image, unit = self.unit(path)
        assert unit == 'dB'
        assert np.allclose(image, decibel / 100, atol=1e-4)

    @pytest.mark.parametrize(
        ('name', 'unit'),
        [
            ('S1A_IW_20200601T052345_DVP_RTC30_G_gpuned_1A2B', 'linear power'),
            ('S1A_IW_20200601T052345_DVP_RTC30_G_gduned_1A2B', 'dB'),
            ('s1_20200601_db', 'dB'),
            ('s1_20200601_linear', 'linear power'),
            ('s1_20200601', 'dB'),
        ],
    )
    def test_names(self, tmp_path: Path, name: str, unit: str) -> None:
        assert self.unit(write(tmp_path / f'{name}.tif', self.power))[1] == unit

    def test_what_was_converted_keeps_its_name_alone(self, tmp_path: Path) -> None:
        """Calibrated files of SNAP have their product's name, and other values."""
        common = '20200601t052345-20200601t052410-032820-03cd2e-001'
        for kind in ('grd', 'slc'):
            path = write(tmp_path / f's1a-iw-{kind}-vv-{common}.tif', self.power[:1])
            data = Imagery({'sentinel1_grd': path}, bands=['VV'])
            assert data.units['VV'] == 'dB'
            assert (data[data.bounds]['image'].numpy() == self.power[:1]).all()

    def test_bands_of_different_kinds(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'x.tif', self.power)
        with pytest.raises(DataError, match=r'bands of different kinds \(VV dB, VH linear\)'):
            Imagery({'sentinel1_grd': self.describe(path, ('VV dB', 'VH linear'))})

    def test_images_that_disagree(self, tmp_path: Path) -> None:
        write(tmp_path / 'a_db.tif', self.power)
        write(tmp_path / 'b_linear.tif', self.power)
        with pytest.raises(DataError, match=r'a_db.*holds dB .*b_linear.* linear .*convert one'):
            Imagery({'sentinel1_grd': tmp_path})

    def test_a_mapping_says_it_for_one_sensor(self, tmp_path: Path) -> None:
        path = write(tmp_path / 'x.tif', self.power)
        assert self.unit({'files': path, 'radar': 'linear'})[1] == 'linear power'
        assert self.unit({'files': path, 'radar': 'linear'}, radar='dB')[1] == 'linear power'
