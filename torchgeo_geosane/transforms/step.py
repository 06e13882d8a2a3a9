"""A function of an image as a step of a kornia pipeline."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kornia.augmentation import IntensityAugmentationBase2D
from torch import Tensor


class ImageStep(IntensityAugmentationBase2D):
    """Applies a function to every image; masks, boxes and points pass unchanged.

    Args:
        function: From an image [B, C, H, W] and ``options`` to an image.
        options: Shown by ``repr``.
    """

    def __init__(self, function: Callable[..., Tensor], **options: Any) -> None:
        super().__init__(p=1, keepdim=True)
        # A pipeline adds keys of its own to the flags: they are for repr alone.
        self.function = partial(function, **options)
        self.flags = options

    def apply_transform(
        self,
        input: Tensor,  # noqa: A002
        params: dict[str, Tensor],
        flags: dict[str, Any],
        transform: Tensor | None = None,
    ) -> Tensor:
        """Apply the function."""
        return self.function(input)
