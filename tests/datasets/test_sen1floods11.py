import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from rasters import LATLON, Miniature, change, read_raster, truncate, write_raster
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, RGBBandsMissingError

from torchgeo_geosane.datasets import IGNORE_INDEX, Sen1Floods11
from torchgeo_geosane.errors import DataError, SensorError

SIZE, CORNER = 32, 4
HAND = 'v1.1/data/flood_events/HandLabeled'
CHIPS = {'train': 4, 'val': 2, 'test': 2, 'bolivia': 2}
RGB = ('B04', 'B03', 'B02')


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('sen1floods11')


@pytest.fixture
def copy(copied: Miniature) -> Path:
    return copied('sen1floods11')


def layer(root: Path, name: str, layer: str) -> Path:
    return root / HAND / layer / f'{name}_{layer}.tif'


def csv(root: Path, part: str = 'train') -> Path:
    return root / 'v1.1/splits/flood_handlabeled' / f'flood_{part}_data.csv'


@pytest.mark.parametrize('split', CHIPS)
def test_every_part_by_hand(root: Path, split: str) -> None:
    data = Sen1Floods11(root, split)
    assert len(data) == CHIPS[split]
    for sample in data:
        assert sample['image'].shape == (15, SIZE, SIZE)
        assert sample['image'].dtype == torch.float32
        assert sample['image'].isfinite().all()
        assert sample['mask'].shape == (SIZE, SIZE)
        assert sample['mask'].dtype == torch.int64
        assert set(sample['mask'].unique().tolist()) <= {0, 1, IGNORE_INDEX}


def test_parts_share_no_chip_and_bolivia_is_unseen(root: Path) -> None:
    parts = [Sen1Floods11(root, split) for split in CHIPS]
    names = [data.name(index) for data in parts for index in range(len(data))]
    assert len(set(names)) == len(names)
    for data in (*parts[:3], *(Sen1Floods11(root, labels=weak) for weak in ('otsu', 'index'))):
        assert not any(data.name(index).startswith('Bolivia') for index in range(len(data)))


@pytest.mark.parametrize('labels', ['otsu', 'index'])
def test_weak_labels_are_for_training(root: Path, labels: str) -> None:
    data = Sen1Floods11(root, labels=labels)
    assert [data.name(index) for index in range(len(data))] == ['Ghana_1078550', 'India_103447']
    folder = root / 'v1.1/data/flood_events/WeaklyLabeled'
    kind = {'otsu': 'S1OtsuLabelWeak', 'index': 'S2IndexLabelWeak'}[labels]
    written = read_raster(folder / kind / f'Ghana_1078550_{kind}.tif')[0]
    mask = data[0]['mask'].numpy()
    labelled = mask != IGNORE_INDEX
    np.testing.assert_array_equal(mask[labelled], written[labelled])
    with pytest.raises(DataError, match=r"no split 'test': use labels by hand"):
        Sen1Floods11(root, 'test', labels=labels)


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(bands=st.lists(st.sampled_from(Sen1Floods11.all_bands), min_size=1, unique=True))
def test_bands_come_from_their_files_in_the_order_asked_for(root: Path, bands: list[str]) -> None:
    image = Sen1Floods11(root, 'val', bands)[1]['image'].numpy()
    files = [read_raster(layer(root, 'Spain_6199994', sensor)) for sensor in ('S1Hand', 'S2Hand')]
    every = np.concatenate([file.astype(np.float32) for file in files])
    np.testing.assert_array_equal(image, every[[Sen1Floods11.all_bands.index(b) for b in bands]])


def test_missing_pixels_are_filled_and_ignored(root: Path) -> None:
    data, raw = (Sen1Floods11(root, 'val', nodata=nodata) for nodata in ('fill', 'nan'))
    image, mask = data[0]['image'], data[0]['mask']
    no_radar = (slice(CORNER), slice(CORNER))
    no_optical = (slice(SIZE - CORNER, SIZE), slice(CORNER))
    no_label = (slice(CORNER), slice(SIZE - CORNER, SIZE))
    assert (image[:2, *no_radar] == -25).all()
    assert (image[2:, *no_optical] == 0).all()
    assert raw[0]['image'][:2, *no_radar].isnan().all()
    assert raw[0]['image'][2:, *no_optical].isnan().all()
    assert int(raw[0]['image'].isnan().sum()) == 15 * CORNER**2
    for corner in (no_radar, no_optical, no_label):
        assert (mask[corner] == IGNORE_INDEX).all()
    assert int((mask == IGNORE_INDEX).sum()) == 3 * CORNER**2


