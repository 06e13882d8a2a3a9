"""When images were taken, and which are read together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasters import UTM, write_raster

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.acquisitions import Acquisition, find_acquisitions
from torchgeo_geosane.datasets.evidence import How
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import get_sensor


def write(path: Path, value: float = 1, bands: int = 3, dtype: str = 'int16') -> Path:
    write_raster(path, np.full((bands, 16, 16), value, dtype), **UTM)
    return path


def found(path: Path, sensor: str = 'sentinel2_rgb') -> Acquisition:
    (acquisition,) = find_acquisitions(path, get_sensor(sensor))
    return acquisition


@pytest.mark.parametrize(
    ('name', 'start', 'how'),
    [
        (
            'S2A_MSIL2A_20200601T103031_N0500_R108_T32UMA_20230512T004512.tif',
            '2020-06-01 10:30:31',
            How.NAMED,
        ),
        (
            'S2A_MSIL2A_20200601T103031_N0500_R108_T32UMA_20230512T004512.SAFE/stack.tif',
            '2020-06-01 10:30:31',
            How.NAMED,
        ),
        ('cut_20200601_20230512.tif', '2020-06-01', How.GUESSED),
        ('cut_2020.tif', '2020-01-01', How.GUESSED),
        ('20240101_project/cut.tif', None, How.UNKNOWN),
        ('cut.tif', None, How.UNKNOWN),
    ],
)
def test_dates_and_what_says_so(tmp_path: Path, name: str, start: str | None, how: How) -> None:
    acquisition = found(write(tmp_path / name))
    assert acquisition.dated.how == how
    assert acquisition.start == (np.datetime64(start) if start else acquisition.start.min)


def test_what_the_file_states_beats_its_name(tmp_path: Path) -> None:
    import rasterio

    path = write(tmp_path / 'export_20230512.tif')
    with rasterio.open(path, 'r+') as file:
        file.update_tags(
            SENSING_TIME='2020-06-01T10:30:31Z', TIFFTAG_DATETIME='2023:05:12 00:00:00'
        )
    acquisition = found(path)
    assert str(acquisition.start) == '2020-06-01 10:30:31'
    assert acquisition.dated.how == How.STATED


def test_files_named_by_their_band_alone_take_the_date_of_their_folder(tmp_path: Path) -> None:
    for day, value in (('2020-06-01', 1), ('2020-07-01', 2)):
        for band in ('B02', 'B03', 'B04'):
            write(tmp_path / day / f'{band}.tif', value, 1)
    images = find_acquisitions(tmp_path, get_sensor('sentinel2_rgb'))
    assert [str(image.start.date()) for image in images] == ['2020-06-01', '2020-07-01']


class TestStacking:
    """The radar image of the nearest acquisition, whatever was processed when."""

    landsat = 'LC08_L2SP_194026_20200601_20200824_02_T1_SR_B4.TIF'

    def radar(self, root: Path, **options: Any) -> float:
        sensors = {'landsat_oli_sr[B4]': root / self.landsat, 'sentinel1_grd': root / 's1'}
        data = Imagery(sensors, **options)
        return float(data[data.bounds]['image'][1, 0, 0])

    def write(self, root: Path, *names: str) -> None:
        write(root / self.landsat, 8000, 1, 'uint16')
        for value, name in enumerate(names, start=1):
            write(root / 's1' / f'{name}.tif', -value, 2, 'float32')

    def test_the_nearest(self, tmp_path: Path) -> None:
        self.write(tmp_path, 's1_20200825', 's1_20200602', 's1_20200425')
        assert self.radar(tmp_path) == -2

    def test_one_without_a_date_comes_last(self, tmp_path: Path) -> None:
        self.write(tmp_path, 'a_mosaic', 's1_20200825')
        assert self.radar(tmp_path) == -2

    def test_spans_of_products(self, tmp_path: Path) -> None:
        names = [
            f'S1A_IW_GRDH_1SDV_{day}T052345_{day}T052410_03282{at}_03CD2E_1A2B_db'
            for at, day in enumerate(('20200620', '20200531'))
        ]
        self.write(tmp_path, *names)
        assert self.radar(tmp_path) == -2


def write_item(path: Path, assets: dict[str, Any], **properties: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        'type': 'Feature',
        'id': path.stem,
        'properties': {'datetime': '2020-06-01T10:30:31Z', **properties},
        'assets': assets,
    }
    path.write_text(json.dumps(content))
    return path


class TestStac:
    """Assets of one or several bands, common names, escaped links, catalogues."""

    def values(self, sensor: str, path: Path, **options: Any) -> dict[str, float]:
        data = Imagery({sensor: path}, **options)
        image = data[data.bounds]['image'].numpy()
        return dict(zip(data.bands, image[:, 0, 0].tolist(), strict=True))

    def stack(self, path: Path, count: int) -> Path:
        values = np.arange(1, count + 1, dtype='int16')[:, None, None] * np.ones((16, 16), 'int16')
        write_raster(path, values, **UTM)
        return path

    @pytest.mark.parametrize(
        'bands',
        [
            {'eo:bands': [{'name': name} for name in ('Blue', 'Green', 'Red', 'NIR')]},
            {'eo:bands': [{'common_name': name} for name in ('blue', 'green', 'red', 'nir')]},
            {'bands': [{'eo:common_name': name} for name in ('blue', 'green', 'red', 'nir')]},
            {
                'bands': [
                    {'name': 'x', 'eo:common_name': name} for name in ('blue', 'green', 'red', 'nir')
                ]
            },
            {'eo:bands': [{'center_wavelength': w} for w in (0.48, 0.56, 0.66, 0.84)]},
            {
                'bands': [
                    {'name': f'B{at}', 'eo:common_name': name}
                    for at, name in enumerate(('blue', 'green', 'red', 'nir'), start=1)
                ]
            },
        ],
    )  # fmt: skip
    def test_an_asset_of_several_bands(self, tmp_path: Path, bands: dict[str, Any]) -> None:
        self.stack(tmp_path / 'planet.tif', 4)
        assets = {
            'tilejson': {'href': 'https://x.invalid/tilejson.json', 'roles': ['tiles']},
            'udm': {'href': 'https://x.invalid/udm.tif', 'roles': ['data']},
            'image': {'href': 'planet.tif', 'roles': ['data'], **bands},
        }
        path = write_item(tmp_path / 'item.json', assets)
        assert self.values('rgbn', path) == {'R': 3, 'G': 2, 'B': 1, 'NIR': 4}
        assert self.values('sentinel2_4', path) == {'B2': 1, 'B3': 2, 'B4': 3, 'B8': 4}

    def test_common_names_of_several_assets(self, tmp_path: Path) -> None:
        """Earth Search's keys; Planetary Computer calls B8A by the common name of others."""
        for value, name in enumerate(('B04', 'B08', 'B8A'), start=1):
            write(tmp_path / f'{name}.tif', value, 1)
        keys = {'red': 'B04', 'nir': 'B08', 'nir08': 'B8A'}
        earth_search = {key: {'href': f'{name}.tif'} for key, name in keys.items()}
        # The same bands as JPEG 2000, elsewhere: not opened.
        other = {f'{key}-jp2': {'href': f's3://x/{name}.jp2'} for key, name in keys.items()}
        bands = {f'{key}-jp2': [{'name': key, 'common_name': key}] for key in keys}
        for key, asset in other.items():
            asset['eo:bands'] = bands[key]
        path = write_item(tmp_path / 'a.json', {**earth_search, **other})
        expected = {'B4': 1, 'B8': 2, 'B8A': 3}
        assert self.values('sentinel2_all[B4,B8,B8A]', path) == expected
        computer = {
            name: {'href': f'{name}.tif', 'eo:bands': [{'name': name, 'common_name': common}]}
            for name, common in (('B8A', 'rededge'), ('B08', 'nir'), ('B04', 'red'))
        }
        visual = {'href': 'none.tif', 'roles': ['data'], 'eo:bands': [{'name': 'B04'}] * 3}
        path = write_item(tmp_path / 'b.json', {'visual': visual, **computer})
        assert self.values('sentinel2_all[B4,B8,B8A]', path) == expected

    def test_polarisations(self, tmp_path: Path) -> None:
        common = '20200601t052345-20200601t052410-032820-03cd2e'
        assets = {}
        for number, pair in ((2, 'vh'), (1, 'vv')):
            name = f's1a-iw-grd-{pair}-{common}-00{number}.tiff'
            write(tmp_path / name, number, 1, 'uint16')
            assets[pair] = {'href': name, 'sar:polarizations': [pair.upper()]}
        path = write_item(tmp_path / 'item.json', assets)
        assert self.values('sentinel1_grd', path) == {'VV': 1, 'VH': 4}
        both = {'image': {'href': 'both.tif', 'sar:polarizations': ['VH', 'VV']}}
        self.stack(tmp_path / 'both.tif', 2)
        path = write_item(tmp_path / 'both.json', both)
        assert self.values('sentinel1_grd', path) == {'VV': 2, 'VH': 1}

    @pytest.mark.parametrize(
        'href', ['my%20scene%20%231.tif', './my scene #1.tif', 'file://{0}/my%20scene%20%231.tif']
    )
    def test_escaped_links(self, tmp_path: Path, href: str) -> None:
        self.stack(tmp_path / 'my scene #1.tif', 3)
        path = write_item(tmp_path / 'item.json', {'image': {'href': href.format(tmp_path)}})
        assert self.values('rgb', path) == {'R': 1, 'G': 2, 'B': 3}

    def test_a_catalogue(self, tmp_path: Path) -> None:
        for day in ('01', '02'):
            folder = tmp_path / f'item {day}'
            self.stack(folder / 'image.tif', 3)
            path = write_item(
                folder / 'item.json',
                {'image': {'href': './image.tif'}},
                datetime=f'2020-06-{day}T00:00:00Z',
            )
            content = json.loads(path.read_text())
            whole = {'stac_version': '1.0.0', 'geometry': None, 'links': [], **content, 'id': day}
            path.write_text(json.dumps(whole))
        links = [{'rel': 'item', 'href': f'./item {day}/item.json'} for day in ('01', '02')]
        catalogue = {
            'type': 'Catalog',
            'stac_version': '1.0.0',
            'id': 'c',
            'description': 'two',
            'links': links,
        }
        (tmp_path / 'catalog.json').write_text(json.dumps(catalogue))
        images = find_acquisitions(tmp_path / 'catalog.json', get_sensor('rgb'))
        assert [image.start.day for image in images] == [1, 2]
        assert {image.dated.how for image in images} == {How.STATED}

    def test_a_span_of_time(self, tmp_path: Path) -> None:
        self.stack(tmp_path / 'image.tif', 3)
        times = {
            'datetime': '2020-06-05T00:00:00Z',
            'start_datetime': '2020-06-01T00:00:00Z',
            'end_datetime': '2020-06-10T00:00:00Z',
        }
        path = write_item(tmp_path / 'item.json', {'image': {'href': 'image.tif'}}, **times)
        (image,) = find_acquisitions(path, get_sensor('rgb'))
        assert (image.start.day, image.stop.day) == (1, 10)

    def test_no_data_that_the_item_alone_states(self, tmp_path: Path) -> None:
        write(tmp_path / 'image.tif', 7)
        rasters = [{'nodata': 7}, {'nodata': 'nan'}, {'nodata': -70_000}]
        path = write_item(
            tmp_path / 'item.json', {'image': {'href': 'image.tif', 'raster:bands': rasters}}
        )
        data = Imagery({'rgb': path}, nodata='nan')
        image = data[data.bounds]['image'].numpy()
        assert np.isnan(image[0]).all()
        assert (image[1:] == 7).all()

    @pytest.mark.parametrize(
        ('properties', 'message'),
        [
            ({'platform': 'landsat-8'}, 'of landsat-8, and not of sensor'),
            ({'platform': 'Sentinel-1A', 'sar:polarizations': ['HH', 'HV']}, 'of Sentinel-1A'),
        ],
    )
    def test_items_of_another_satellite(
        self, tmp_path: Path, properties: dict[str, Any], message: str
    ) -> None:
        write(tmp_path / 'image.tif')
        path = write_item(tmp_path / 'item.json', {'image': {'href': 'image.tif'}}, **properties)
        with pytest.raises(DataError, match=message):
            Imagery({'sentinel2_rgb': path})
        with pytest.raises(DataError, match='name another sensor'):
            Imagery({'sentinel1_grd': path})
        assert len(Imagery({'rgb': path})) == 1
