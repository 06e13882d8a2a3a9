from collections import Counter

import pytest

from torchgeo_geosane import datasets
from torchgeo_geosane.datasets.chips import ChipDataset, drawn_part

CHIPS = [
    found
    for found in vars(datasets).values()
    if isinstance(found, type) and issubclass(found, ChipDataset)
]


def test_parts_have_their_shares() -> None:
    counted = Counter(drawn_part(f'{number:04d}') for number in range(10_000))
    assert counted['train'] == pytest.approx(7000, abs=150)
    assert counted['val'] == pytest.approx(1500, abs=120)
    assert counted['test'] == pytest.approx(1500, abs=120)


def test_parts_are_those_of_earlier_versions() -> None:
    assert list(map(drawn_part, ('0001', '0002', '0003'))) == ['train', 'test', 'val']


@pytest.mark.parametrize('data', CHIPS, ids=lambda data: data.__name__)
def test_every_band_has_a_unit_and_figures_show_bands_that_exist(data: type[ChipDataset]) -> None:
    assert tuple(data.units) == data.all_bands
    assert set(data.rgb_bands) <= set(data.all_bands)
    assert all(section in data.__doc__ for section in ('Dataset features:', 'Dataset format:'))
    assert 'Dataset classes:' in data.__doc__
