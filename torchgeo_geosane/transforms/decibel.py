"""Radar backscatter in linear units (power) and in decibels."""

from typing import Literal, get_args

import torch
from torch import Tensor

from torchgeo_geosane.errors import TransformError, did_you_mean
from torchgeo_geosane.transforms.step import ImageStep

Units = Literal['dB', 'linear']
"""What a radar image is given in: decibels, or power."""

FLOOR = -60.0
"""Decibels of what is zero or negative, far below any sensor's noise."""


def to_decibel(linear: Tensor, floor: float = FLOOR) -> Tensor:
    """Convert power to decibels: 10 log10(linear).

    Args:
        linear: Power, any shape. NaN stays NaN.
        floor: The result, in dB, for all that is smaller: noise removal leaves values that are zero
            or negative, and have no logarithm.

    Returns:
        Decibels, of the same shape. Differentiable; the gradient is zero below the floor.
    """
    return 10 * linear.clamp(min=10 ** (floor / 10)).log10()


def to_linear(decibel: Tensor) -> Tensor:
    """Convert decibels to power: 10^(decibel / 10). NaN stays NaN. Differentiable."""
    return torch.pow(10, decibel / 10)


def check_units(units: str) -> None:
    """Refuse what is neither ``'dB'`` nor ``'linear'``.

    Raises:
        TransformError: If it is neither.
    """
    known = get_args(Units)
    if units not in known:
        raise TransformError(f'unknown units {units!r}{did_you_mean(units, known)}')


class ToDecibel(ImageStep):
    """:func:`to_decibel` as a step of a pipeline.

    Args:
        floor: The result, in dB, for all that is smaller.
    """

    def __init__(self, floor: float = FLOOR) -> None:
        super().__init__(to_decibel, floor=floor)


class ToLinear(ImageStep):
    """:func:`to_linear` as a step of a pipeline."""

    def __init__(self) -> None:
        super().__init__(to_linear)


class Clip(ImageStep):
    """Limit values to a range; NaN stays NaN.

    A range mapped to 0…1 is this and kornia's ``Normalize(mean=low, std=high - low)``.

    Args:
        low: Smallest value of the result, in the image's units.
        high: Largest value.

    Raises:
        TransformError: If the range is empty.
    """

    def __init__(self, low: float, high: float) -> None:
        if not low < high:
            raise TransformError(f'cannot clip to {low}…{high}: the first has to be the smaller')
        super().__init__(torch.clamp, min=low, max=high)
