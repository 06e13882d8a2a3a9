"""Assignments are the best there are, however many units are alike."""

import itertools

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from torchgeo_geosane.alignment.assignment import assign, worth_of

COUNT = 120


def noise(generator: torch.Generator, rank: int = 60) -> Tensor:
    return torch.randn(COUNT, rank, generator=generator)


def low_rank(generator: torch.Generator) -> Tensor:
    """All units want the same few places."""
    return noise(generator, 1) @ noise(generator, 1).T + 1e-4 * noise(generator, COUNT)


def nearly_dead(generator: torch.Generator) -> Tensor:
    ours, theirs = noise(generator), noise(generator)
    ours[::3] *= 1e-5
    theirs[::4] *= 1e-6
    return ours @ theirs.T


def dead(generator: torch.Generator) -> Tensor:
    ours = noise(generator)
    ours[::3] = 0
    return ours @ noise(generator).T


def alike(generator: torch.Generator) -> Tensor:
    kinds = noise(generator)[:7]
    ours, theirs = (
        kinds[torch.randint(7, (COUNT,), generator=generator)] + 1e-3 * noise(generator)
        for _ in range(2)
    )
    return ours @ theirs.T


def unrelated(generator: torch.Generator) -> Tensor:
    return noise(generator, COUNT)


@pytest.mark.parametrize('make', [low_rank, nearly_dead, dead, alike, unrelated])
def test_no_other_order_resembles_the_reference_more(make) -> None:
    likeness = make(torch.Generator().manual_seed(0))
    best = likeness.double().numpy()[linear_sum_assignment(likeness.numpy(), maximize=True)].sum()
    order = assign([likeness.clone()])[0]
    assert order.sort().values.equal(torch.arange(COUNT))
    # Ties are broken by a millionth for each unit that stays.
    least = COUNT * 1e-6 * (likeness.max() - likeness.min())
    assert worth_of(likeness.double(), order) >= best - least


@pytest.mark.parametrize('sets', [2, 5, 12])
@pytest.mark.parametrize('make', [low_rank, nearly_dead, dead, alike, unrelated])
def test_nor_does_any_other_order_of_sets(make, sets: int) -> None:
    """Beside every set tried in the place of every other."""
    generator = torch.Generator().manual_seed(0)
    likeness = [make(generator), make(generator)[: 2 * sets, : 2 * sets]]
    worth = torch.zeros(sets, sets, dtype=torch.float64)
    for each in likeness:
        size = len(each) // sets
        for i, j in itertools.product(range(sets), repeat=2):
            block = each[i * size : (i + 1) * size, j * size : (j + 1) * size].double().numpy()
            worth[i, j] += block[linear_sum_assignment(block, maximize=True)].sum()
    best = worth.numpy()[linear_sum_assignment(worth.numpy(), maximize=True)].sum()
    orders = assign([each.clone() for each in likeness], sets)
    found = sum(worth_of(each.double(), o) for each, o in zip(likeness, orders, strict=True))
    for each, order in zip(likeness, orders, strict=True):
        of = order.view(sets, -1) // (len(each) // sets)
        assert (of == of[:, :1]).all(), 'sets stay together'
        assert of[:, 0].equal(orders[0].view(sets, -1)[:, 0] // (COUNT // sets))
    assert found >= best - 2 * COUNT * 1e-6 * max(each.max() - each.min() for each in likeness)


def test_all_alike_stay() -> None:
    assert assign([torch.ones(5, 5)])[0].equal(torch.arange(5))
    assert assign([torch.ones(6, 6)], sets=3)[0].equal(torch.arange(6))


def test_who_prefers_the_own_place_stays() -> None:
    generator = torch.Generator().manual_seed(1)
    likeness = torch.eye(COUNT) * 9 + noise(generator, COUNT) / 9
    likeness[:10] = likeness[:10].flip(0)
    order = assign([likeness], settle=True)[0]
    assert order[10:].equal(torch.arange(10, COUNT))
    assert order[:10].equal(torch.arange(10).flip(0))
