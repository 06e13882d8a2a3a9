import hashlib
import re
import shutil
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from torchgeo.datasets import DatasetNotFoundError, RGBBandsMissingError

from torchgeo_geosane.datasets import IGNORE_INDEX, Sentinel2LandUse
from torchgeo_geosane.datasets.scene import read_scene
from torchgeo_geosane.datasets.scene_chips import split_columns
from torchgeo_geosane.datasets.scene_labels import PolygonLabels
from torchgeo_geosane.errors import DataError, SensorError

ROOT = Path(__file__).parents[1] / 'data' / 'sentinel2_landuse'
EXAMPLE = Path(__file__).parents[2] / 'examples' / 'data' / 'sentinel2_landuse'
GAP = Sentinel2LandUse.gap
SPLITS = ('train', 'val', 'test')


def dataset(root: Path = ROOT, **kwargs) -> Sentinel2LandUse:
    return Sentinel2LandUse(root, patch_size=kwargs.pop('patch_size', 32), **kwargs)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path / 'scene'))


def rewrite(root: Path, band: str, values: np.ndarray, **changes: object) -> None:
    """Replace a band by a GeoTIFF of the same grid."""
    path = next(root.glob(f'*_{band}.*'))
    with rasterio.open(path) as raster:
        profile = {**raster.profile, 'driver': 'GTiff', 'dtype': values.dtype.name, **changes}
    path.unlink()
    with rasterio.open(path.with_suffix('.tif'), 'w', **profile) as raster:
        raster.write(values, 1)


@pytest.mark.parametrize('split', SPLITS)
def test_samples_are_float_digital_numbers_and_long_labels(split: str) -> None:
    sample = dataset(split=split)[0]
    assert sample['image'].shape == (13, 32, 32)
    assert sample['image'].dtype == torch.float32
    assert sample['mask'].shape == (32, 32)
    assert sample['mask'].dtype == torch.int64
    assert set(sample['mask'].unique().tolist()) <= {*range(8), IGNORE_INDEX}


@pytest.mark.parametrize('band', Sentinel2LandUse.all_bands)
def test_every_resolution_lands_on_the_same_grid_as_the_labels(band: str) -> None:
    data = dataset(bands=[band])
    classes = data.image[0].astype(int) - 1000 * (1 + data.all_bands.index(band))
    labelled = data.mask != IGNORE_INDEX
    away_from_edges = np.zeros_like(labelled)
    for row in range(0, labelled.shape[0], 24):
        for column in range(0, labelled.shape[1] - 12, 12):
            away_from_edges[row + 4 : row + 8, column + 4 : column + 8] = True
    inside = labelled & away_from_edges
    assert inside.sum() > 100
    np.testing.assert_array_equal(classes[inside], data.mask[inside])


@settings(deadline=None, max_examples=25)
@given(bands=st.lists(st.sampled_from(Sentinel2LandUse.all_bands), min_size=1, unique=True))
def test_any_subset_of_bands_comes_in_the_order_asked_for(bands: list[str]) -> None:
    image = dataset(split='val', bands=bands)[0]['image']
    every = dataset(split='val')[0]['image']
    torch.testing.assert_close(image, every[[dataset().all_bands.index(band) for band in bands]])


def test_unlabelled_pixels_are_ignored() -> None:
    mask = dataset(split='test').mask
    assert (mask[12:24] == IGNORE_INDEX).all()
    assert (mask[:12] != IGNORE_INDEX).all()


def test_smaller_polygons_lie_on_top(copy: Path) -> None:
    path = copy / 'landuse.gpkg'
    frame = gpd.read_file(path)
    cover = frame.iloc[:1].assign(fclass='water', geometry=[frame.union_all().envelope])
    gpd.pd.concat([frame, cover]).to_file(path, layer='landuse', driver='GPKG')
    mask = dataset(copy, split='test').mask
    original = dataset(split='test').mask
    labelled = original != IGNORE_INDEX
    np.testing.assert_array_equal(mask[labelled], original[labelled])
    assert (mask[:72][~labelled[:72]] == dataset().classes.index('water')).all()


