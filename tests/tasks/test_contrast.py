import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.tasks.contrast import info_nce, recall, same_place


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(n=st.integers(2, 6), m=st.integers(0, 4), seed=st.integers(0, 99))
def test_info_nce_as_the_equation_says(n: int, m: int, seed: int) -> None:
    queries, keys = random(n, 5, seed=seed), random(n + m, 5, seed=seed + 1)
    same = torch.zeros(n, n + m, dtype=torch.bool)
    same[0, -1] = True
    expected = 0.0
    for i in range(n):
        scores = []
        for j in range(n + m):
            cosine = float(queries[i] @ keys[j] / (queries[i].norm() * keys[j].norm()))
            if j == i or not same[i, j]:
                scores.append(math.exp(cosine / 0.07))
            if j == i:
                own = scores[-1]
        expected -= math.log(own / sum(scores)) / n
    found = info_nce(queries, keys, same, torch.arange(n), 0.07)
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_equal_coordinates_are_one_place() -> None:
    first = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    second = torch.tensor([[3.0, 4.0], [1.0, 2.0], [1.0, 4.0]])
    assert same_place(first, second).tolist() == [[False, True, False], [True, False, False]]


def test_recall_of_what_is_found_and_what_is_not() -> None:
    keys = torch.eye(4)
    queries = torch.stack([keys[0], keys[1], keys[0] + 0.9 * keys[2], keys[0] + 0.1 * keys[3]])
    same = torch.eye(4, dtype=torch.bool)
    assert recall(queries, keys, same, 1) == 0.5
    assert recall(queries, keys, same, 2) == 1.0


def test_recall_at_chance() -> None:
    same = torch.eye(400, dtype=torch.bool)
    assert recall(random(400, 8), random(400, 8, seed=1), same, 40) == pytest.approx(0.1, abs=0.05)
