"""Pixels without data or under clouds: filled in the image, ignored in the labels."""

from collections.abc import Iterable
from enum import IntEnum, IntFlag
from math import isnan
from typing import Any

import torch
from torch import Tensor, nn

from torchgeo_geosane.errors import TransformError


class SceneClass(IntEnum):
    """Values of Sentinel-2's scene classification, the SCL band of Level-2A products."""

    NO_DATA = 0
    DEFECTIVE = 1
    DARK = 2
    CLOUD_SHADOW = 3
    VEGETATION = 4
    NOT_VEGETATED = 5
    WATER = 6
    UNCLASSIFIED = 7
    CLOUD_MEDIUM_PROBABILITY = 8
    CLOUD_HIGH_PROBABILITY = 9
    THIN_CIRRUS = 10
    SNOW = 11


class PixelFlag(IntFlag):
    """Bits of QA_PIXEL in Landsat's Collection 2; bits 8 to 15, confidences, are not named here."""

    FILL = 1 << 0
    DILATED_CLOUD = 1 << 1
    CIRRUS = 1 << 2
    CLOUD = 1 << 3
    CLOUD_SHADOW = 1 << 4
    SNOW = 1 << 5
    CLEAR = 1 << 6
    WATER = 1 << 7


_OBSCURED_CLASSES = (
    SceneClass.NO_DATA,
    SceneClass.DEFECTIVE,
    SceneClass.CLOUD_SHADOW,
    SceneClass.CLOUD_MEDIUM_PROBABILITY,
    SceneClass.CLOUD_HIGH_PROBABILITY,
    SceneClass.THIN_CIRRUS,
)
_OBSCURED_FLAGS = (
    PixelFlag.FILL
    | PixelFlag.DILATED_CLOUD
    | PixelFlag.CIRRUS
    | PixelFlag.CLOUD
    | PixelFlag.CLOUD_SHADOW
)


def is_nodata(image: Tensor, nodata: float = torch.nan) -> Tensor:
    """Where an image has no data.

    Args:
        image: [..., C, H, W].
        nodata: NaN spoils a pixel in whichever band it is. A number has to be in all bands: 0 in
            Sentinel-2's cirrus band alone is a measurement.

    Returns:
        Booleans, [..., 1, H, W].
    """
    if isnan(nodata):
        return image.isnan().any(-3, keepdim=True)
    return (image == nodata).all(-3, keepdim=True)


def obscured_sentinel2(scl: Tensor, classes: Iterable[int] = _OBSCURED_CLASSES) -> Tensor:
    """Where Sentinel-2 did not see the ground, from the scene classification.

    Args:
        scl: The SCL band, integers or floats that hold them, any shape. Resample it to the nearest
            value only: a mean of classes is another class.
        classes: The values to find, by default no data, defects, clouds, cirrus and their shadows.

    Returns:
        Booleans of the same shape.
    """
    wanted = torch.tensor([int(value) for value in classes], device=scl.device, dtype=scl.dtype)
    return torch.isin(scl, wanted)


def obscured_landsat(qa_pixel: Tensor, flags: PixelFlag = _OBSCURED_FLAGS) -> Tensor:
    """Where Landsat did not see the ground, from the bits of QA_PIXEL (Collection 2).

    Args:
        qa_pixel: The band, integers, or float32 that holds them, any shape, never interpolated.
            NaN counts as no bit.
        flags: The bits to find, by default fill, clouds, what is next to them, cirrus and shadows.

    Returns:
        Booleans of the same shape.

    Raises:
        TransformError: If the type of the tensor cannot hold 16 bits.
    """
    if qa_pixel.is_floating_point():
        if torch.finfo(qa_pixel.dtype).bits < 32:
            raise TransformError(
                f'QA_PIXEL has 16 bits, which {qa_pixel.dtype} has rounded: keep it an integer'
            )
        qa_pixel = qa_pixel.nan_to_num()
    return (qa_pixel.to(torch.int32) & int(flags)) != 0


def fill_pixels(
    sample: dict[str, Any], where: Tensor, ignore_index: float, fill: float = 0.0
) -> dict[str, Any]:
    """Fill pixels of a sample's or batch's ``image``, and ignore them in its ``mask``, if any.

    Args:
        sample: With ``image`` [B, C, H, W] and ``mask`` [B, H, W] or [B, 1, H, W], or both without
            batch dimension. It is not changed.
        where: Booleans, [B, 1, H, W] or [1, H, W].
        ignore_index: The label that the task ignores.
        fill: What all bands of the image hold there. After normalisation 0 is a band's mean.

    Returns:
        The sample with a new image and mask.

    Raises:
        TransformError: If the sizes do not agree.
    """
    image, mask = sample['image'], sample.get('mask')
    fits = image[..., :1, :, :].shape == where.shape
    if not fits or (mask is not None and mask.shape not in {where.shape, where.squeeze(-3).shape}):
        shapes = {name: tuple(sample[name].shape) for name in ('image', 'mask') if name in sample}
        raise TransformError(f'{shapes} cannot be filled where {tuple(where.shape)} booleans say')
    filled = {'image': image.masked_fill(where, fill)}
    if mask is not None:
        filled['mask'] = mask.masked_fill(where.reshape(mask.shape), ignore_index)
    return {**sample, **filled}


class MaskNodata(nn.Module):
    """:func:`is_nodata` and :func:`fill_pixels`, for a dataset's ``transforms`` or before a pipeline.

    Args:
        ignore_index: The label that the task ignores.
        nodata: What marks a pixel without data: NaN, or a number in all bands.
        fill: What all bands of the image hold there.
    """

    def __init__(self, ignore_index: float, nodata: float = torch.nan, fill: float = 0.0) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.nodata = nodata
        self.fill = fill

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Fill and ignore in a sample or batch."""
        where = is_nodata(sample['image'], self.nodata)
        return fill_pixels(sample, where, self.ignore_index, self.fill)

    def extra_repr(self) -> str:
        """Show the parameters."""
        return f'ignore_index={self.ignore_index}, nodata={self.nodata}, fill={self.fill}'