def test_a_band_that_is_not_asked_for_does_not_ignore_pixels(root: Path) -> None:
    mask = Sen1Floods11(root, 'val', ['VV'])[0]['mask']
    assert int((mask == IGNORE_INDEX).sum()) == 2 * CORNER**2


def test_zero_cirrus_is_a_value(root: Path) -> None:
    image = Sen1Floods11(root, 'val', ['B10', 'B11'], nodata='nan')[0]['image']
    assert (image[0, SIZE // 2 :, SIZE // 2 :] == 0).all()


def test_backscatter_is_in_decibels(root: Path) -> None:
    vv, vh = Sen1Floods11(root, 'val', ['VV', 'VH'], nodata='nan')[0]['image']
    assert -30 < vv.nanmean() < -5
    assert vh.nanmean() < vv.nanmean()
    assert {Sen1Floods11.units[band] for band in ('VV', 'VH')} == {'dB'}


def test_power_of_zero_in_decibels_is_no_data(copy: Path) -> None:
    path = layer(copy, 'Spain_6199994', 'S1Hand')
    values = read_raster(path)
    values[0, 9, 9] = -np.inf
    change(path, values)
    sample = Sen1Floods11(copy, 'val', ['VV', 'VH'])[1]
    assert sample['image'][0, 9, 9] == -25
    assert sample['mask'][9, 9] == IGNORE_INDEX


def test_empty_chips_are_named(root: Path) -> None:
    assert Sen1Floods11(root).empty == {3: 'Mekong_922373'}
    assert Sen1Floods11(root, 'val').empty == {}


def test_a_chip_without_any_label_is_empty(copy: Path) -> None:
    change(layer(copy, 'USA_181263', 'LabelHand'), np.full((1, SIZE, SIZE), -1, np.int16))
    assert set(Sen1Floods11(copy, bands=['VV']).empty.values()) == {'USA_181263', 'Mekong_922373'}


def test_batches_workers_and_transforms(root: Path) -> None:
    data = Sen1Floods11(root, bands=['VV'], transforms=lambda s: {**s, 'image': s['image'] + 1})
    assert torch.equal(data[0]['image'], Sen1Floods11(root, bands=['VV'])[0]['image'] + 1)
    data = pickle.loads(pickle.dumps(Sen1Floods11(root, bands=['VV', 'B08'])))
    assert next(iter(DataLoader(data, batch_size=3)))['image'].shape == (3, 2, SIZE, SIZE)


@pytest.mark.parametrize('bands', [Sen1Floods11.all_bands, ('VH', 'VV'), RGB])
def test_plot(root: Path, bands: tuple[str, ...]) -> None:
    data = Sen1Floods11(root, bands=bands, nodata='nan')
    for sample in data:
        figure = data.plot({**sample, 'prediction': sample['mask']}, suptitle='A flood')
        assert [axis.get_title() for axis in figure.axes] == ['Image', 'Label', 'Prediction']
        assert np.isfinite(figure.axes[0].images[0].get_array()).all()
    assert len(data.plot(sample, show_titles=False).axes) == 2


def test_plot_needs_three_channels(root: Path) -> None:
    data = Sen1Floods11(root, bands=['VV'])
    with pytest.raises(RGBBandsMissingError):
        data.plot(data[0])


@pytest.mark.parametrize('download', [False, True])
def test_not_found_says_how_to_obtain_it(tmp_path: Path, download: bool) -> None:
    with pytest.raises(DatasetNotFoundError, match=r'manually download.*gs://sen1floods11'):
        Sen1Floods11(tmp_path, download=download)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ({'split': 'valid'}, DataError, "unknown split 'valid': did you mean 'val'"),
        ({'bands': ['B8']}, SensorError, "unknown band 'B8'.*'B8A'"),
        ({'bands': []}, SensorError, 'name each band once'),
        ({'bands': ['VV', 'VV']}, SensorError, 'name each band once'),
        ({'labels': 'otus'}, DataError, "unknown labels 'otus': did you mean 'otsu'"),
    ],
)
def test_wrong_arguments(
    root: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Sen1Floods11(root, **options)


def test_missing_files_are_counted_and_the_first_is_named(copy: Path) -> None:
    for name in ('Spain_7370579', 'USA_181263'):
        layer(copy, name, 'S2Hand').unlink()
    with pytest.raises(
        DataError, match=r'2 files of .* do not exist, first .*Spain_7370579_S2Hand\.tif'
    ):
        Sen1Floods11(copy)
    assert len(Sen1Floods11(copy, bands=['VV'])) == 4


def test_missing_label(copy: Path) -> None:
    layer(copy, 'Spain_7370579', 'LabelHand').unlink()
    with pytest.raises(DataError, match=r'Spain_7370579_LabelHand\.tif'):
        Sen1Floods11(copy)


def test_extra_files_do_not_matter(copy: Path) -> None:
    for folder in (copy / HAND / 'LabelHand', copy / 'v1.1/data/flood_events/WeaklyLabeled/S1Weak'):
        (folder / '._Spain_1_S1Weak.tif').write_bytes(b'resource fork')
        (folder / 'Spain_1_S1Weak.tif.aux.xml').write_text('<PAMDataset/>')
    (copy / 'v1.1/data/flood_events/WeaklyLabeled/S1OtsuLabelWeak/._x_S1OtsuLabelWeak.tif').touch()
    assert len(Sen1Floods11(copy)) == 4
    assert len(Sen1Floods11(copy, labels='otsu')) == 2


def test_split_file_that_names_an_absent_chip(copy: Path) -> None:
    with csv(copy).open('a') as file:
        file.write('Spain_1_S1Hand.tif,Spain_1_LabelHand.tif\n')
    with pytest.raises(
        DataError, match=r'flood_train_data\.csv do not exist, first .*Spain_1_S1Hand\.tif'
    ):
        Sen1Floods11(copy)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'names no chip'),
        ('Spain_7370579_S1Hand.tif\n', 'row 1.*expected'),
        ('Spain_7370579_S1Hand.tif,Ghana_1_LabelHand.tif\n', 'row 1.*expected'),
        ('image,label\n', 'row 1.*expected'),
        (b'\xff\xfe\x00', 'cannot read'),
    ],
)
def test_damaged_split_file(copy: Path, content: str | bytes, message: str) -> None:
    csv(copy).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(
        DataError, match=rf'flood_train_data\.csv.*{message}|{message}.*flood_train'
    ):
        Sen1Floods11(copy)