@given(width=st.integers(80, 20_000))
def test_parts_are_disjoint_ordered_and_apart(width: int) -> None:
    parts = sorted(
        (split_columns(width, split, GAP) for split in SPLITS), key=lambda part: part.start
    )
    assert parts[0].start == 0
    assert parts[-1].stop == width
    for left, right in pairwise(parts):
        assert left.start < left.stop
        assert right.start - left.stop == GAP


def test_no_native_pixel_of_the_coarsest_band_reaches_two_parts(copy: Path) -> None:
    columns = 192 // 6
    plain = np.zeros((16, columns), np.uint16)
    rewrite(copy, 'B10', plain)
    reached = []
    for column in range(columns):
        spike = plain.copy()
        spike[:, column] = 60_000
        rewrite(copy, 'B10', spike)
        read_scene.cache_clear()
        parts = [dataset(copy, split=split, bands=['B02', 'B10']).image[1] for split in SPLITS]
        reached.append(sum(bool(part.any()) for part in parts))
    assert max(reached) == 1
    assert sum(reached) >= columns - 4


@pytest.mark.parametrize('split', ['val', 'test'])
@pytest.mark.parametrize('patch_size', [16, 20, 32, 200])
def test_grid_covers_a_part_exactly_once(split: str, patch_size: int) -> None:
    data = dataset(split=split, patch_size=patch_size)
    labels = PolygonLabels(data.classes, data.attribute)
    part = read_scene(ROOT, data.bands, data.resolution, data.dtype, labels).mask[
        :, split_columns(192, split, GAP)
    ]
    rows, columns = data.grid_shape
    assert len(data) == rows * columns
    chips = [data[i]['mask'].numpy() for i in range(len(data))]
    grid = np.block([chips[r * columns : (r + 1) * columns] for r in range(rows)])
    np.testing.assert_array_equal(grid[: part.shape[0], : part.shape[1]], part)
    assert (grid != IGNORE_INDEX).sum() == (part != IGNORE_INDEX).sum()


def test_training_serves_every_window_with_a_label_and_no_other() -> None:
    data = dataset(patch_size=8)
    height, width = data.mask.shape
    windows = [data.mask[r : r + 8, c : c + 8] for r in range(height - 7) for c in range(width - 7)]
    labelled = [window for window in windows if (window != IGNORE_INDEX).any()]
    assert 0 < len(labelled) < len(windows)
    assert len(data) == len(labelled)
    for i in (0, len(data) // 2, len(data) - 1):
        np.testing.assert_array_equal(data[i]['mask'].numpy(), labelled[i])


def test_statistics_are_those_of_the_part() -> None:
    data = dataset(bands=['B08', 'B01'])
    mean, std = data.statistics()
    np.testing.assert_allclose(mean, data.image.reshape(2, -1).mean(1), rtol=1e-6)
    np.testing.assert_allclose(std, data.image.reshape(2, -1).std(1), rtol=1e-6)


def test_transforms_are_applied() -> None:
    data = dataset(transforms=lambda sample: {**sample, 'mask': sample['mask'] * 0})
    assert (data[0]['mask'] == 0).all()


def test_plot_shows_prediction_where_there_is_one() -> None:
    data = dataset(split='test')
    sample = data[0]
    assert len(data.plot(sample).axes) == 2
    figure = data.plot({**sample, 'prediction': sample['mask']}, suptitle='Test')
    assert isinstance(figure, Figure)
    assert [axis.get_title() for axis in figure.axes] == ['Image', 'Label', 'Prediction']
    with pytest.raises(RGBBandsMissingError):
        dataset(bands=['B08']).plot(sample)


def test_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match='nowhere'):
        dataset(tmp_path / 'nowhere')


def test_unknown_band_names_the_nearest() -> None:
    with pytest.raises(SensorError, match=r"'B8'.*'B8A'"):
        dataset(bands=['B8'])


@pytest.mark.parametrize('bands', [[], ['B02', 'B02']])
def test_bands_must_be_named_once(bands: list[str]) -> None:
    with pytest.raises(SensorError, match='name each band once'):
        dataset(bands=bands)


