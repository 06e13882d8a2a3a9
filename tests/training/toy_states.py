"""Weights of which a foundry can learn something."""

import math

import torch


def toy_state(seed: int) -> dict[str, torch.Tensor]:
    """A small network whose rows are sine waves, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    phases = torch.rand(48, 1, generator=generator) * 2 * math.pi
    waves = torch.sin(torch.arange(36) * 0.35 + phases)
    return {
        'stem.weight': waves[:24].reshape(24, 4, 3, 3),
        'stem.bias': torch.zeros(24),
        'fc.weight': waves[24:],
        'steps': torch.tensor(3),
    }
