"""A part of the training set, the same on every machine and for every model."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from torchgeo_geosane.errors import DataError


def check_fraction(fraction: float) -> None:
    """Check a share of the training part.

    Raises:
        DataError: If it is not above 0 and up to 1.
    """
    if not 0 < fraction <= 1:
        raise DataError(f'train_fraction {fraction} is not above 0 and up to 1')


def few_shot(
    names: Sequence[str], fraction: float, seed: int, labels: Sequence[int] | None = None
) -> list[int]:
    """Choose a fraction of the samples.

    Samples are in an order that a hash of seed and name gives, and the first are chosen: a smaller
    fraction lies inside a larger one. With labels the classes take turns by their shares, so that
    each keeps its share, and from as many samples as there are classes on, each has at least one.

    Args:
        names: Names of the samples, all different.
        fraction: Above 0, up to 1.
        seed: Another seed is another choice.
        labels: Class index of each sample.

    Returns:
        Indices of the chosen, ascending; at least one.
    """
    digests = [hashlib.sha256(f'{seed}/{name}'.encode()).digest() for name in names]
    order = sorted(range(len(names)), key=digests.__getitem__)
    if labels is not None:
        order = _by_turns(order, labels)
    return sorted(order[: max(1, round(fraction * len(order)))])


def _by_turns(order: Sequence[int], labels: Sequence[int]) -> list[int]:
    """Sort by the share of its class that comes before a sample; the order decides among equals."""
    totals = Counter(labels)
    before: Counter[int] = Counter()
    turns = {}
    for index in order:
        label = labels[index]
        turns[index] = before[label] / totals[label]
        before[label] += 1
    return sorted(order, key=turns.__getitem__)
