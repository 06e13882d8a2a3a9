"""Contrast between two views of many places: InfoNCE, and how often the right one is found."""

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(
    queries: Tensor, keys: Tensor, same: Tensor, positives: Tensor, temperature: float
) -> Tensor:
    """Cross entropy of each query's own key among all keys.

    Args:
        queries: float ``[n, width]``; need not be normalised.
        keys: float ``[m, width]``, the positives and the negatives.
        same: Which keys are of a query's own place, bool ``[n, m]``: they are no negatives.
        positives: Index of each query's own key, int64 ``[n]``.
        temperature: What cosines are divided by.

    Returns:
        A scalar, in float32.
    """
    logits = F.normalize(queries.float(), dim=1) @ F.normalize(keys.float(), dim=1).T
    own = F.one_hot(positives, len(keys)).bool()
    logits = (logits / temperature).masked_fill(same & ~own, -torch.inf)
    return F.cross_entropy(logits, positives)


def same_place(first: Tensor, second: Tensor) -> Tensor:
    """Which coordinates are equal: bool ``[n, m]`` of ``[n, 2]`` and ``[m, 2]``."""
    return (first[:, None] == second[None]).all(-1)


def recall(queries: Tensor, keys: Tensor, same: Tensor, within: int) -> float:
    """Share of the queries with a key of their own place among the nearest.

    Args:
        queries: float ``[n, width]``.
        keys: float ``[m, width]``.
        same: Which keys are right, bool ``[n, m]``.
        within: How many of the nearest are looked at.

    Returns:
        From 0 to 1; chance is about ``within / m``.
    """
    similarity = F.normalize(queries.float(), dim=1) @ F.normalize(keys.float(), dim=1).T
    nearest = similarity.topk(min(within, len(keys)), dim=1).indices
    return float(same.gather(1, nearest).any(1).float().mean())
