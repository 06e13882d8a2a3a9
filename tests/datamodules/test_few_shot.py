from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.datamodules.few_shot import few_shot

fractions = st.floats(0, 1, exclude_min=True)
labels = st.lists(st.integers(0, 4), min_size=1, max_size=60)


def names(count: int) -> list[str]:
    return [f'chip_{number}' for number in range(count)]


@given(labels, fractions, fractions, st.integers(0, 9), st.booleans())
def test_a_smaller_choice_lies_inside_a_larger_one(
    labels: list[int], one: float, other: float, seed: int, by_class: bool
) -> None:
    small, large = (
        few_shot(names(len(labels)), fraction, seed, labels if by_class else None)
        for fraction in sorted((one, other))
    )
    assert set(small) <= set(large)
    assert len(large) == max(1, round(max(one, other) * len(labels)))
    assert large == sorted(set(large))


@given(labels, fractions)
def test_classes_keep_their_shares(labels: list[int], fraction: float) -> None:
    chosen = few_shot(names(len(labels)), fraction, 0, labels)
    totals = Counter(labels)
    found = Counter(labels[index] for index in chosen)
    if len(chosen) >= len(totals):
        assert set(found) == set(totals)
    for label, total in totals.items():
        # Each class is ahead or behind by one turn of each of the others at most.
        assert abs(found[label] - len(chosen) * total / len(labels)) <= len(totals)


def test_the_choice_depends_on_seed_and_names_alone() -> None:
    assert few_shot(names(8), 0.5, 0) == [0, 1, 3, 5]
    assert few_shot(names(8), 0.5, 1) != few_shot(names(8), 0.5, 0)
    backwards = few_shot(names(8)[::-1], 0.5, 0)
    assert sorted(7 - index for index in backwards) == few_shot(names(8), 0.5, 0)


def test_rare_classes_are_not_lost() -> None:
    labels = [0] * 95 + [1] * 5
    assert Counter(labels[i] for i in few_shot(names(100), 0.2, 3, labels)) == {0: 19, 1: 1}
