"""Names of products, as they are delivered: one table of when, which band, and what values mean.

A row of :data:`PRODUCTS` is a kind of name. Its pattern is searched in a name (without its ending)
and says by its groups what the name says:

====================  ==========================================================================
group                 meaning
====================  ==========================================================================
``start``, ``end``    when the image was taken, in the row's format of times; never the processing
``band``              the band of a file of one band, as :mod:`~torchgeo_geosane.sensors.spelling`
                      reads it
``polarisations``     those of all files of the product: ``SV``, ``DV``, ``SH``, ``DH``
``baseline``          processing baseline of Sentinel-2
``number``            what differs between files of one image beside the band
====================  ==========================================================================
"""

from collections.abc import Mapping
from typing import Any

from torchgeo_geosane.datasets.product import Product, Radar

SENTINEL1, SENTINEL2 = ('sentinel1',), ('sentinel2',)
TM, ETM, OLI = ('landsat_tm',), ('landsat_etm',), ('landsat_oli',)
_LANDSAT = {'LT': TM, 'LE': ETM, 'LC': OLI, 'LO': OLI}


_SECOND = '%Y%m%dT%H%M%S'
_PLANET = {
    4: ('blue', 'green', 'red', 'nir'),
    5: ('blue', 'green', 'red', 'rededge', 'nir'),
    8: ('coastal', 'blue', 'green i', 'green', 'yellow', 'red', 'rededge', 'nir'),
}
_NAIP = {3: ('red', 'green', 'blue'), 4: ('red', 'green', 'blue', 'nir')}


_HYP3: Mapping[str, Radar] = {'p': 'linear', 'a': 'amplitude', 'd': 'dB'}


def _landsat(title: str, pattern: str, example: str, **more: Any) -> list[Product]:
    """A kind of name for each of Landsat's instruments; ``LC`` in it stands for all."""
    return [
        Product(
            f'{title}, {letters}',
            r'(?<![A-Za-z0-9])' + pattern.replace('LC', letters),
            example.replace('LC', letters),
            sensors,
            **more,
        )
        for letters, sensors in _LANDSAT.items()
    ]


