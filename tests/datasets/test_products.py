"""Dates, bands and measurements of real product names."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.datasets.product import Product
from torchgeo_geosane.datasets.product_names import any_date, named, products_of, stated_time
from torchgeo_geosane.datasets.products import PRODUCTS
from torchgeo_geosane.sensors import SENSORS

DATES = {
    'S2A_MSIL2A_20200601T103031_N0500_R108_T32UMA_20230512T004512': '2020-06-01 10:30:31',
    'S2A_OPER_PRD_MSIL1C_PDMC_20160807T022853_R008_V20160806T102032_20160806T102032': '2016-08-06 10:20:32',
    'T33UUU_20170216T102101_B04_10m': '2017-02-16 10:21:01',
    'L2A_T33UUU_20170216T102101_SCL_20m': '2017-02-16 10:21:01',
    'S2B_33UUU_20200601_0_L2A': '2020-06-01',
    '2023-06-01-00:00_2023-06-02-23:59_Sentinel-2_L2A_B04_(Raw)': '2023-06-01',
    '2023-06-01-00_00_2023-06-01-23_59_Sentinel-2_L2A_True_color': '2023-06-01',
    'S1A_IW_GRDH_1SDV_20200601T052345_20200601T052410_032820_03CD2E_1A2B': '2020-06-01 05:23:45',
    's1b-iw-grd-vh-20200601t052345-20200601t052410-032820-03cd2e-002': '2020-06-01 05:23:45',
    'LC08_L2SP_194026_20200601_20200824_02_T1_SR_B4': '2020-06-01',
    'LE07_L1TP_194026_20100601_20161215_01_T1_B1': '2010-06-01',
    'lt05_l1tp_194026_19900601_20200824_02_t1_b4': '1990-06-01',
    'LC81940262020153LGN00_B4': '2020-06-01',
    'HLS.L30.T33UUU.2020153T102559.v2.0.B04': '2020-06-01 10:25:59',
    'MOD09A1.A2020153.h18v04.061.2020345034021': '2020-06-01',
    'VNP09GA.A2020366.h18v04.001.2021002034021': '2020-12-31',
    '20200601_103031_1003_3B_AnalyticMS': '2020-06-01 10:30:31',
    '20200601_103031_12_2403_3B_AnalyticMS_SR_8b_clip': '2020-06-01 10:30:31',
    'm_3807511_ne_18_060_20181104_20190211': '2018-11-04',
    'm_3807511_ne_18_1_20140927': '2014-09-27',
    '20JUN01103031-M2AS-012345678010_01_P001': '2020-06-01 10:30:31',
    'global_monthly_2020_06_mosaic': '2020-06-01',
    'nlcd_2019_land_cover_l48_20210604': '2019-01-01',
    'Annual_NLCD_LndCov_2023_CU_C1V0': '2023-01-01',
    'AST_L1T_00306012020103031_20200602103031_12345': '2020-06-01 10:30:31',
}


@pytest.mark.parametrize('product', PRODUCTS, ids=lambda product: product.title)
def test_every_kind_of_name_is_told_by_its_example(product: Product) -> None:
    found = named(product.example)
    assert found is not None
    assert found.product is product
    assert found.start is not None or 'start' not in product.pattern
    for prefix in product.sensors:
        known = any(name.startswith(prefix) for name in SENSORS)
        assert known or prefix in {'modis', 'viirs', 'aster'}


@pytest.mark.parametrize(('name', 'date'), DATES.items())
def test_the_acquisition_counts_not_the_processing(name: str, date: str) -> None:
    found = named(name)
    assert found is not None
    assert found.start == pd.Timestamp(date)
    assert found.stop is not None
    assert found.stop > found.start


def test_a_name_that_tells_of_processing_alone_has_no_date() -> None:
    found = named('S2A_OPER_MSI_L1C_TL_SGS__20160806T154026_A005862_T32UMA_B04')
    assert found is not None
    assert found.start is None


def test_spans_last_to_the_end_of_what_they_state() -> None:
    ends = {
        'S1A_IW_GRDH_1SDV_20200601T052345_20200601T052410_032820_03CD2E_1A2B': '2020-06-01 05:24:10',
        '2023-06-01-00:00_2023-06-02-23:59_Sentinel-2_L2A_B04_(Raw)': '2023-06-02 23:59:59',
        'global_monthly_2020_02_mosaic': '2020-02-29 23:59:59',
        'nlcd_2019_land_cover_l48_20210604': '2019-12-31 23:59:59',
        'MOD09A1.A2020153.h18v04.061.2020345034021': '2020-06-01 23:59:59',
    }
    for name, end in ends.items():
        found = named(name)
        assert found is not None
        assert found.stop is not None
        assert found.stop.floor('s') == pd.Timestamp(end)


def test_running_numbers_and_bands_are_no_part_of_an_image() -> None:
    names = (
        's1a-iw-grd-vv-20200601t052345-20200601t052410-032820-03cd2e-001',
        's1a-iw-grd-vh-20200601t052345-20200601t052410-032820-03cd2e-002',
    )
    assert len({found.rest for name in names if (found := named(name))}) == 1


def test_folders_tell_what_a_file_does_not() -> None:
    path = (
        'x/S2A_MSIL2A_20200601T103031_N0500_R108_T32UMA_20230512T004512.SAFE/GRANULE/'
        'L2A_T32UMA_A025814_20200601T103025/IMG_DATA/R10m/T32UMA_20200601T103031_B04_10m.jp2'
    )
    found = products_of(path)
    assert [one.product.title for one in found] == [
        'Sentinel-2 image file',
        'Sentinel-2 granule folder',
        'Sentinel-2 product',
    ]
    assert found[-1].groups['baseline'] == '0500'


@pytest.mark.parametrize(
    ('name', 'date'),
    [
        ('scene_20200615_0', '2020-06-15'),
        ('x-2020-06-15-y', '2020-06-15'),
        ('flood_20200615T103031_20210101', '2020-06-15 10:30:31'),
        ('map_2019', '2019-01-01'),
        ('a_20200631_b', None),
        ('tile_1024_2048', None),
        ('x_2019_2020', None),
        ('LC08_20200601_194026', '2020-06-01'),
    ],
)
def test_dates_of_other_names(name: str, date: str | None) -> None:
    span = any_date(name)
    assert (span and span[0]) == (date and pd.Timestamp(date))


@given(st.dates(min_value=pd.Timestamp('1972-01-01').date()).filter(lambda day: day.year < 2100))
def test_any_day_is_read(day: object) -> None:
    for form in ('%Y%m%d', '%Y-%m-%d', '%Y_%m_%d'):
        span = any_date(f'scene_{day.strftime(form)}_x')
        assert span is not None
        assert span[0].date() == day
    found = named(f'HLS.S30.T33UUU.{day.strftime("%Y%j")}T102559.v2.0.B8A')
    assert found is not None
    assert found.start is not None
    assert found.start.date() == day


def test_tags_of_acquisition_count_and_those_of_writing_do_not() -> None:
    assert stated_time({'TIFFTAG_DATETIME': '2021:01:01 00:00:00', 'AREA_OR_POINT': 'Area'}) is None
    span = stated_time({'SENSING_TIME': '2020-06-01T10:30:31.123Z', 'DATE': '2021-01-01'})
    assert span is not None
    assert span[0] == pd.Timestamp('2020-06-01 10:30:31')


def test_the_table_has_each_pattern_once() -> None:
    patterns = [product.pattern for product in PRODUCTS]
    assert len(patterns) == len(set(patterns))
    assert all(re.compile(pattern) for pattern in patterns)
