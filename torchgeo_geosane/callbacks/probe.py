"""Cheap probes: how well frozen features tell what the labels tell."""

from typing import Literal, get_args

import torch
from torch import Tensor

Probe = Literal['knn', 'linear']
Measure = Literal['balanced accuracy', 'mean average precision', 'R2']
PROBES = get_args(Probe)

_NEIGHBOURS = 10
_LARGEST = 5.0  # Standard deviations: a single odd image shall not decide.
_ROWS = 1024  # Compared at once, so that similarities need some 50 MB at most.


def probe(kind: Probe, features: Tensor, targets: Tensor, held_back: Tensor) -> Tensor:
    """Fit a probe on one part of the data and predict the other.

    Args:
        kind: ``knn``, the mean target of the ten most similar features, or ``linear``, a ridge
            regression. Both are exact: nothing is random, nothing needs tuning.
        features: Of the part to fit on, float ``[n, d]``.
        targets: Float ``[n, k]``: one-hot classes, labels, fractions or values.
        held_back: Features of the other part, float ``[m, d]``.

    Returns:
        Predicted targets, float ``[m, k]``.
    """
    mean, std = features.mean(0), features.std(0).clamp(min=1e-6)
    known, asked = (
        ((each - mean) / std).clamp(-_LARGEST, _LARGEST) for each in (features, held_back)
    )
    return _nearest(known, targets, asked) if kind == 'knn' else _ridge(known, targets, asked)


def score(measure: Measure, predicted: Tensor, actual: Tensor) -> float:
    """How good predictions are; more is better, 1 is perfect.

    Args:
        measure: ``balanced accuracy`` (recall, averaged over classes) for one-hot classes, ``mean
            average precision`` for labels, ``R2`` (1 - squared error / variance, over all outputs)
            for fractions and values.
        predicted: Float ``[m, k]``.
        actual: Float ``[m, k]``.
    """
    match measure:
        case 'balanced accuracy':
            return _balanced_accuracy(predicted, actual)
        case 'mean average precision':
            return _mean_average_precision(predicted, actual)
        case 'R2':
            error, spread = predicted - actual, actual - actual.mean(0)
            return 1 - (error.square().sum() / spread.square().sum().clamp(min=1e-12)).item()


def _nearest(known: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    known, asked = (torch.nn.functional.normalize(each, dim=1) for each in (known, asked))
    count = min(_NEIGHBOURS, len(known))
    blocks = (asked[start : start + _ROWS] for start in range(0, len(asked), _ROWS))
    return torch.cat([targets[(block @ known.T).topk(count).indices].mean(1) for block in blocks])


def _ridge(known: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    mean = targets.mean(0)
    # As much signal as noise is expected, spread over all features alike.
    penalty = known.shape[1]
    if len(known) < known.shape[1]:  # The same by way of the smaller matrix.
        similar = known @ known.T
        similar.diagonal().add_(penalty)
        return asked @ known.T @ torch.linalg.solve(similar, targets - mean) + mean
    covariance = known.T @ known
    covariance.diagonal().add_(penalty)
    return asked @ torch.linalg.solve(covariance, known.T @ (targets - mean)) + mean


def _balanced_accuracy(predicted: Tensor, actual: Tensor) -> float:
    hits = actual[torch.arange(len(actual)), predicted.argmax(1)]
    counts = actual.sum(0)
    hits_of_class = (actual * hits.unsqueeze(1)).sum(0)
    present = counts > 0
    return (hits_of_class[present] / counts[present]).mean().item()


def _mean_average_precision(predicted: Tensor, actual: Tensor) -> float:
    ranked = actual.gather(0, predicted.argsort(dim=0, descending=True, stable=True))
    precision = ranked.cumsum(0) / torch.arange(1, len(ranked) + 1).unsqueeze(1)
    counts = ranked.sum(0)
    present = counts > 0
    return ((precision * ranked).sum(0)[present] / counts[present]).mean().item()