PRODUCTS: tuple[Product, ...] = (
    Product(
        'Sentinel-2 product',
        r'S2[A-D]_MSIL(?:1C|2A)_(?P<start>\d{8}T\d{6})_N(?P<baseline>\d{4})_R\d{3}_T\d\d[A-Z]{3}_\d{8}T\d{6}',
        'S2A_MSIL2A_20200601T103031_N0500_R108_T32UMA_20230512T004512',
        SENTINEL2,
        (_SECOND,),
    ),
    Product(
        'Sentinel-2 product before 2017',
        r'S2[AB]_OPER_PRD_MSIL(?:1C|2A)_PDMC_\d{8}T\d{6}_R\d{3}_V(?P<start>\d{8}T\d{6})_(?P<end>\d{8}T\d{6})',
        'S2A_OPER_PRD_MSIL1C_PDMC_20160807T022853_R008_V20160806T102032_20160806T102032',
        SENTINEL2,
        (_SECOND,),
        scale=1e-4,
    ),
    # Its date is that of processing: it says nothing about when the image was taken.
    Product(
        'Sentinel-2 granule before 2017',
        r'S2[AB]_OPER_MSI_L1C_TL_[A-Z0-9_]{4}_(?:\d{8}T\d{6})_A\d{6}_T\d\d[A-Z]{3}(?:_(?P<band>[A-Z0-9]+))?$',
        'S2A_OPER_MSI_L1C_TL_SGS__20160806T154026_A005862_T32UMA_B04',
        SENTINEL2,
        scale=1e-4,
    ),
    Product(
        'Sentinel-2 granule folder',
        r'^L(?:1C|2A)_T\d\d[A-Z]{3}_A\d{6}_(?P<start>\d{8}T\d{6})$',
        'L2A_T33UUU_A008634_20170216T102204',
        SENTINEL2,
        (_SECOND,),
    ),
    Product(
        'Sentinel-2 image file',
        r'^(?:L2A_)?T\d\d[A-Z]{3}_(?P<start>\d{8}T\d{6})(?:_(?P<band>[A-Z0-9]+?))?(?:_(?:10|20|60)m)?$',
        'T33UUU_20170216T102101_B04_10m',
        SENTINEL2,
        (_SECOND,),
    ),
    Product(
        'Sentinel-2 COG of Earth Search',
        r'S2[A-D]_(?:T?\d\d[A-Z]{3}_(?P<start>\d{8}(?:T\d{6})?)(?:_\d)?_L(?:1C|2A))(?:_(?P<band>[A-Za-z0-9]+))?$',
        'S2B_33UUU_20200601_0_L2A',
        SENTINEL2,
        ('%Y%m%d', _SECOND),
    ),
    Product(
        'Sentinel-2 of Theia',
        r'SENTINEL2[A-D]_(?P<start>\d{8}-\d{6})-\d{3}_L2A_T\d\d[A-Z]{3}_[A-Z]_V\d+-\d+(?:_(?:FRE|SRE))?(?:_(?P<band>[A-Z0-9_]+))?$',
        'SENTINEL2A_20200601-103629-146_L2A_T32UMA_C_V2-2_FRE_B4',
        SENTINEL2,
        ('%Y%m%d-%H%M%S',),
        scale=1e-4,
    ),
    Product(
        'Sentinel-2 of Earth Engine',
        r'(?P<start>\d{8}T\d{6})_\d{8}T\d{6}_T\d\d[A-Z]{3}(?:[_.](?P<band>[A-Z0-9]+))?$',
        '20200601T103031_20200601T103030_T32UMA',
        SENTINEL2,
        (_SECOND,),
    ),
    Product(
        'Copernicus Browser, optical',
        r'^(?P<start>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_(?P<end>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_Sentinel-2_(?:L1C|L2A)'
        r'_(?P<band>.+?)(?:_\(Raw\))?$',
        '2023-06-01-00:00_2023-06-01-23:59_Sentinel-2_L2A_B04_(Raw)',
        SENTINEL2,
        ('%Y-%m-%d-%H:%M', '%Y-%m-%d-%H_%M'),
    ),
    Product(
        'Copernicus Browser, radar in dB',
        r'^(?P<start>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_(?P<end>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_Sentinel-1_.*?'
        r'(?P<band>[VH]{2}_-_[Dd]ecibel).*$',
        '2023-06-01-00:00_2023-06-01-23:59_Sentinel-1_IW_VV+VH_VV_-_Decibel_Gamma0',
        SENTINEL1,
        ('%Y-%m-%d-%H:%M', '%Y-%m-%d-%H_%M'),
        radar='dB',
    ),
    Product(
        'Copernicus Browser, radar',
        r'^(?P<start>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_(?P<end>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_Sentinel-1_.*?'
        r'_(?P<band>[VH]{2})_(?:-_linear.*|\(Raw\))$',
        '2023-06-01-00:00_2023-06-01-23:59_Sentinel-1_AWS-IW-VVVH_VV_(Raw)',
        SENTINEL1,
        ('%Y-%m-%d-%H:%M', '%Y-%m-%d-%H_%M'),
        radar='linear',
    ),
    Product(
        'Copernicus Browser',
        r'^(?P<start>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_(?P<end>\d{4}-\d\d-\d\d-\d\d[:_]\d\d)_',
        '2023-06-01-00:00_2023-06-01-23:59_Landsat_8-9_L2_True_color',
        times=('%Y-%m-%d-%H:%M', '%Y-%m-%d-%H_%M'),
    ),
    Product(
        'Sentinel-1 SLC product',
        r'S1[A-D]_(?:S\d|IW|EW|WV)_SLC__1[SA](?P<polarisations>[SD][VH])_(?P<start>\d{8}T\d{6})_(?P<end>\d{8}T\d{6})_'
        r'\d{6}_[0-9A-F]{6}_[0-9A-F]{4}(?:_(?P<band>[A-Za-z].*))?',
        'S1A_IW_SLC__1SDV_20200601T052345_20200601T052412_032820_03CD2E_1A2B',
        SENTINEL1,
        (_SECOND,),
    ),
    Product(
        'Sentinel-1 product',
        r'S1[A-D]_(?:S\d|IW|EW|WV)_(?:GRD.|OCN_)_1[SA](?P<polarisations>[SD][VH])_(?P<start>\d{8}T\d{6})_'
        r'(?P<end>\d{8}T\d{6})_\d{6}_[0-9A-F]{6}_[0-9A-F]{4}(?:_(?P<band>[A-Za-z].*))?',
        'S1A_IW_GRDH_1SDV_20200601T052345_20200601T052410_032820_03CD2E_1A2B',
        SENTINEL1,
        (_SECOND,),
    ),
    Product(
        'Sentinel-1 measurement, single-look complex',
        r'^s1[a-d]-(?:s\d|iw\d?|ew\d?|wv\d?)-slc-(?P<band>vv|vh|hh|hv)-(?P<start>\d{8}t\d{6})-(?P<end>\d{8}t\d{6})-'
        r'\d{6}-[0-9a-f]{6}(?P<number>-\d{3})',
        's1a-iw1-slc-vh-20200601t052345-20200601t052410-032820-03cd2e-001',
        SENTINEL1,
        ('%Y%m%dt%H%M%S',),
        radar='complex',
        dtype='complex',
    ),
    Product(
        'Sentinel-1 measurement, detected',
        r'^s1[a-d]-(?:s\d|iw|ew|wv)-grd-(?P<band>vv|vh|hh|hv)-(?P<start>\d{8}t\d{6})-(?P<end>\d{8}t\d{6})-'
        r'\d{6}-[0-9a-f]{6}(?P<number>-\d{3})',
        's1a-iw-grd-vv-20200601t052345-20200601t052410-032820-03cd2e-001',
        SENTINEL1,
        ('%Y%m%dt%H%M%S',),
        radar='amplitude',
        dtype='uint',
    ),
    *(
        Product(
            f'Sentinel-1 RTC of HyP3, {radar}',
            r'S1[A-D]_(?:IW|EW|S\d)_(?P<start>\d{8}T\d{6})_[SD][VH].?_RTC\d\d_[A-Z]_[gs]'
            rf'{letter}[a-z]{{4}}_[0-9A-F]{{4}}(?:_(?P<band>[A-Za-z]+))?$',
            f'S1A_IW_20200601T052345_DVP_RTC30_G_g{letter}uned_1A2B_VV',
            SENTINEL1,
            (_SECOND,),
            radar=radar,
        )
        for letter, radar in _HYP3.items()
    ),
    Product(
        'Sentinel-1 RTC of OPERA',
        r'OPERA_L2_RTC-S1_T\d{3}-\d{6}-IW\d_(?P<start>\d{8}T\d{6})Z_\d{8}T\d{6}Z_S1[A-D]_\d\d_v\d\.\d_?(?P<band>\w+)?$',
        'OPERA_L2_RTC-S1_T069-147178-IW1_20231006T183321Z_20231007T032318Z_S1A_30_v1.0_VV',
        SENTINEL1,
        (_SECOND,),
        radar='linear',
    ),
    *_landsat(
        'Landsat collection 2, level 2',
        r'LC\d\d_L2[A-Z]{2}_\d{6}_(?P<start>\d{8})_\d{8}_02_(?:T1|T2|RT)(?:_(?P<band>[A-Z].*))?$',
        'LC08_L2SP_194026_20200601_20200824_02_T1_SR_B4',
        scale=2.75e-5,
        offset=-0.2,
    ),
    *_landsat(
        'Landsat collection 1 or 2, level 1',
        r'LC\d\d_L1[A-Z]{2}_\d{6}_(?P<start>\d{8})_\d{8}_0[12]_(?:T1|T2|RT)(?:_(?P<band>[A-Z].*))?$',
        'LC08_L1TP_194026_20200601_20200824_01_T1_B4',
    ),
    *_landsat(
        'Landsat analysis-ready tile',
        r'LC\d\d_(?:CU|AK|HI)_\d{6}_(?P<start>\d{8})_\d{8}_\w\d\d?(?:_V\d\d)?(?:_(?P<band>[A-Z].*))?$',
        'LC08_CU_003010_20200601_20210504_C02_V01_SR_B4',
    ),
    *_landsat(
        'Landsat before the collections',
        r'LC\d{7}(?P<start>\d{7})[A-Z]{3}\d\d(?:_(?P<band>[A-Z].*))?$',
        'LC81940262020153LGN00_B4',
        times=('%Y%j',),
    ),
    *_landsat(
        'Landsat of Earth Engine',
        r'LC\d\d_\d{6}_(?P<start>\d{8})(?:[_.](?P<band>[A-Z].*))?$',
        'LC08_194026_20200601',
    ),
    Product(
        'HLS of Landsat',
        r'HLS\.L30\.T\d\d[A-Z]{3}\.(?P<start>\d{7}T\d{6})\.v\d\.\d(?:\.(?P<band>\w+))?$',
        'HLS.L30.T33UUU.2020153T102559.v2.0.B04',
        OLI,
        ('%Y%jT%H%M%S',),
        scale=1e-4,
    ),
    Product(
        'HLS of Sentinel-2',
        r'HLS\.S30\.T\d\d[A-Z]{3}\.(?P<start>\d{7}T\d{6})\.v\d\.\d(?:\.(?P<band>\w+))?$',
        'HLS.S30.T33UUU.2020153T102559.v2.0.B8A',
        SENTINEL2,
        ('%Y%jT%H%M%S',),
        scale=1e-4,
    ),
    Product(
        'MODIS and VIIRS',
        r'(?:M[OYC]D|V[NJ]P)\w+\.A(?P<start>\d{7})(?:\.\d{4})?\.(?:h\d\dv\d\d\.)?\d{3}\.\d{13}',
        'MOD09GA.A2020153.h18v04.006.2020155034021',
        ('modis', 'viirs'),
        ('%Y%j',),
    ),
    Product(
        'PlanetScope, visual',
        r'(?P<start>\d{8}_\d{6})(?:_\d\d)?(?:_[0-9a-f]{4})?_(?:3B|3A|1B|ortho|basic)_visual',
        '20200601_103031_1003_3B_Visual',
        times=('%Y%m%d_%H%M%S',),
        orders={3: ('red', 'green', 'blue')},
    ),
    *(
        Product(
            f'PlanetScope, {title}',
            r'(?P<start>\d{8}_\d{6})(?:_\d\d)?(?:_[0-9a-f]{4})?_(?:3B|3A|1B|ortho|basic)_'
            rf'(?:analytic\w*)?{ending}',
            example,
            times=('%Y%m%d_%H%M%S',),
            orders=_PLANET,
            scale=scale,
        )
        for title, ending, example, scale in (
            ('mask', r'(?P<band>(?:DN_)?udm2?)', '20200601_103031_1003_3B_udm2', None),
            ('surface reflectance', '_sr', '20200601_103031_12_2403_3B_AnalyticMS_SR_8b', 1e-4),
            ('radiance', '', '20200601_103031_1003_3B_AnalyticMS', None),
        )
    ),
    Product(
        'SkySat',
        r'(?P<start>\d{8}_\d{6})_ssc?\d+_u\d{4}(?:_(?P<band>udm2?|panchromatic))?',
        '20200601_103031_ssc1_u0001_analytic',
        times=('%Y%m%d_%H%M%S',),
        orders={4: _PLANET[4]},
    ),
    Product(
        'RapidEye',
        r'\d{7}_(?P<start>\d{4}-\d\d-\d\d)_RE\d_(?:3A|1B)_(?P<band>udm)?',
        '3357121_2017-02-16_RE4_3A_Analytic',
        times=('%Y-%m-%d',),
        orders={5: _PLANET[5]},
    ),
    Product(
        'Planet basemap',
        r'(?:global|nicfi|planet)_\w*?(?P<start>\d{4}[_-]\d\d)_mosaic',
        'global_monthly_2020_06_mosaic_L15-1234E-1200N',
        times=('%Y_%m', '%Y-%m'),
    ),
    Product(
        'NAIP',
        r'^m_\d{7}_[ns][ew]_\d\d?_(?:h|\d{1,3})_(?P<start>\d{8})(?:_\d{8})?$',
        'm_3807511_ne_18_060_20181104_20190211',
        orders=_NAIP,
    ),
    Product(
        'Maxar',
        r'^(?P<start>\d\d[A-Z]{3}\d{8})-[A-Z]\w{3}-\d+',
        '20JUN01103031-M2AS-012345678010_01_P001',
        times=('%y%b%d%H%M%S',),
    ),
    Product(
        'Pleiades and SPOT',
        r'(?:PHR1[AB]|PNEO\d|SPOT[67])_(?:MS|PMS|P|MS-FS|PMS-FS)(?:-[NXR])?_(?P<start>\d{14})\d',
        'IMG_PHR1A_PMS_202006011030318_ORT_5123456101-001_R1C1',
        times=('%Y%m%d%H%M%S',),
    ),
    Product(
        'ASTER',
        r'AST_L1[AT]_\d{3}(?P<start>\d{14})_\d{14}',
        'AST_L1T_00306012020103031_20200602103031_12345',
        ('aster',),
        ('%m%d%Y%H%M%S',),
    ),
    Product(
        'ESA WorldCover',
        r'ESA_WorldCover_10m_(?P<start>\d{4})_v\d{3}',
        'ESA_WorldCover_10m_2021_v200_N48E009_Map',
        times=('%Y',),
    ),
    Product(
        'NLCD',
        r'nlcd_(?:[a-z]+_)?(?P<start>\d{4})_',
        'nlcd_2019_land_cover_l48_20210604',
        times=('%Y',),
    ),
    Product(
        'Cropland Data Layer',
        r'^(?P<start>\d{4})_(?:10|30)m_cdls',
        '2020_30m_cdls',
        times=('%Y',),
    ),
    Product(
        'CORINE',
        r'^U\d{4}_CLC(?P<start>\d{4})_V\d{4}',
        'U2018_CLC2018_V2020_20u1',
        times=('%Y',),
    ),
    Product(
        'Esri land cover',
        r'^\d\d[A-Z]_(?P<start>\d{8})-(?P<end>\d{8})$',
        '33U_20200101-20210101',
    ),
)
"""Kinds of names; the first whose pattern is found in a name is its kind."""
