"""Colours of classes: usual ones, and none that looks like another."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from torchgeo_geosane.datasets.plotting import class_colours

LAND = ['farm', 'forest', 'grass', 'meadow', 'residential', 'scrub', 'water', 'wetland']


@pytest.mark.parametrize(
    'names',
    [
        LAND,
        LAND[::-1],
        ['a', 'water', 'b', 'river', 'c'],
        [f'c{at}' for at in range(12)],
        ['water'],
    ],
    ids=lambda names: names[0],
)
def test_no_two_classes_look_alike(names: list[str]) -> None:
    colours = [np.array(to_rgb(colour)) for colour in class_colours(names)]
    assert len(colours) == len(names)
    for one, other in itertools.combinations(colours, 2):
        assert np.linalg.norm(one - other) > 0.15


def test_water_is_blue_and_forests_are_green() -> None:
    water, forest = map(to_rgb, class_colours(['Open water', 'Forests']))
    assert np.argmax(water) == 2
    assert np.argmax(forest) == 1


def test_more_classes_than_colours_repeat() -> None:
    assert len(class_colours([f'c{at}' for at in range(45)])) == 45