def test_missing_split_file(copy: Path) -> None:
    csv(copy, 'valid').unlink()
    with pytest.raises(DataError, match=r'flood_valid_data\.csv'):
        Sen1Floods11(copy, 'val')


@pytest.mark.parametrize('which', ['S1Hand', 'S2Hand', 'LabelHand'])
def test_truncated_raster_is_named_when_read_or_checked(copy: Path, which: str) -> None:
    truncate(layer(copy, 'Spain_7370579', which))
    data = Sen1Floods11(copy)
    with pytest.raises(DataError, match=rf'Spain_7370579_{which}\.tif.*restore the file'):
        data[1]
    with pytest.raises(DataError, match=rf'Spain_7370579_{which}\.tif'):
        Sen1Floods11(copy, checksum=True)


def test_checksum_reads_sound_files(root: Path) -> None:
    assert len(Sen1Floods11(root, checksum=True)) == 4


def test_wrong_number_of_bands(copy: Path) -> None:
    path = layer(copy, 'Spain_7370579', 'S2Hand')
    change(path, read_raster(path)[:12])
    with pytest.raises(DataError, match=r'S2Hand\.tif holds 12 bands, expected 13'):
        Sen1Floods11(copy)[1]


@pytest.mark.parametrize(
    'elsewhere', [{'crs': 'EPSG:32630'}, {'transform': from_origin(10, 50, 9e-5, 9e-5)}]
)
def test_sensors_that_lie_elsewhere(copy: Path, elsewhere: dict[str, object]) -> None:
    change(layer(copy, 'Spain_7370579', 'S2Hand'), **elsewhere)
    with pytest.raises(DataError, match=r'S[12]Hand\.tif is .* but .*S[12]Hand\.tif is'):
        Sen1Floods11(copy)[1]
    assert len(Sen1Floods11(copy, bands=RGB)[1]['image']) == 3


