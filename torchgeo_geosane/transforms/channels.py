"""Steps of a pipeline for some channels, where an image mixes sensors."""

from collections.abc import Sequence
from typing import Any

import torch
from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor

from torchgeo_geosane.errors import TransformError


class OnChannels(IntensityAugmentationBase2D):
    """Applies a step to some channels; the others pass unchanged.

    Args:
        step: Any of kornia's or our steps that change values and not the number of channels. Its
            own probability counts.
        channels: Their indices.

    Raises:
        TransformError: If there is no channel, or one is negative or named twice.
    """

    def __init__(self, step: IntensityAugmentationBase2D, channels: Sequence[int]) -> None:
        super().__init__(
            p=step.p, p_batch=step.p_batch, same_on_batch=step.same_on_batch, keepdim=True
        )
        self.channels = list(channels)
        if not self.channels or min(self.channels) < 0 or len(set(channels)) < len(channels):
            raise TransformError(
                f'channels {self.channels} are empty, negative or name one twice: name each once'
            )
        self.step = step
        self.flags = {'step': repr(step), 'channels': self.channels}

    def generate_parameters(self, batch_shape: tuple[int, ...]) -> dict[str, Tensor]:
        """Draw what the step draws, for its channels alone."""
        images, _, *size = batch_shape
        return self.step.generate_parameters(torch.Size((images, len(self.channels), *size)))

    def apply_transform(
        self,
        input: Tensor,  # noqa: A002
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Apply the step to its channels.

        Raises:
            TransformError: If the image has fewer channels.
        """
        if max(self.channels) >= input.shape[1]:
            raise TransformError(
                f'no channel {max(self.channels)} in an image of {input.shape[1]}: '
                'give the indices of its own channels'
            )
        output = input.clone()
        changed = self.step.apply_transform(input[:, self.channels], params, self.step.flags)
        output[:, self.channels] = changed
        return output
