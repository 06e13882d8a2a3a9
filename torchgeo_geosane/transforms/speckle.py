"""Filters that take speckle out of radar images. Nodata stays nodata and spoils no neighbour.

Nodata is what is not finite. The outside of the image counts as nodata too.
"""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from torchgeo_geosane.errors import TransformError
from torchgeo_geosane.transforms.step import ImageStep

_REACH = 3  # the window is 7 x 7
# (down, right), across the four directions of an edge. The first of equal gradients counts: an edge
# that touches one corner block alone is diagonal.
_AXES = ((1, 1), (1, -1), (0, 1), (1, 0))


def refined_lee(image: Tensor, looks: float) -> Tensor:
    """Lee's refined filter: averages along edges, never across them.

    Each pixel takes mean and variance from one half of its 7 x 7 window. The means of nine 3 x 3
    blocks say which: the direction of the steepest gradient, and the side of the edge whose block
    is more like the pixel's own. What varies more than speckle of so many looks is kept in
    proportion. J.-S. Lee, "Refined filtering of image noise using local statistics", Computer
    Graphics and Image Processing 15 (1981), for multiplicative noise.

    Args:
        image: Power (intensity), **not dB**, [..., C, H, W]; bands are filtered one by one.
        looks: Equivalent number of looks: mean² / variance where the ground is uniform. ESA states
            4.4 for Sentinel-1 IW GRDH.

    Returns:
        The image in its own type. Differentiable, with the choice of windows held fixed.

    Raises:
        TransformError: If there are no looks, or most values are negative, as decibels are.
    """
    if not looks > 0:
        raise TransformError(f'the number of looks is positive, not {looks}')
    valid = image.isfinite()
    if (valid & (image < 0)).sum() > valid.sum() / 2:
        raise TransformError(
            'refined_lee filters power, but most values are negative, as decibels are: convert '
            'them with to_linear first, and back with to_decibel'
        )
    pixels = image.to(torch.promote_types(image.dtype, torch.float32)).masked_fill(~valid, 0)
    mean, variance = _statistics(pixels, valid)
    speckle = mean.square() / looks
    signal = (variance - speckle).clamp(min=0) / (1 + 1 / looks)
    share = signal / variance.clamp(min=torch.finfo(variance.dtype).tiny)
    filtered = mean + share * (pixels - mean)
    return torch.where(valid, filtered.to(image.dtype), image)


def _statistics(pixels: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the half window on each pixel's side of the edge."""
    padded, known = (F.pad(values, [_REACH] * 4) for values in (pixels, valid))
    down, right = _side_of_edge(padded, known)
    count, total, squares = (torch.zeros_like(pixels) for _ in range(3))
    # Shifted images, not convolutions: those round to 10 bits on a GPU, and take eight times the work.
    for dy, dx in product(range(-_REACH, _REACH + 1), repeat=2):
        inside = _shifted(known, dy, dx, _REACH) & (dy * down + dx * right >= 0)
        # Relative to the pixel itself, so that a constant image has no variance at all.
        difference = (_shifted(padded, dy, dx, _REACH) - pixels).masked_fill(~inside, 0)
        count += inside
        total += difference
        squares += difference.square()
    mean = total / count.clamp(min=1)
    return pixels + mean, (squares / count.clamp(min=1) - mean.square()).clamp(min=0)


@torch.no_grad()
def _side_of_edge(padded: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """For each pixel the step, down and right, away from the edge: each -1, 0 or 1."""
    shares = F.avg_pool2d(known.to(padded.dtype), 3, stride=1)
    means = F.avg_pool2d(padded, 3, stride=1) / shares.clamp(min=1 / 9)
    own = _shifted(means, 0, 0, 2)

    def block(dy: int, dx: int, missing: Tensor | float) -> Tensor:
        there = _shifted(shares, 2 * dy, 2 * dx, 2) > 0
        return torch.where(there, _shifted(means, 2 * dy, 2 * dx, 2), missing)

    steepest = torch.full_like(own, -1)
    down, right = (torch.zeros_like(own, dtype=torch.int8) for _ in range(2))
    for axis_down, axis_right in _AXES:
        gradient = torch.zeros_like(own)
        for dy, dx in product((-1, 0, 1), repeat=2):
            ahead = dy * axis_down + dx * axis_right
            if ahead:
                gradient += block(dy, dx, own).mul(1 if ahead > 0 else -1)
        gradient.abs_()
        # A side without data is never the pixel's own; where there is no telling, both sides count.
        plus, minus = (
            (block(sign * axis_down, sign * axis_right, torch.inf) - own).abs() for sign in (1, -1)
        )
        sign = (plus < minus).to(torch.int8) - (minus < plus).to(torch.int8)
        steeper = gradient > steepest
        steepest = torch.where(steeper, gradient, steepest)
        down = torch.where(steeper, axis_down * sign, down)
        right = torch.where(steeper, axis_right * sign, right)
    return down, right


def _shifted(padded: Tensor, dy: int, dx: int, margin: int) -> Tensor:
    """What lies ``dy`` below and ``dx`` right of each pixel: a view."""
    height, width = (size - 2 * margin for size in padded.shape[-2:])
    top, left = margin + dy, margin + dx
    return padded[..., top : top + height, left : left + width]


def median_filter(image: Tensor, size: int = 3) -> Tensor:
    """The median of what has data around each pixel.

    kornia's ``median_blur`` gives the same where all is data, and NaN in every window that touches
    nodata. A median selects, so linear and dB images give the same result.

    Args:
        image: [..., C, H, W], in any units.
        size: Height and width of the window, odd.

    Returns:
        The image in its own type. Of an even number of values the lower middle one is taken.
        Differentiable: the gradient goes to the pixel that was selected.

    Raises:
        TransformError: If the size is even or not positive.
    """
    if size < 1 or size % 2 == 0:
        raise TransformError(f'the window of a median has an odd size, 3 or 5, not {size}')
    valid = image.isfinite()
    padded = F.pad(image.masked_fill(~valid, torch.nan), [size // 2] * 4, value=torch.nan)
    windows = padded.unfold(-2, size, 1).unfold(-2, size, 1).flatten(-2)
    return torch.where(valid, windows.nanmedian(-1).values, image)


class RefinedLee(ImageStep):
    """:func:`refined_lee` as a step of a pipeline.

    Args:
        looks: Equivalent number of looks.
    """

    def __init__(self, looks: float) -> None:
        super().__init__(refined_lee, looks=looks)


class MedianFilter(ImageStep):
    """:func:`median_filter` as a step of a pipeline.

    Args:
        size: Height and width of the window, odd.
    """

    def __init__(self, size: int = 3) -> None:
        super().__init__(median_filter, size=size)
