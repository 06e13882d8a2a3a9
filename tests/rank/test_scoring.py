"""Scores over splits, and what they allow to say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from torchgeo_geosane.rank.scoring import Score

values = st.lists(st.floats(0, 1), min_size=2, max_size=20)


def test_the_interval_is_nadeau_and_bengios() -> None:
    score = Score.of([0.4, 0.5, 0.6])
    assert score.mean == pytest.approx(0.5)
    expected = stats.t.ppf(0.975, 2) * ((1 / 3 + 1) * 0.01) ** 0.5
    assert score.reach == pytest.approx(expected)


@given(values)
def test_nothing_is_below_itself(by_split: list[float]) -> None:
    score = Score.of(by_split)
    assert not score.is_below(score)


@given(values, st.floats(0.01, 1))
def test_pairs_of_splits_tell_what_intervals_do_not(by_split: list[float], gap: float) -> None:
    """Splits may be hard or easy for all: only differences on one split count."""
    lower, higher = Score.of(by_split), Score.of([each + gap for each in by_split])
    assert lower.is_below(higher)
    assert not higher.is_below(lower)
