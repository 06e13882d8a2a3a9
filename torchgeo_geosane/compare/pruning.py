"""Structured pruning by magnitude: a small architecture out of the strongest channels of a large one.

Channels that belong together are kept or dropped as a whole: the groups of the small network, which
torch-pruning traces and :mod:`torchgeo_geosane.alignment` proves.
"""

import torch
from torch import Tensor

from torchgeo_geosane.alignment import OUTPUT, Group, find_groups
from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.compare.arithmetic import State
from torchgeo_geosane.errors import ComparisonError


def prune(larger: State, architecture: str, in_chans: int) -> State:
    """Keep the channels whose filters have the largest norms (Li et al. 2017, arXiv:1608.08710).

    Layers are those of the small architecture, by name: the first of each stage. Of a group of channels
    that several layers produce, the squared norms of all are summed.

    Args:
        larger: A larger model of the family.
        architecture: The small architecture; its channels lie one after the other, in heads of
            attention or grouped convolutions they do not.
        in_chans: Its input channels, which the larger model has too.

    Returns:
        The small state dict.

    Raises:
        ComparisonError: If the larger model lacks a tensor or has a smaller one, or the small
            architecture is of another kind.
    """
    target = get_architecture(architecture, in_chans).shapes
    pruned = {}
    for name, wanted in target.items():
        if name not in larger or larger[name].ndim != len(wanted.shape):
            raise ComparisonError(
                f'{architecture} cannot be pruned out of the larger model, which lacks {name!r}; '
                'name a larger one of the family'
            )
        pruned[name] = larger[name]
    for group in _groups(architecture):
        axes = [axis for axis in group.axes if axis != OUTPUT]
        kept = _strongest(larger, axes, group.count)
        for name, dim in axes:
            pruned[name] = pruned[name].index_select(dim, kept)
    for name, wanted in target.items():
        if pruned[name].shape != wanted.shape:
            raise ComparisonError(
                f'{name!r} cannot be pruned from {tuple(larger[name].shape)} to {wanted.shape}: '
                'name a larger model of the family, in the same bands'
            )
        pruned[name] = pruned[name].to(wanted.dtype, copy=True)
    return pruned


def _groups(architecture: str) -> tuple[Group, ...]:
    """The groups of the small network, every one of which lies along whole dimensions.

    Raises:
        ComparisonError: If one does not, or cannot be found.
    """
    found = find_groups(architecture)
    for name, reason in found.left_out.items():
        raise ComparisonError(f'{architecture} cannot be pruned: {name or "all of it"}: {reason}')
    for group in found.groups:
        uses = [use for part in group.parts for use in part.uses]
        if len(group.parts) > 1 or any(
            not torch.equal(use.places.flatten(), torch.arange(use.size))
            or len(use.places) < use.size
            for use in uses
        ):
            raise ComparisonError(
                f'pruning knows neither attention nor grouped convolutions nor joined channels: '
                f'{group.name!r} of {architecture}'
            )
    return found.groups


def _strongest(larger: State, axes: list[tuple[str, int]], wanted: int) -> Tensor:
    """Which channels to keep, in their order: int64 ``[n]``."""
    available = {larger[name].shape[dim] for name, dim in axes}
    if len(available) > 1 or min(available) < wanted:
        raise ComparisonError(
            f'channels of {axes[0][0]!r} cannot be pruned from {sorted(available)} to '
            f'{wanted}: name a larger model of the family'
        )
    filters = [larger[name] for name, dim in axes if dim == 0 and larger[name].ndim > 1]
    strength = torch.stack([each.double().flatten(1).square().sum(1) for each in filters]).sum(0)
    return strength.topk(wanted).indices.sort().values
