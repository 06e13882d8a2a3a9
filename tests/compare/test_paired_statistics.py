import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.compare.statistics import Difference, Mean, holm

VALUES = st.floats(-1e3, 1e3, allow_nan=False).map(lambda value: round(value, 3))


def test_known_differences() -> None:
    first = {0: 0.3, 1: 0.5, 2: 0.4, 3: 0.2, 9: 0.9}
    second = {0: 0.1, 1: 0.5, 2: 0.3, 3: 0.3, 7: 0.0}
    difference = Difference.between(first, second)
    assert difference.by_seed == pytest.approx({0: 0.2, 1: 0.0, 2: 0.1, 3: -0.1})
    assert difference.wins == (1 + 0.5 + 1 + 0) / 4
    assert difference.unpaired == 2
    assert difference.mean.mean == pytest.approx(0.05)
    assert difference.mean.std == pytest.approx(np.std([0.2, 0.0, 0.1, -0.1], ddof=1))
    assert difference.mean.count == 4


def test_student_below_five_values() -> None:
    # t(0.975, 2) = 4.3027; the standard error of 1, 2, 3 is 1 / sqrt(3).
    estimate = Mean.of([1, 2, 3])
    assert estimate.high - 2 == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert estimate.low + estimate.high == pytest.approx(4)


@pytest.mark.parametrize(('values', 'mean'), [([], math.nan), ([0.5], 0.5)])
def test_too_few_values_have_no_interval(values: list[float], mean: float) -> None:
    estimate = Mean.of(values)
    assert estimate.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(estimate.std)
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)


def test_equal_values_have_a_point() -> None:
    estimate = Mean.of([0.25] * 10)
    assert (estimate.low, estimate.high, estimate.std) == (0.25, 0.25, 0)


def test_nearly_all_ties_have_an_interval() -> None:
    estimate = Mean.of([0.0] * 9 + [1.0])
    assert 0 <= estimate.low < 0.1 < estimate.high <= 1


@pytest.mark.parametrize('draw', ['normal', 'exponential'])
@pytest.mark.parametrize('count', [5, 10])
def test_intervals_cover_the_mean(draw: str, count: int) -> None:
    """Without the correction for small samples, BCa covers some 80 % at five values."""
    true = {'normal': 0.0, 'exponential': 1.0}[draw]
    covered = 0
    for repetition in range(200):
        values = getattr(np.random.default_rng(repetition), draw)(size=count)
        estimate = Mean.of(values)
        covered += estimate.low <= true <= estimate.high
    assert covered / 200 >= {'normal': 0.9, 'exponential': 0.85}[draw]


def test_sign_flips_are_exact() -> None:
    # Of the 2^6 sign patterns, two have so large a mean.
    better = Difference.between(
        {seed: 0.1 + seed / 100 for seed in range(6)}, dict.fromkeys(range(6), 0.0)
    )
    assert better.p_value == pytest.approx(2 / 64)
    same = Difference.between({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert (same.p_value, same.wins) == (1, 0.5)


def test_nothing_to_pair() -> None:
    difference = Difference.between({0: 1.0}, {1: 1.0})
    assert (difference.p_value, difference.unpaired, difference.mean.count) == (1, 2, 0)
    assert math.isnan(difference.wins)


@given(st.dictionaries(st.integers(0, 20), st.tuples(VALUES, VALUES), min_size=2, max_size=9))
def test_turned_round_all_signs_change(pairs: dict[int, tuple[float, float]]) -> None:
    first = {seed: pair[0] for seed, pair in pairs.items()}
    second = {seed: pair[1] for seed, pair in pairs.items()}
    there, back = Difference.between(first, second), Difference.between(second, first)
    assert there.mean.mean == pytest.approx(-back.mean.mean, abs=1e-9)
    assert there.wins == pytest.approx(1 - back.wins)
    assert there.p_value == pytest.approx(back.p_value)
    tolerance = 1e-9 + 1e-9 * abs(there.mean.mean)
    assert there.mean.low - tolerance <= there.mean.mean <= there.mean.high + tolerance


def test_the_global_random_state_is_untouched() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert Mean.of([1, 2, 3, 4, 5, 7]) == Mean.of([1, 2, 3, 4, 5, 7])
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_holm_of_a_known_table() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_keeps_the_order_and_only_raises(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    for p, q in zip(p_values, adjusted, strict=True):
        for other, raised in zip(p_values, adjusted, strict=True):
            assert p > other or q <= raised
