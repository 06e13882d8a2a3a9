import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rasterio.transform import from_origin
from rasters import Miniature, change, read_raster, truncate
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_geosane.datasets import IGNORE_INDEX, Landsat7LandCover
from torchgeo_geosane.errors import DataError, SensorError
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.stem import band_mixture

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'data' / 'landsat7_landcover'
SPLITS = ('train', 'val', 'test')
NAME = 'landsat7_landcover'


@pytest.mark.parametrize('split', SPLITS)
def test_image_and_label_belong_together(miniature: Miniature, split: str) -> None:
    sample = Landsat7LandCover(miniature(NAME), split, patch_size=24)[0]
    assert sample['image'].shape == (6, 24, 24)
    assert sample['image'].dtype == torch.float32
    assert sample['mask'].dtype == torch.int64
    labelled = sample['mask'] != IGNORE_INDEX
    assert labelled.any()
    for i, band in enumerate(sample['image']):
        assert torch.equal(band[labelled].long() - 10 * (i + 1), sample['mask'][labelled])


def test_bands_come_in_the_order_asked_for(miniature: Miniature) -> None:
    image = Landsat7LandCover(miniature(NAME), 'val', ['B7', 'B1'], patch_size=24)[0]['image']
    every = Landsat7LandCover(miniature(NAME), 'val', patch_size=24)[0]['image']
    assert torch.equal(image, every[[5, 0]])


def test_pixels_without_a_label_are_ignored(copied: Miniature) -> None:
    root = copied(NAME)
    path = root / 'landcover_1996.tif'
    values = read_raster(path)
    values[0, :10, :10] = 0
    change(path, values)
    mask = Landsat7LandCover(root, patch_size=24).mask
    assert (mask[:10, :10] == IGNORE_INDEX).all()
    assert (mask != IGNORE_INDEX).sum() == mask.size - 100


def test_it_plots(miniature: Miniature) -> None:
    data = Landsat7LandCover(miniature(NAME), patch_size=24)
    assert [axis.get_title() for axis in data.plot(data[0]).axes] == ['Image', 'Label']


def test_the_packaged_prompts_stem_serves_it_as_it_is() -> None:
    """Sensor ``sentinel2_6`` has its colours in its order, ``landsat_etm_toa`` its band names."""
    prompt = get_sensor('sentinel2_6').bands
    own = get_sensor('landsat_etm_toa').select(Landsat7LandCover.all_bands).bands
    mixture = band_mixture(prompt, own)
    assert mixture.argmax(1).tolist() == list(range(6))
    assert mixture.diagonal().min() > 0.9
    for here, there in zip(own, prompt, strict=True):
        assert abs(here.wavelength - there.wavelength) < 40


def test_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match='nowhere'):
        Landsat7LandCover(tmp_path / 'nowhere')


def test_unknown_band_is_named(miniature: Miniature) -> None:
    with pytest.raises(SensorError, match="'B6'"):
        Landsat7LandCover(miniature(NAME), bands=['B6'])


@pytest.mark.parametrize('name', ['lsat7_2000_B4.tif', 'landcover_1996.tif'])
def test_missing_file(copied: Miniature, name: str) -> None:
    root = copied(NAME)
    (root / name).unlink()
    with pytest.raises(DataError, match='needs exactly one file'):
        Landsat7LandCover(root, patch_size=24)


@pytest.mark.parametrize('name', ['lsat7_2000_B4.tif', 'landcover_1996.tif'])
def test_truncated_file(copied: Miniature, name: str) -> None:
    root = copied(NAME)
    truncate(root / name)
    with pytest.raises(DataError, match=name):
        Landsat7LandCover(root, patch_size=24)


def test_labels_outside_the_legend_are_named(copied: Miniature) -> None:
    path = copied(NAME) / 'landcover_1996.tif'
    values = read_raster(path)
    values[0, 3, 3] = 9
    change(path, values)
    with pytest.raises(DataError, match='holds the labels 9, expected 0, 1'):
        Landsat7LandCover(path.parent, patch_size=24)


