"""Which maps of several feature extractors belong to one level of a pyramid, and how they get one size."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

Level = tuple[int, int]
"""Channels and stride of a map."""


def pyramid(infos: Sequence[Sequence[Level]]) -> tuple[list[int], list[list[int]]]:
    """Strides of the levels, and which of its own levels each member gives for each.

    A member whose maps all have one stride, a ViT, gives its layers in order, the last one last. Of
    ViTs alone, the levels are as many as the member with the fewest layers has.

    Args:
        infos: The levels of each member, the finest first.

    Returns:
        Strides, ascending; and for each member an index of its levels for each stride.
    """
    strides = sorted({stride for info in infos if not _is_flat(info) for _, stride in info})
    if not strides:
        count = min(len(info) for info in infos)
        strides = [min(info[0][1] for info in infos)] * count
    sources = []
    for info in infos:
        if _is_flat(info):
            last, steps = len(info) - 1, max(len(strides) - 1, 1)
            sources.append([round(at * last / steps) for at in range(len(strides))])
        else:
            own = [stride for _, stride in info]
            sources.append([_nearest(own, stride) for stride in strides])
    return strides, sources


def _is_flat(info: Sequence[Level]) -> bool:
    return len({stride for _, stride in info}) == 1


def _nearest(own: Sequence[int], stride: int) -> int:
    """The level of that stride; of several the deepest; else the next finer, or the finest, one."""
    finer = [at for at, each in enumerate(own) if each <= stride]
    return finer[-1] if finer else 0


def common_size(maps: Sequence[Tensor], wanted: tuple[int, int]) -> tuple[int, int]:
    """The size of the map that is nearest to a wanted one: none of the level's own stride is resized."""
    sizes = [(each.shape[-2], each.shape[-1]) for each in maps]
    return min(sizes, key=lambda size: abs(size[0] - wanted[0]) + abs(size[1] - wanted[1]))


def resized(each: Tensor, size: tuple[int, int]) -> Tensor:
    """A map ``[batch, channels, rows, columns]`` in another size, bilinear."""
    if each.shape[-2:] == size:
        return each
    return F.interpolate(each, size, mode='bilinear', align_corners=False)
