import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import one_hot
from torchmetrics.functional.classification import (
    multiclass_recall,
    multilabel_average_precision,
)

from torchgeo_geosane.callbacks.probe import PROBES, Probe, probe, score

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize('kind', PROBES)
@pytest.mark.parametrize('scale', [1e-3, 1e3])
def test_probes_see_what_is_there_whatever_its_scale(kind: Probe, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(3, (400,), generator=generator)
    features = torch.randn(400, 8, generator=generator)
    targets = one_hot(classes, 3).float()
    blind = probe(kind, features[:200], targets[:200], features[200:])
    assert score('balanced accuracy', blind, targets[200:]) < 0.5
    features[:, :3] += 4 * targets
    features *= scale
    seen = probe(kind, features[:200], targets[:200], features[200:])
    assert score('balanced accuracy', seen, targets[200:]) > 0.9
    assert score('R2', seen, targets[200:]) > 0.5


def test_linear_is_linear() -> None:
    generator = torch.Generator().manual_seed(0)
    features = 3 + torch.randn(300, 4, generator=generator)
    targets = features @ torch.randn(4, 2, generator=generator) + 7
    predicted = probe('linear', features[:200], targets[:200], features[200:])
    assert score('R2', predicted, targets[200:]) > 0.98


@pytest.mark.parametrize('kind', PROBES)
def test_features_that_never_vary(kind: Probe) -> None:
    """As of a candidate that has died: a finite, poor score."""
    targets = one_hot(torch.arange(20) % 2, 2).float()
    predicted = probe(kind, torch.zeros(10, 3), targets[:10], torch.zeros(10, 3))
    assert score('balanced accuracy', predicted, targets[10:]) == 0.5
    assert math.isfinite(score('R2', predicted, targets[10:]))


def test_nearest_is_the_mean_of_the_nearest_whatever_the_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(0)
    features, targets = torch.randn(60, 4, generator=generator), torch.arange(60.0).unsqueeze(1)
    whole = probe('knn', features[:40], targets[:40], features[40:])
    monkeypatch.setattr('torchgeo_geosane.callbacks.probe._ROWS', 3)
    assert torch.equal(probe('knn', features[:40], targets[:40], features[40:]), whole)
    few = probe('knn', features[:3], targets[:3], features[40:])
    assert torch.allclose(few, targets[:3].mean().expand_as(few))


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 6))
def test_balanced_accuracy(seed: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    actual = torch.cat([torch.arange(classes), torch.randint(classes, (30,), generator=generator)])
    predicted = torch.randn(len(actual), classes, generator=generator)
    expected = multiclass_recall(predicted, actual, classes, average='macro')
    found = score('balanced accuracy', predicted, one_hot(actual, classes).float())
    assert found == pytest.approx(expected.item(), abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 5))
def test_mean_average_precision(seed: int, labels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    actual = torch.randint(2, (30, labels), generator=generator)
    actual[0] = 1
    predicted = torch.rand(30, labels, generator=generator)
    expected = multilabel_average_precision(predicted, actual, labels, average='macro')
    found = score('mean average precision', predicted, actual.float())
    assert found == pytest.approx(expected.item(), abs=1e-5)


def test_r2() -> None:
    actual = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert score('R2', actual, actual) == 1
    assert score('R2', actual.mean(0).expand(2, 2), actual) == 0
