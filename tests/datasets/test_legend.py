"""What values of labels mean: exact in every type, and never silently something else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.datasets.legend import IGNORE_INDEX, Legend
from torchgeo_geosane.errors import DataError

TYPES = [
    'uint8',
    'int8',
    'uint16',
    'int16',
    'uint32',
    'int32',
    'uint64',
    'int64',
    'float32',
    'float64',
]


@st.composite
def values_of_a_type(draw: st.DrawFn) -> np.ndarray:
    """Different values of one type, some at its limits."""
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    if dtype.kind == 'f':
        exact = 2 ** (np.finfo(dtype).nmant + 1)
        numbers = st.integers(-exact, exact)
    else:
        numbers = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return np.array(draw(st.lists(numbers, min_size=2, max_size=40, unique=True)), dtype)


@given(values=values_of_a_type())
def test_every_value_of_a_type_is_told_from_its_neighbours(values: np.ndarray) -> None:
    *known, last = values.tolist()
    legend = Legend.of({f'c{at}': int(value) for at, value in enumerate(known)}, [int(last)])
    found = legend.of_pixels(values, None, 'a.tif')
    assert found.tolist() == [*range(len(known)), IGNORE_INDEX]
    with pytest.raises(DataError, match=r'a\.tif holds the labels'):
        legend.of_pixels(np.setdiff1d(values + values.dtype.type(1), values), None, 'a.tif')


@pytest.mark.parametrize('count', [2, 255, 256, 300, 70_000])
def test_many_classes(count: int) -> None:
    legend = Legend.of([f'c{at}' for at in range(count)], [2**40])
    found = legend.of_pixels(np.array([*range(count), 2**40]), None, 'a.tif')
    assert found[:-1].tolist() == list(range(count))
    assert found[-1] == legend.ignore_index == (255 if count <= 255 else -1)


def test_values_beyond_two_to_the_24() -> None:
    legend = Legend.of({'a': 2**24, 'b': 2**24 + 1, 'c': 2**53 + 1}, [])
    values = np.array([2**24, 2**24 + 1, 2**53 + 1])
    assert legend.of_pixels(values, None, '').tolist() == [0, 1, 2]
    assert legend.of_pixels(values[:2].astype(np.uint32), None, '').tolist() == [0, 1]
    assert legend.of_pixels(values[:2].astype(np.float64), None, '').tolist() == [0, 1]
    # 2^24 + 1 cannot be in float32, so what is there is 2^24.
    assert legend.of_pixels(np.array([2**24], np.float32), None, '').tolist() == [0]


@pytest.mark.parametrize(
    ('nodata', 'expected'), [(0, [0, 1, 255]), (255, [0, 1, 255]), (None, None), (-9999, None)]
)
def test_a_value_for_no_data_is_no_label_unless_it_is_a_class(
    nodata: float | None, expected: list[int] | None
) -> None:
    legend = Legend.of({'other': 0, 'water': 1}, [] if nodata == 255 else [9])
    values = np.array([0, 1, 255 if nodata == 255 else 9], np.uint8)
    if expected is None:
        # -9999 is 241 in eight bits, if one does not look.
        values = np.array([241], np.uint8)
        with pytest.raises(DataError, match='holds the labels 241, expected 0, 1, 9'):
            legend.of_pixels(values, nodata, 'a.tif')
    else:
        assert legend.of_pixels(values, nodata, 'a.tif').tolist() == expected


def test_whole_numbers_as_floats_and_nan() -> None:
    legend = Legend.of({'a': 1, 'b': 2}, [])
    values = np.array([1, 2, np.nan, -3.4e38], np.float32)
    nodata = -3.4028234663852886e38
    assert legend.of_pixels(values[:3], nodata, '').tolist() == [0, 1, 255]
    with pytest.raises(DataError, match=r'1\.5'):
        legend.of_pixels(np.array([1.5]), None, '')
    assert legend.of_pixels(np.array([nodata], np.float32), nodata, '').tolist() == [255]


@pytest.mark.parametrize(
    ('column', 'classes', 'expected'),
    [
        (['a', 'b', None], ['a', 'b'], [0, 1, 255]),
        ([1, 2], {'a': 1, 'b': 2}, [0, 1]),
        ([1.0, 2.0, None], {'a': 1, 'b': 2}, [0, 1, 255]),
        ([1, 2], {'a': '1', 'b': '2'}, [0, 1]),
        (['1', '2'], {'a': 1, 'b': 2}, [0, 1]),
        ([5, 7], ['5', '7'], [0, 1]),
        ([0.5, 1.0], {'a': 0.5, 'b': 1}, [0, 1]),
        ([2**53 + 1, 2**53], {'a': 2**53, 'b': 2**53 + 1}, [1, 0]),
        ([True, False], {'no': False, 'yes': True}, [1, 0]),
        ([True, False], {'no': 0, 'yes': 1}, [1, 0]),
        ([True, None, False], ['False', 'True'], [1, 255, 0]),
        (pd.array([True, None], 'boolean'), {'yes': True}, [0, 255]),
        (pd.array([1, None], 'Int64'), {'a': 1}, [0, 255]),
        (pd.Categorical(['b', 'a']), ['a', 'b'], [1, 0]),
        (['True', 'x'], {'t': 'True', 'x': 'x'}, [0, 1]),
        ([None, None], ['a'], [255, 255]),
        ([np.nan, np.nan], {'a': 1}, [255, 255]),
    ],
)
def test_columns(column: list[object], classes: dict[str, object], expected: list[int]) -> None:
    legend = Legend.of(classes, [])
    assert legend.of_column(pd.Series(column), 'a.gpkg').tolist() == expected


@pytest.mark.parametrize(
    ('column', 'classes', 'message'),
    [
        (['a', 'c'], ['a', 'b'], 'holds the labels c, expected a, b'),
        ([0, 1], ['a', 'b'], 'holds the labels 0, 1, expected a, b'),
        ([True, False], {'no': 0}, 'holds the labels True, expected False'),
        ([1.5, 1.0], {'a': 1}, r'holds the labels 1\.5, expected 1'),
    ],
)
def test_columns_outside_the_legend(
    column: list[object], classes: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Legend.of(classes, []).of_column(pd.Series(column), 'a.gpkg')


@pytest.mark.parametrize(
    ('classes', 'ignored', 'message'),
    [
        ([], [], 'none'),
        ({'a': 1, 'b': 1}, [], 'two have one value'),
        ({'a': 1, 'b': 1.0}, [], 'two have one value'),
        (['a', 'a'], [], 'two have one value'),
        ({'a': 1}, [1], r"'a' is a class and ignored"),
        (['a', 'b'], [0], r"'a' is a class and ignored"),
    ],
)
def test_legends_that_contradict_themselves(
    classes: dict[str, object], ignored: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Legend.of(classes, ignored)


def test_rasters_hold_numbers() -> None:
    with pytest.raises(DataError, match="class 'wood' has the value 'w'"):
        Legend.of({'wood': 'w'}, []).of_pixels(np.zeros(1), None, '')
    for names in (['7', '9'], [7, 9]):
        legend = Legend.of(names, [])
        assert list(legend.classes) == ['7', '9']
        assert legend.of_pixels(np.array([9, 7]), None, '').tolist() == [1, 0]
