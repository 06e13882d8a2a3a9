"""Arithmetic on state dicts: merges of task vectors, noise, selection of weights.

All state dicts of a call belong to one architecture (apart from ``select``'s). Results are new
tensors of the first one's types; what is not floating-point is the first one's.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from torchgeo_geosane.architectures import TensorSpec
from torchgeo_geosane.callbacks.candidates import average
from torchgeo_geosane.errors import ComparisonError

State = dict[str, Tensor]

# Statistics are no weights: differences of variances, dropped and rescaled, would turn negative.
_STATISTICS = ('running_mean', 'running_var')
# Task vectors of an average cancel but for rounding.
_NO_MAJORITY = 1e-9


def ties(states: Sequence[State], base: State, density: float) -> State:
    """Merge task vectors where they agree (TIES, Yadav et al. 2023, arXiv:2306.01708).

    Of each difference to ``base`` the largest entries are kept; for each entry the sign with the
    larger sum wins, and the kept entries with that sign are averaged. Where neither sign wins, the
    base stays.

    Args:
        states: The models.
        base: What they are seen from.
        density: Share of the entries of a tensor that is kept, above 0, up to 1.
    """

    def merge(deltas: list[Tensor]) -> Tensor:
        kept = torch.stack([_largest(delta, density) for delta in deltas])
        total = kept.sum(0)
        decided = total.abs() > _NO_MAJORITY * kept.abs().sum(0)
        agreeing = (kept.sign() == total.sign()) & (kept != 0) & decided
        return (kept * agreeing).sum(0) / agreeing.sum(0).clamp(min=1)

    return _merged(states, base, merge)


def dare(states: Sequence[State], base: State, density: float, seed: int) -> State:
    """Drop entries of task vectors at random, rescale, average (DARE, Yu et al. 2024, arXiv:2311.03099).

    Args:
        states: The models.
        base: What they are seen from.
        density: The probability of an entry to be kept, above 0, up to 1.
        seed: Which entries.
    """
    generator = torch.Generator().manual_seed(seed)

    def merge(deltas: list[Tensor]) -> Tensor:
        kept = [
            delta * (torch.rand(delta.shape, generator=generator) < density) / density
            for delta in deltas
        ]
        return torch.stack(kept).mean(0)

    return _merged(states, base, merge)


def with_equal_noise(state: State, changed: State, seed: int) -> State:
    """Add Gaussian noise that is, tensor by tensor, as large as another model's difference.

    Args:
        state: The model.
        changed: Another one; only the norm of each tensor's difference counts.
        seed: Of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    noisy = {}
    for name, tensor in state.items():
        noisy[name] = tensor.clone()
        # Noise would turn variances negative.
        if not tensor.is_floating_point() or name.endswith('running_var'):
            continue
        change = torch.linalg.vector_norm(changed[name].double() - tensor.double())
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if change > 0:
            scaled = noise * (change / torch.linalg.vector_norm(noise))
            noisy[name] = (tensor.double() + scaled).to(tensor.dtype)
    return noisy


def select(larger: State, target: Mapping[str, TensorSpec]) -> State:
    """Cut a small model out of a larger one of its family (Xu et al. 2024, arXiv:2311.18823).

    Layers are the first of each stage, which the family's names say; of every dimension evenly
    spaced elements are taken, so that channels fit from layer to layer.

    Args:
        larger: The larger model.
        target: What the small one wants.

    Raises:
        ComparisonError: If the larger model lacks a tensor, or has a smaller one.
    """
    selected = {}
    for name, wanted in target.items():
        tensor = larger.get(name)
        sizes = None if tensor is None else tuple(tensor.shape)
        fits = sizes is not None and len(sizes) == len(wanted.shape)
        if tensor is None or not fits or any(map(int.__gt__, wanted.shape, sizes or ())):
            raise ComparisonError(
                f'no weights can be selected for {name!r} of shape {wanted.shape}: the larger '
                f'model has {"none" if sizes is None else sizes}; name a larger one of the family'
            )
        for dim, size in enumerate(wanted.shape):
            if size != tensor.shape[dim]:
                tensor = tensor.index_select(dim, _evenly(tensor.shape[dim], size))
        selected[name] = tensor.to(wanted.dtype, copy=True)
    return selected


def _evenly(available: int, wanted: int) -> Tensor:
    return torch.arange(wanted) * available // wanted


def _largest(delta: Tensor, density: float) -> Tensor:
    """The tensor with all but its largest entries zero."""
    count = max(1, round(density * delta.numel()))
    flat = delta.flatten()
    kept = torch.zeros_like(flat)
    at = flat.abs().topk(count).indices
    kept[at] = flat[at]
    return kept.view_as(delta)


def _merged(states: Sequence[State], base: State, merge: Callable[[list[Tensor]], Tensor]) -> State:
    mean = average(states)
    return {
        name: mean[name]
        if name.endswith(_STATISTICS) or not origin.is_floating_point() or not origin.numel()
        else (
            origin.double() + merge([state[name].double() - origin.double() for state in states])
        ).to(origin.dtype)
        for name, origin in base.items()
    }
