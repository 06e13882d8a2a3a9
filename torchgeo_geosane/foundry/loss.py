"""The training loss of GeoSANE: reconstruction of masked tokens and contrast between two views.

``(1 - γ) · reconstruction + γ · NT-Xent`` (arXiv 2603.23408 section 3; NT-Xent: SimCLR, arXiv
2002.05709).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Normalisation = Literal['batch', 'token']


def reconstruction_loss(
    output: Tensor, target: Tensor, mask: Tensor, normalisation: Normalisation = 'batch'
) -> Tensor:
    """Mean squared error over real entries, in units of the target's spread.

    Args:
        output: Decoded tokens, float ``[batch, window, token_size]``.
        target: True tokens, same shape.
        mask: True where a token holds a real value, same shape.
        normalisation: ``batch`` divides by one standard deviation of all real entries (run-time
            normalisation, the official way); ``token`` by each token's own (Falk et al. 2025, arXiv
            2510.02096). Under ``token`` every window counts alike and by itself, so the loss of a
            batch is the mean of those of its parts.

    Returns:
        A scalar.
    """
    real = mask.to(target.dtype)
    error = (output - target).square() * real
    if normalisation == 'batch':
        count = real.sum()
        mean = (target * real).sum() / count
        variance = ((target - mean).square() * real).sum() / count
        return error.sum() / count / (variance.sqrt() + 1e-4).square()
    count = real.sum(-1, keepdim=True).clamp(min=1)
    mean = (target * real).sum(-1, keepdim=True) / count
    variance = ((target - mean).square() * real).sum(-1, keepdim=True) / count
    relative = error / (variance.sqrt() + 1e-4).square()
    return (relative.sum((1, 2)) / real.sum((1, 2)).clamp(min=1)).mean()


def contrastive_loss(
    first: Tensor, second: Tensor, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """NT-Xent between two views of each window of a batch.

    Args:
        first: Projections of one view, float ``[batch, dim]``.
        second: Projections of the other view, same shape.
        temperature: Softmax temperature.

    Returns:
        The loss, and the share of views whose nearest other view is their own pair (0…1).
    """
    views = F.normalize(torch.cat([first, second]), dim=1)
    similarity = views @ views.T / temperature
    similarity.fill_diagonal_(-torch.inf)
    n = len(first)
    pair = torch.arange(2 * n, device=first.device).roll(n)
    accuracy = (similarity.argmax(dim=1) == pair).float().mean()
    return F.cross_entropy(similarity, pair), accuracy
