"""Augmentation of multispectral images, band by band."""

from typing import Any

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor

from torchgeo_geosane.errors import TransformError
from torchgeo_geosane.transforms.draws import PerBand


class RandomBandJitter(IntensityAugmentationBase2D):
    """Multiplies bands by a gain and adds an offset, the same for all pixels: haze, illumination.

    Args:
        gain: The gain is uniform in 1 - gain … 1 + gain, for each image and band.
        offset: The offset is uniform in -offset … offset, in the image's units.
        p: Probability that an image is changed.
        same_on_batch: The same numbers for all images of a batch.

    Raises:
        TransformError: If a number is negative.
    """

    def __init__(
        self, gain: float = 0.1, offset: float = 0.0, p: float = 0.5, same_on_batch: bool = False
    ) -> None:
        super().__init__(p=p, same_on_batch=same_on_batch, keepdim=True)
        if gain < 0 or offset < 0:
            raise TransformError(f'gain and offset are at least 0, not {gain} and {offset}')
        self._param_generator = PerBand(gain=(1 - gain, 1 + gain), offset=(-offset, offset))

    def apply_transform(
        self,
        input: Tensor,  # noqa: A002
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Apply gains and offsets; NaN stays NaN."""
        return input * params['gain'].to(input) + params['offset'].to(input)


class RandomBandDropout(IntensityAugmentationBase2D):
    """Sets whole bands to a fill, and keeps at least one: a model that leans on no single band.

    kornia's ``RandomChannelDropout`` drops a fixed number of bands; here each has its own chance.

    Args:
        rate: Probability of each band to be dropped.
        fill: What a dropped band holds. After normalisation 0 is the band's mean.
        p: Probability that an image is changed.
        same_on_batch: The same bands for all images of a batch.

    Raises:
        TransformError: If the rate is no probability.
    """

    def __init__(
        self, rate: float = 0.2, fill: float = 0.0, p: float = 0.5, same_on_batch: bool = False
    ) -> None:
        super().__init__(p=p, same_on_batch=same_on_batch, keepdim=True)
        if not 0 <= rate <= 1:
            raise TransformError(f'the rate of dropped bands is between 0 and 1, not {rate}')
        self._param_generator = PerBand(luck=(0.0, 1.0))
        self.flags = {'rate': rate, 'fill': fill}

    def apply_transform(
        self,
        input: Tensor,  # noqa: A002
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Fill the bands that had no luck, but never the luckiest."""
        luck = params['luck'].to(input.device)
        kept = (luck >= flags['rate']) | (luck == luck.amax(1, keepdim=True))
        return torch.where(kept, input, flags['fill'])
