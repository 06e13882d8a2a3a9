"""Augmentation of radar images: what differs between two passes over the same ground.

Colours mean nothing to radar: jitter of hue or saturation has no place here.
"""

from typing import Any

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor

from torchgeo_geosane.errors import TransformError
from torchgeo_geosane.transforms.decibel import Units, check_units, to_decibel, to_linear
from torchgeo_geosane.transforms.draws import PerBand, Seed


class RandomSpeckle(IntensityAugmentationBase2D):
    """Multiplies power by speckle: gamma noise of mean 1 and variance 1 / looks.

    Every image, band and pixel has noise of its own. It comes on top of the speckle that the image
    has: 10 looks are mild, 1 is as strong as speckle gets. The noise is drawn on the image's
    device, from a seed that kornia draws and records.

    Example:
        >>> speckle = RandomSpeckle(looks=10, units='dB')
        >>> AugmentationSequential(speckle, Normalize(mean, std), data_keys=None, keepdim=True)

    Args:
        looks: How many exponential draws are averaged.
        units: Of the image: ``'dB'`` or ``'linear'``. Place the step before normalisation.
        p: Probability that an image is changed.
        same_on_batch: The same noise for all images of a batch.

    Raises:
        TransformError: If there is no look, or the units are unknown.
    """

    def __init__(
        self, looks: int, units: Units, p: float = 0.5, same_on_batch: bool = False
    ) -> None:
        super().__init__(p=p, same_on_batch=same_on_batch, keepdim=True)
        check_units(units)
        if looks < 1 or looks != int(looks):
            raise TransformError(f'speckle has a whole number of looks, at least 1, not {looks}')
        self._param_generator = Seed()
        self.flags = {'looks': int(looks), 'units': units}

    def apply_transform(
        self,
        input: Tensor,  # noqa: A002
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Draw the noise and apply it; NaN stays NaN."""
        generator = torch.Generator(input.device).manual_seed(int(params['seed']))
        noise = torch.zeros_like(input[:1] if self.same_on_batch else input, dtype=torch.float32)
        for _ in range(flags['looks']):
            noise += torch.empty_like(noise).exponential_(generator=generator)
        noise /= flags['looks']
        if flags['units'] == 'linear':
            return input * noise.to(input.dtype)
        return input + to_decibel(noise).to(input.dtype)


class RandomDecibelJitter(IntensityAugmentationBase2D):
    """Shifts whole bands by some dB: calibration, incidence angle, moisture.

    Args:
        spread: The largest shift, in dB, up or down; uniform, for each image and band.
        units: Of the image: ``'dB'`` or ``'linear'``. Place the step before normalisation.
        p: Probability that an image is changed.
        same_on_batch: The same shifts for all images of a batch.

    Raises:
        TransformError: If the spread is negative, or the units are unknown.
    """

    def __init__(
        self, spread: float, units: Units, p: float = 0.5, same_on_batch: bool = False
    ) -> None:
        super().__init__(p=p, same_on_batch=same_on_batch, keepdim=True)
        check_units(units)
        if spread < 0:
            raise TransformError(f'the spread is at least 0 dB, not {spread}')
        self._param_generator = PerBand(shift=(-spread, spread))
        self.flags = {'units': units}

    def apply_transform(
        self,
        input: Tensor,  # noqa: A002
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Apply the shifts; NaN stays NaN."""
        shift = params['shift'].to(input)
        return input * to_linear(shift) if flags['units'] == 'linear' else input + shift