def test_a_coarser_file_over_the_same_ground_is_resampled(copy: Path) -> None:
    path = layer(copy, 'Spain_7370579', 'S2Hand')
    before = Sen1Floods11(copy)[1]['image']
    half = read_raster(path).reshape(13, SIZE // 2, 2, SIZE // 2, 2).mean((2, 4)).astype(np.int16)
    west, north = LATLON['transform'].c, LATLON['transform'].f
    change(path, half, transform=from_origin(west, north, 18e-5, 18e-5))
    after = Sen1Floods11(copy)[1]['image']
    assert torch.equal(before[:2], after[:2])
    inside = slice(2, SIZE // 4 - 2)
    relative = (after - before)[2:11, inside, inside].abs() / before[2:11, inside, inside]
    assert relative.mean() < 0.1


def test_size_of_label_and_image_differ(copy: Path) -> None:
    path = layer(copy, 'Spain_7370579', 'LabelHand')
    change(path, read_raster(path)[:, 1:])
    with pytest.raises(DataError, match=r'LabelHand\.tif has 31 x 32 pixels.*32 x 32'):
        Sen1Floods11(copy)[1]


def test_images_without_georeference_are_read(copy: Path, recwarn: pytest.WarningsRecorder) -> None:
    expected = Sen1Floods11(copy)[1]
    plain = {'crs': None, 'transform': from_origin(0, 0, 1, -1)}
    change(layer(copy, 'Spain_7370579', 'S1Hand'), **plain)
    recwarn.clear()
    assert torch.equal(Sen1Floods11(copy)[1]['image'], expected['image'])
    assert not recwarn.list
    path = layer(copy, 'Spain_7370579', 'S2Hand')
    change(path, read_raster(path)[:, 1:], **plain)
    with pytest.raises(DataError, match='31 x 32 pixels without georeference'):
        Sen1Floods11(copy)[1]


def test_labels_outside_the_legend_are_named(copy: Path) -> None:
    path = layer(copy, 'Spain_7370579', 'LabelHand')
    values = read_raster(path)
    values[0, :2, :2] = ((2, 7), (7, 2))
    change(path, values)
    with pytest.raises(DataError, match=r'LabelHand\.tif holds the labels 2, 7, expected -1, 0, 1'):
        Sen1Floods11(copy)[1]


@pytest.mark.parametrize('nodata', [np.nan, 9])
def test_labels_without_data_are_ignored(copy: Path, nodata: float) -> None:
    path = layer(copy, 'Spain_7370579', 'LabelHand')
    values = read_raster(path).astype(np.float32)
    values[0, 20:24] = nodata
    change(path, values, nodata=nodata)
    mask = Sen1Floods11(copy)[1]['mask']
    assert (mask[20:24] == IGNORE_INDEX).all()
    assert int((mask == IGNORE_INDEX).sum()) == 4 * SIZE


def test_no_water_stays_a_class_where_the_file_calls_it_no_data(copy: Path) -> None:
    change(layer(copy, 'Spain_7370579', 'LabelHand'), nodata=0)
    mask = Sen1Floods11(copy)[1]['mask']
    assert set(mask.unique().tolist()) == {0, 1}


def test_integers_without_a_stated_no_data_value(copy: Path) -> None:
    path = layer(copy, 'Ghana_103272', 'S2Hand')
    values = read_raster(path)
    path.unlink()
    write_raster(path, values, **LATLON)
    image = Sen1Floods11(copy, 'val', RGB, nodata='nan')[0]['image']
    assert int(image.isnan().sum()) == 3 * CORNER**2