@pytest.mark.parametrize(
    'profile', [{'crs': 'EPSG:3358'}, {'transform': from_origin(0, 0, 28.5, 28.5)}]
)
def test_labels_on_another_grid(copied: Miniature, profile: dict[str, object]) -> None:
    path = copied(NAME) / 'landcover_1996.tif'
    change(path, **profile)
    with pytest.raises(DataError, match='warp the labels onto the grid'):
        Landsat7LandCover(path.parent, patch_size=24)


def test_labels_of_another_size(copied: Miniature) -> None:
    path = copied(NAME) / 'landcover_1996.tif'
    change(path, read_raster(path)[:, :-1])
    with pytest.raises(DataError, match='47'):
        Landsat7LandCover(path.parent, patch_size=24)


def test_bands_of_another_type(copied: Miniature) -> None:
    path = copied(NAME) / 'lsat7_2000_B4.tif'
    change(path, read_raster(path).astype(np.uint16))
    with pytest.raises(DataError, match='holds uint16, expected uint8'):
        Landsat7LandCover(path.parent, patch_size=24)


def test_a_file_of_two_bands(copied: Miniature) -> None:
    path = copied(NAME) / 'lsat7_2000_B4.tif'
    change(path, np.repeat(read_raster(path), 2, axis=0))
    with pytest.raises(DataError, match=r'B4\.tif holds 2 bands, expected one'):
        Landsat7LandCover(path.parent, patch_size=24)


def test_a_band_without_georeference(copied: Miniature, recwarn: pytest.WarningsRecorder) -> None:
    path = copied(NAME) / 'lsat7_2000_B4.tif'
    change(path, crs=None, transform=None)
    recwarn.clear()
    with pytest.raises(DataError, match=r'B4\.tif has no georeference'):
        Landsat7LandCover(path.parent, patch_size=24)
    assert not recwarn.list


def test_extra_files_do_not_matter(copied: Miniature) -> None:
    root = copied(NAME)
    for extra in ('lsat7_2000_B4.tif.aux.xml', 'README.md', 'lsat7_2000_B6.tif'):
        (root / extra).touch()
    assert len(Landsat7LandCover(root, patch_size=24)) > 0


def test_labels_of_some_cells(miniature: Miniature) -> None:
    data = Landsat7LandCover(miniature(NAME), patch_size=24)
    before, cells = data.mask, data.labelled_cells()
    assert cells[:2] == [(0, 0), (0, 1)]
    assert len(cells) == 3 * -(-data.mask.shape[1] // 16)
    data.keep_labels([(1, 0)])
    kept = np.zeros_like(before, bool)
    kept[16:32, :16] = True
    np.testing.assert_array_equal(data.mask, np.where(kept, before, IGNORE_INDEX))
    assert all((data[i]['mask'] != IGNORE_INDEX).any() for i in range(len(data)))
    with pytest.raises(DataError, match='holds no label'):
        data.keep_labels([])


def test_example_scene_is_complete_and_is_what_its_readme_says() -> None:
    readme = (EXAMPLE / 'README.md').read_text()
    sums = dict(reversed(line.split()) for line in re.findall(r'^[0-9a-f]{64}  \S+$', readme, re.M))
    assert set(sums) == {path.name for path in EXAMPLE.iterdir()} - {'README.md'}
    for name, digest in sums.items():
        assert hashlib.sha256((EXAMPLE / name).read_bytes()).hexdigest() == digest
    parts = [Landsat7LandCover(EXAMPLE, split, ['B1'], patch_size=1).mask for split in SPLITS]
    for index, name in enumerate(Landsat7LandCover.classes):
        counts = ' | '.join(f'{(mask == index).sum():,}' for mask in parts)
        assert f'| {index + 1} | {index} {name} | {counts} |' in readme
