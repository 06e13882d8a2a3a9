"""Random parameters that kornia draws and records."""

import torch
from kornia.augmentation.random_generator.base import RandomGeneratorBase
from torch import Tensor


class PerBand(RandomGeneratorBase):
    """Uniform numbers, one for each image and band, [B, C, 1, 1].

    Args:
        ranges: By the parameter's name, the smallest and the largest value.
    """

    def __init__(self, **ranges: tuple[float, float]) -> None:
        super().__init__()
        self.ranges = ranges

    def __repr__(self) -> str:
        return ', '.join(f'{name}={low}…{high}' for name, (low, high) in self.ranges.items())

    def make_samplers(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing to prepare."""

    def forward(
        self, batch_shape: tuple[int, ...], same_on_batch: bool = False
    ) -> dict[str, Tensor]:
        """Draw for a batch; one row for all its images if they are to be changed alike."""
        shape = (1 if same_on_batch else batch_shape[0], batch_shape[1], 1, 1)
        return {
            name: torch.empty(shape, device=self.device, dtype=self.dtype).uniform_(low, high)
            for name, (low, high) in self.ranges.items()
        }


class Seed(RandomGeneratorBase):
    """A seed for what is too large to be drawn on the CPU and sent to the device."""

    def __repr__(self) -> str:
        return ''

    def make_samplers(self, device: torch.device, dtype: torch.dtype) -> None:
        """Nothing to prepare."""

    def forward(
        self, batch_shape: tuple[int, ...], same_on_batch: bool = False
    ) -> dict[str, Tensor]:
        """Draw one seed for the batch, on the CPU."""
        return {'seed': torch.randint(2**62, (1,))}
