import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rasterio.transform import from_origin
from rasters import Miniature, change, read_raster, truncate
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_geosane.datasets import SEN12Flood
from torchgeo_geosane.errors import DataError, SensorError

SIZE = 24
SPLITS = ('train', 'val', 'test')
OPTICAL = SEN12Flood.all_bands[2:]
FIRST = 'S1A_IW_GRDH_1SDV_20190121T030815_20190121T030840_026328_02F196_7D7C'


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('sen12flood')


@pytest.fixture
def copy(copied: Miniature) -> Path:
    return copied('sen12flood')


def relabel(root: Path, edit: Callable[[dict[str, Any]], object], sensor: int = 1) -> None:
    path = root / 'SEN12FLOOD' / f'S{sensor}list.json'
    listed = json.loads(path.read_text())
    edit(listed)
    path.write_text(json.dumps(listed))


def of(data: SEN12Flood, sequence: str) -> list[int]:
    return [index for index, image in enumerate(data.images) if image.sequence == sequence]


@pytest.mark.parametrize('bands', [('VV', 'VH'), OPTICAL])
@pytest.mark.parametrize('split', SPLITS)
def test_every_part_of_each_sensor(root: Path, split: str, bands: tuple[str, ...]) -> None:
    data = SEN12Flood(root, split, bands)
    assert len(data) > 0
    for sample in data:
        assert sample['image'].shape == (len(bands), SIZE, SIZE)
        assert sample['image'].dtype == torch.float32
        assert sample['image'].isfinite().all()
        assert sample['label'].dtype == torch.int64
        assert sample['label'].shape == ()


def test_no_sequence_is_in_two_parts_and_sensors_agree_on_the_part(root: Path) -> None:
    parts = {
        bands: [{image.sequence for image in SEN12Flood(root, s, bands).images} for s in SPLITS]
        for bands in (('VV',), ('B02',))
    }
    radar, optical = parts.values()
    assert radar == optical
    assert sum(map(len, radar)) == len(set.union(*radar)) == 10


def test_parts_do_not_depend_on_what_else_is_there(root: Path, copy: Path) -> None:
    relabel(copy, lambda listed: [listed.pop(name) for name in ('0004', '0007')])
    for split in SPLITS:
        left = {image.sequence for image in SEN12Flood(copy, split).images}
        whole = {image.sequence for image in SEN12Flood(root, split).images}
        assert left == whole - {'0004', '0007'}


def test_labels_and_order_of_time(root: Path) -> None:
    data = [SEN12Flood(root, split) for split in SPLITS]
    labels = {
        sequence: [int(part[index]['label']) for index in of(part, sequence)]
        for part in data
        for sequence in {image.sequence for image in part.images}
    }
    assert labels.pop('0002') == labels.pop('0005') == [0, 0, 0]
    assert set(map(tuple, labels.values())) == {(0, 1, 1)}
    for part in data:
        assert part.images == sorted(part.images, key=lambda image: (image.sequence, image.date))


@pytest.mark.parametrize('bands', [('VH', 'VV'), ('VH',), ('B12', 'B02', 'B8A')])
def test_bands_come_in_the_order_asked_for(root: Path, bands: tuple[str, ...]) -> None:
    data = SEN12Flood(root, bands=bands)
    image = data.images[-1]
    corrected = '_corrected' if 'VH' in bands else ''
    files = [
        root / 'SEN12FLOOD' / image.folder / f'{image.filename}{corrected}_{band}.tif'
        for band in bands
    ]
    expected = np.concatenate([read_raster(file) for file in files]).astype(np.float32)
    np.testing.assert_array_equal(data[-1]['image'].numpy(), expected)


def test_backscatter_is_linear_power(root: Path) -> None:
    vv, vh = SEN12Flood(root)[-1]['image']
    assert 0.1 < vv.mean() < 0.2
    assert 0.015 < vh.mean() < 0.05
    assert SEN12Flood.units['VV'] == 'linear power'


def test_partly_covered_and_empty_images(root: Path) -> None:
    part = next(split for split in SPLITS if of(SEN12Flood(root, split), '0001'))
    data, raw = (SEN12Flood(root, part, nodata=nodata) for nodata in ('fill', 'nan'))
    _, half, nothing = of(data, '0001')
    assert raw[half]['image'].isnan().float().mean() == 0.5
    filled = data[half]['image'][:, :, SIZE // 2 :]
    torch.testing.assert_close(10 * filled.log10(), torch.full_like(filled, -25))
    assert data.empty == {nothing: data.name(nothing)}
    assert data.name(nothing).startswith('0001/S1A_IW_GRDH_1SDV_20190214')


def test_lists_beside_the_folder(copy: Path) -> None:
    (copy / 'SEN12FLOOD' / 'S1list.json').rename(copy / 'S1list.json')
    assert len(SEN12Flood(copy)) > 0


@pytest.mark.parametrize('bands', [('VV', 'VH'), OPTICAL])
def test_plot(root: Path, bands: tuple[str, ...]) -> None:
    data = SEN12Flood(root, bands=bands)
    sample = {**data[1], 'prediction': torch.tensor(0)}
    (axis,) = data.plot(sample, suptitle='Series').axes
    name = data.classes[int(sample['label'])]
    assert axis.get_title() == f'Label: {name}\nPrediction: no flood'
    assert data.plot(data[1], show_titles=False).axes[0].get_title() == ''


def test_not_found_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r'10\.21227/w6xz-s898'):
        SEN12Flood(tmp_path, download=True)