def test_unknown_split() -> None:
    with pytest.raises(DataError, match="unknown split 'tset': did you mean 'test'"):
        dataset(split='tset')


def test_patch_larger_than_the_training_part() -> None:
    with pytest.raises(DataError, match='patch_size 128 exceeds'):
        dataset(patch_size=128)


def test_scene_too_narrow_to_split() -> None:
    with pytest.raises(DataError, match='too narrow'):
        split_columns(60, 'train', GAP)


def test_missing_band_file(copy: Path) -> None:
    next(copy.glob('*_B05.*')).unlink()
    with pytest.raises(DataError, match=r'band B05 needs exactly one file .* found none'):
        dataset(copy)


def test_two_files_for_one_band(copy: Path) -> None:
    shutil.copy(next(copy.glob('*_B05.*')), copy / 'T33UUU_20180101T102101_B05.jp2')
    with pytest.raises(DataError, match=r'found T33UUU_2017.*T33UUU_2018'):
        dataset(copy)


def test_missing_labels(copy: Path) -> None:
    (copy / 'landuse.gpkg').unlink()
    with pytest.raises(DataError, match='the label layer needs exactly one file'):
        dataset(copy)


@pytest.mark.parametrize('keep', [0, 60, 0.6])
def test_damaged_band(copy: Path, keep: float) -> None:
    path = next(copy.glob('*_B02.*'))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(DataError, match='B02'):
        dataset(copy)


def test_damaged_labels(copy: Path) -> None:
    (copy / 'landuse.gpkg').write_bytes(b'not a database')
    with pytest.raises(DataError, match=r'cannot read .*landuse\.gpkg'):
        dataset(copy)


def test_bands_of_different_extent(copy: Path) -> None:
    shifted = rasterio.transform.from_origin(0, 0, 60, 60)
    rewrite(copy, 'B01', np.zeros((16, 32), np.uint16), transform=shifted)
    with pytest.raises(DataError, match='cut all bands to the same extent'):
        dataset(copy)


def test_a_band_without_georeference(copy: Path) -> None:
    rewrite(copy, 'B01', np.zeros((16, 32), np.uint16), crs=None)
    with pytest.raises(DataError, match=r'B01\.tif has no georeference'):
        dataset(copy)


def test_bands_that_are_not_digital_numbers(copy: Path) -> None:
    rewrite(copy, 'B01', np.zeros((16, 32), np.float32))
    with pytest.raises(DataError, match='holds float32, expected uint16'):
        dataset(copy)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'fclass': 'fam'}, "unknown class 'fam': did you mean 'farm'"),
        ({'class': 'farm'}, "no column 'fclass'"),
    ],
)
def test_labels_with_other_names(copy: Path, change: dict[str, str], message: str) -> None:
    path = copy / 'landuse.gpkg'
    frame = gpd.read_file(path).drop(columns='fclass').assign(**change)
    path.unlink()
    frame.to_file(path, layer='landuse', driver='GPKG')
    with pytest.raises(DataError, match=message):
        dataset(copy)


def test_labels_elsewhere(copy: Path) -> None:
    path = copy / 'landuse.gpkg'
    frame = gpd.read_file(path)
    frame.geometry = frame.translate(1e6)
    frame.to_file(path, layer='landuse', driver='GPKG')
    with pytest.raises(DataError, match='holds no label'):
        dataset(copy)


def test_example_scene_is_complete_and_is_what_its_readme_says() -> None:
    sums = dict(
        reversed(line.split())
        for line in re.findall(r'^[0-9a-f]{64}  \S+$', (EXAMPLE / 'README.md').read_text(), re.M)
    )
    files = {path.name for path in EXAMPLE.iterdir()} - {'README.md'}
    assert set(sums) == files
    for name, digest in sums.items():
        assert hashlib.sha256((EXAMPLE / name).read_bytes()).hexdigest() == digest
    for split in SPLITS:
        counts = np.bincount(
            Sentinel2LandUse(EXAMPLE, split, bands=['B02']).mask.ravel(), None, 256
        )
        assert (counts[:8] > 100).all()
