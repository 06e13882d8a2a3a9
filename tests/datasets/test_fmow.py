import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rasters import Miniature, change, read_raster, truncate
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_geosane.datasets import FMoW
from torchgeo_geosane.datasets.fmow import CATEGORIES
from torchgeo_geosane.errors import DataError, SensorError

HEIGHT, WIDTH = 40, 56
BOX_WIDTH, BOX_HEIGHT = 24, 16
NAMES = {
    'train': [
        *('airport_0_0', 'airport_0_1', 'airport_1_0', 'airport_1_1'),
        *('multi-unit_residential_3_0', 'multi-unit_residential_3_1', 'zoo_12_0', 'zoo_12_1'),
    ],
    'val': ['airport_7_0', 'airport_7_1', 'zoo_40_0', 'zoo_40_1'],
}


@pytest.fixture
def root(miniature: Miniature) -> Path:
    return miniature('fmow')


@pytest.fixture
def copy(copied: Miniature) -> Path:
    return copied('fmow')


def file(root: Path, place: str = 'zoo_12', number: int = 0) -> Path:
    return root / 'train' / place.rpartition('_')[0] / place / f'{place}_{number}_rgb.jpg'


def test_62_categories_in_alphabetical_order() -> None:
    assert len(set(CATEGORIES)) == 62
    assert list(CATEGORIES) == sorted(CATEGORIES)


@pytest.mark.parametrize('split', NAMES)
def test_every_part(root: Path, split: str, recwarn: pytest.WarningsRecorder) -> None:
    data = FMoW(root, split)
    assert [data.name(index) for index in range(len(data))] == NAMES[split]
    for name, sample in zip(NAMES[split], data, strict=True):
        assert sample['image'].shape == (3, HEIGHT + int(name[-1]), WIDTH)
        assert sample['image'].dtype == torch.float32
        assert 0 <= sample['image'].min() <= sample['image'].max() <= 255
        assert CATEGORIES[sample['label']] == name.rsplit('_', 2)[0]
        assert sample['label'].dtype == torch.int64
    assert not recwarn.list


def test_bands_come_in_the_order_asked_for(root: Path) -> None:
    image = FMoW(root, bands=['B', 'R'])[6]['image'].numpy()
    np.testing.assert_array_equal(image, read_raster(file(root))[[2, 0]])


@pytest.mark.parametrize('number', [0, 1])
def test_context_reads_the_place_alone(root: Path, number: int) -> None:
    data = FMoW(root, context=0)
    image = data[6 + number]['image'].numpy()
    assert image.shape == (3, BOX_HEIGHT, BOX_WIDTH)
    np.testing.assert_array_equal(
        image, read_raster(file(root, number=number))[:, 10 : 10 + BOX_HEIGHT, 20 : 20 + BOX_WIDTH]
    )
    assert image[:, 2:-2, 2:-2].min() > 150


def test_context_widens_the_box_up_to_the_edge(root: Path) -> None:
    assert FMoW(root, context=0.25)[6]['image'].shape == (3, 24, 36)
    assert FMoW(root, context=5)[6]['image'].shape == (3, HEIGHT, WIDTH)


def test_plot_and_empty(root: Path) -> None:
    data = FMoW(root)
    assert data.plot(data[6]).axes[0].get_title() == 'Label: zoo'
    assert data.empty == {}


def test_not_found_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r'https://github\.com/fMoW/dataset'):
        FMoW(tmp_path, download=True)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ({'split': 'test'}, DataError, "unknown split 'test'; known: 'train', 'val'"),
        ({'bands': ['RED']}, SensorError, "unknown band 'RED'"),
        ({'context': -1}, DataError, 'context -1 is negative'),
    ],
)
def test_wrong_arguments(
    root: Path, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        FMoW(root, **options)


def test_unknown_category(copy: Path) -> None:
    (copy / 'train' / 'zoos').mkdir()
    with pytest.raises(DataError, match="zoos is no category of fMoW: did you mean 'zoo'"):
        FMoW(copy)


def test_extra_files_do_not_matter(copy: Path) -> None:
    file(copy).with_name('._zoo_12_0_rgb.jpg').touch()
    file(copy).with_name('zoo_12_0_msrgb.json').touch()
    (copy / 'train' / 'README.txt').touch()
    (copy / 'train' / '.cache').mkdir()
    assert len(FMoW(copy)) == 8


@pytest.mark.parametrize('keep', [0, 0.3, 0.8])
def test_truncated_photograph(copy: Path, keep: float) -> None:
    truncate(file(copy), keep)
    with pytest.raises(DataError, match=r'zoo_12_0_rgb\.jpg.*restore the file'):
        FMoW(copy, checksum=True)


def test_grey_photograph(copy: Path) -> None:
    change(file(copy), read_raster(file(copy))[:1])
    with pytest.raises(DataError, match=r'zoo_12_0_rgb\.jpg holds 1 bands, expected 3 \(R, G, B\)'):
        FMoW(copy)[6]


@pytest.mark.parametrize(
    'content',
    [
        '{"bounding_boxes": [',
        '{}',
        '[]',
        '{"bounding_boxes": 3}',
        '{"bounding_boxes": []}',
        '{"bounding_boxes": [{"box": [1, 2, 3, 4], "category": "false_detection"}]}',
        '{"bounding_boxes": [{"box": [1, 2, 3], "category": "zoo"}]}',
        '{"bounding_boxes": [{"box": ["a", 2, 3, 4], "category": "zoo"}]}',
    ],
)
def test_corrupt_box(copy: Path, content: str) -> None:
    file(copy).with_suffix('.json').write_text(content)
    assert FMoW(copy)[6]['image'].shape == (3, HEIGHT, WIDTH)
    with pytest.raises(DataError, match=r'zoo_12_0_rgb\.json states no box'):
        FMoW(copy, context=0)[6]


@pytest.mark.parametrize('box', [[200, 0, 9, 9], [5, 5, 0, 4]])
def test_box_without_a_pixel(copy: Path, box: list[int]) -> None:
    boxes = [{'box': box, 'category': 'zoo'}]
    file(copy).with_suffix('.json').write_text(json.dumps({'bounding_boxes': boxes}))
    with pytest.raises(DataError, match=r'lies beside .*zoo_12_0_rgb\.jpg'):
        FMoW(copy, context=0)[6]


def test_missing_box(copy: Path) -> None:
    file(copy).with_suffix('.json').unlink()
    assert len(FMoW(copy)) == 8
    with pytest.raises(DataError, match=r'1 files of .*zoo_12_0_rgb\.json'):
        FMoW(copy, context=0)