def test_sensors_are_not_mixed(root: Path) -> None:
    with pytest.raises(SensorError, match='make one dataset for each'):
        SEN12Flood(root, bands=['VV', 'B02'])
    with pytest.raises(SensorError, match="unknown band 'B10'"):
        SEN12Flood(root, bands=['B10'])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"0001": {', 'cannot read .*S1list.json'),
        ('[]', 'no list of sequences'),
        ('{"0001": 3}', "sequence '0001': AttributeError"),
        ('{"0001": {"1": {"date": "2019-01-21", "FLOODING": true}}}', "KeyError 'filename'"),
        ('{"0001": {"1": {"date": 2, "FLOODING": true, "filename": "x"}}}', 'to be texts'),
        (
            '{"0001": {"1": {"date": "2019-01-21", "FLOODING": "maybe", "filename": "x"}}}',
            "FLOODING is 'maybe', expected true or false",
        ),
        (b'\xff\xfe\xfd', 'cannot read'),
    ],
)
def test_corrupt_list(copy: Path, content: str | bytes, message: str) -> None:
    path = copy / 'SEN12FLOOD' / 'S1list.json'
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message):
        SEN12Flood(copy)
    assert len(SEN12Flood(copy, bands=['B02'])) > 0


def test_list_that_names_an_absent_image(copy: Path) -> None:
    for part in SPLITS:
        sequence = SEN12Flood(copy, part).images[0].sequence
        entry = {'date': '2019-03-01', 'FLOODING': True, 'filename': 'S1B_absent'}
        relabel(copy, lambda listed, s=sequence, e=entry: listed[s].update({'4': e}))
        with pytest.raises(DataError, match=r'2 files .*S1list\.json do not exist, .*S1B_absent'):
            SEN12Flood(copy, part)


def test_missing_band(copy: Path) -> None:
    data = SEN12Flood(copy, bands=OPTICAL)
    image = data.images[0]
    (copy / 'SEN12FLOOD' / image.folder / f'{image.filename}_B11.tif').unlink()
    with pytest.raises(DataError, match=r'1 files of .*_B11\.tif'):
        SEN12Flood(copy, bands=OPTICAL)
    assert len(SEN12Flood(copy, bands=['B02'])) == len(data)


def test_truncated_band(copy: Path) -> None:
    image = SEN12Flood(copy).images[-1]
    truncate(copy / 'SEN12FLOOD' / image.folder / f'{image.filename}_corrected_VH.tif')
    with pytest.raises(DataError, match=r'corrected_VH\.tif.*restore the file'):
        SEN12Flood(copy, checksum=True)


@pytest.mark.parametrize(
    'elsewhere',
    [{'crs': 'EPSG:32634'}, {'transform': from_origin(335_000, 5_822_040, 10, 10)}],
)
def test_bands_that_lie_elsewhere(copy: Path, elsewhere: dict[str, object]) -> None:
    image = SEN12Flood(copy, bands=OPTICAL).images[0]
    change(copy / 'SEN12FLOOD' / image.folder / f'{image.filename}_B11.tif', **elsewhere)
    with pytest.raises(DataError, match='bring all bands of the chip to one extent'):
        SEN12Flood(copy, bands=('B02', 'B11'))[0]


def test_a_band_of_another_size_over_other_ground(copy: Path) -> None:
    image = SEN12Flood(copy, bands=OPTICAL).images[0]
    path = copy / 'SEN12FLOOD' / image.folder / f'{image.filename}_B11.tif'
    change(path, read_raster(path)[:, :-3])
    with pytest.raises(DataError, match='21 x 24 pixels over'):
        SEN12Flood(copy, bands=('B02', 'B11'))[0]


def test_wrong_number_of_bands(copy: Path) -> None:
    image = SEN12Flood(copy).images[0]
    path = copy / 'SEN12FLOOD' / image.folder / f'{image.filename}_corrected_VV.tif'
    change(path, np.repeat(read_raster(path), 2, axis=0))
    with pytest.raises(DataError, match=r'corrected_VV\.tif holds 2 bands, expected 1'):
        SEN12Flood(copy)[0]


def test_extra_files_do_not_matter(copy: Path) -> None:
    before = len(SEN12Flood(copy))
    folder = copy / 'SEN12FLOOD'
    for extra in ('S3list.json', '0001/._S2_2019-01-24_B02.tif', '0001/cover.png'):
        (folder / extra).touch()
    (folder / '9999').mkdir()
    assert len(SEN12Flood(copy)) == before


def test_images_without_georeference(copy: Path, recwarn: pytest.WarningsRecorder) -> None:
    data = SEN12Flood(copy)
    expected, image = data[0]['image'], data.images[0]
    for band in ('VV', 'VH'):
        path = copy / 'SEN12FLOOD' / image.folder / f'{image.filename}_corrected_{band}.tif'
        change(path, crs=None, transform=None)
    recwarn.clear()
    assert torch.equal(data[0]['image'], expected)
    assert not recwarn.list
