"""Transforms of single samples, before they are batched: what a batch needs to be of one size.

All are plain values, so that worker processes can be given them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from torchgeo_geosane.errors import DataError

Sample = dict[str, Any]


@dataclass(frozen=True)
class Chain:
    """Several transforms, one after the other.

    Attributes:
        steps: The transforms.
    """

    steps: tuple[Callable[[Sample], Sample], ...]

    def __call__(self, sample: Sample) -> Sample:
        """Apply them all."""
        for step in self.steps:
            sample = step(sample)
        return sample


@dataclass(frozen=True)
class Channels:
    """Chooses and orders channels.

    Attributes:
        indices: Those wanted.
    """

    indices: tuple[int, ...]

    def __call__(self, sample: Sample) -> Sample:
        """Choose them; the image becomes float32."""
        return {**sample, 'image': sample['image'][list(self.indices)].float()}


@dataclass(frozen=True)
class Resize:
    """Resizes an image to a square, bilinear and antialiased, with its boxes; no label map.

    Attributes:
        size: Height and width in pixels.

    Raises:
        DataError: If the size is not positive.
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DataError(f'images cannot be resized to {self.size} pixels: give at least 1')

    def __call__(self, sample: Sample) -> Sample:
        """Resize the image of a sample, and its ``bbox_xyxy`` if it has any."""
        image = sample['image']
        height, width = image.shape[-2:]
        size = (self.size, self.size)
        resized = F.interpolate(image[None], size, mode='bilinear', antialias=True)
        sample = {**sample, 'image': resized[0]}
        if 'bbox_xyxy' in sample:
            scale = torch.tensor([self.size / width, self.size / height]).repeat(2)
            sample['bbox_xyxy'] = sample['bbox_xyxy'] * scale
        return sample


@dataclass(frozen=True)
class Pad:
    """Pads image and mask on the right and below, to a size that the models' strides divide.

    Attributes:
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        label: What the mask holds there.
    """

    height: int
    width: int
    label: int

    def __call__(self, sample: Sample) -> Sample:
        """Pad the image with 0 and the mask with ``label``.

        Raises:
            DataError: If the image is larger.
        """
        height, width = sample['image'].shape[-2:]
        if height > self.height or width > self.width:
            raise DataError(
                f'an image of {height} x {width} pixels cannot be padded to '
                f'{self.height} x {self.width}: restore the files'
            )
        frame = (0, self.width - width, 0, self.height - height)
        padded = {**sample, 'image': F.pad(sample['image'], frame)}
        if 'mask' in sample:
            padded['mask'] = F.pad(sample['mask'], frame, value=self.label)
        return padded


@dataclass(frozen=True)
class ShiftLabels:
    """Counts classes of objects from another number on.

    Attributes:
        by: Added to every label.
    """

    by: int

    def __call__(self, sample: Sample) -> Sample:
        """Shift the labels."""
        return {**sample, 'label': sample['label'] + self.by}
