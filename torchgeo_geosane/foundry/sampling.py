"""Samplers: how new latents are drawn around those of one or several prompts.

A sampler sees runs of latents and returns as many. What it draws depends on the seed and on a
token's place alone, never on how the sequence was cut into runs, so a result does not depend on
batches or processes; the global random state is neither read nor changed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from torchgeo_geosane.foundry.density import LatentDensity
from torchgeo_geosane.foundry.errors import FoundryError

# Random numbers are drawn in blocks of this many tokens, each from a generator of its own.
_BLOCK = 256


class Sampler(Protocol):
    """Draws latents around the latents of prompts."""

    name: ClassVar[str]

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Draw new latents for a run of tokens.

        Args:
            latents: The prompts' latents, float ``[prompts, n, latent_dim]``.
            start: Index of the run's first token in the sequence.
            seed: Which model to draw.

        Returns:
            ``[n, latent_dim]``, on the device and of the type of ``latents``.
        """

    def shares(self, prompts: int, seed: int) -> list[float]:
        """Each prompt's share (summing to 1) in what is not generated, and in the row norms."""


@dataclass(frozen=True)
class KDE:
    """A Gaussian kernel density estimate over the prompts' latents, drawn for each token by itself.

    Attributes:
        bandwidth: Standard deviation of the kernel, in units of a latent (the paper's 0.2).
    """

    name: ClassVar[str] = 'kde'
    bandwidth: float = 0.2

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Pick one prompt for each token, and add noise of its own."""
        prompts, n, width = latents.shape
        centres = latents[0]
        if prompts > 1:
            choice = (_uniform(seed, start, n) * prompts).long().to(latents.device)
            centres = latents[choice, torch.arange(n, device=latents.device)]
        return _add_noise(centres, self.bandwidth, seed, start, width)

    def shares(self, prompts: int, seed: int) -> list[float]:
        """All prompts equally."""
        return [1 / prompts] * prompts


@dataclass(frozen=True)
class JointKDE:
    """As ``KDE``, but one prompt is picked for the whole model.

    Attributes:
        bandwidth: Standard deviation of the kernel, in units of a latent.
    """

    name: ClassVar[str] = 'kde_joint'
    bandwidth: float = 0.2

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Add noise to the latents of the one prompt that the seed picks."""
        centres = latents[self._choice(len(latents), seed)]
        return _add_noise(centres, self.bandwidth, seed, start, latents.shape[-1])

    def shares(self, prompts: int, seed: int) -> list[float]:
        """Only the prompt that the seed picks."""
        return [float(prompt == self._choice(prompts, seed)) for prompt in range(prompts)]

    @staticmethod
    def _choice(prompts: int, seed: int) -> int:
        return int(_uniform(seed, 0, 1) * prompts)


@dataclass(frozen=True)
class MeanKDE:
    """As ``KDE``, but around the prompts' average: one kernel where all of them meet.

    Attributes:
        bandwidth: Standard deviation of the kernel, in units of a latent.
    """

    name: ClassVar[str] = 'kde_mean'
    bandwidth: float = 0.2

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Add noise to the average of the prompts' latents."""
        return _add_noise(latents.mean(0), self.bandwidth, seed, start, latents.shape[-1])

    def shares(self, prompts: int, seed: int) -> list[float]:
        """All prompts equally."""
        return [1 / prompts] * prompts


@dataclass(frozen=True)
class Linear:
    """A point on the straight line between two prompts' latents.

    Attributes:
        fraction: 0 is the first prompt, 1 the second.
    """

    name: ClassVar[str] = 'linear'
    fraction: float = 0.5

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Interpolate; nothing is drawn."""
        first, second = _pair(latents, self.name)
        return torch.lerp(first, second, self.fraction)

    def shares(self, prompts: int, seed: int) -> list[float]:
        """As the fraction says."""
        return [1 - self.fraction, self.fraction]


@dataclass(frozen=True)
class Spherical:
    """A point on the arc between two prompts' latents, token by token (slerp).

    Attributes:
        fraction: 0 is the first prompt, 1 the second.
    """

    name: ClassVar[str] = 'spherical'
    fraction: float = 0.5

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Interpolate; without an arc (parallel or zero latents) the line is taken."""
        first, second = _pair(latents, self.name)
        cosine = torch.nn.functional.cosine_similarity(first, second, dim=-1).clamp(-1, 1)
        angle = torch.acos(cosine).unsqueeze(-1)
        arc = (
            torch.sin((1 - self.fraction) * angle) * first
            + torch.sin(self.fraction * angle) * second
        ) / torch.sin(angle)
        defined = (1 - cosine.square() > 1e-6) & first.any(dim=-1) & second.any(dim=-1)
        return torch.where(defined.unsqueeze(-1), arc, torch.lerp(first, second, self.fraction))

    def shares(self, prompts: int, seed: int) -> list[float]:
        """As the fraction says."""
        return [1 - self.fraction, self.fraction]


@dataclass(frozen=True)
class Dirichlet:
    """A convex mix of the prompts' latents, one share a prompt for the whole model.

    Attributes:
        concentration: Of the symmetric Dirichlet distribution of the shares: near 0 one prompt has
            nearly all, at 1 every mix is equally likely, far above it all have nearly the same.
    """

    name: ClassVar[str] = 'dirichlet'
    concentration: float = 1.0

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Mix the prompts' latents by the shares that the seed draws."""
        return _weigh(latents, self.shares(len(latents), seed))

    def shares(self, prompts: int, seed: int) -> list[float]:
        """Drawn from the Dirichlet distribution."""
        drawn = np.random.default_rng(_hash(seed, 'shares')).dirichlet(
            [self.concentration] * prompts
        )
        return drawn.tolist()


@dataclass(frozen=True)
class Prior:
    """Draws from the density of an architecture's latents that the foundry keeps: no prompt needed.

    The prompt then names only what is not generated. ``of`` gives the sampler that draws.

    Attributes:
        spread: Standard deviation of what is drawn about the density's mean, in units of the
            density's own: 0 is the decoded average of the latents.
    """

    name: ClassVar[str] = 'prior'
    spread: float = 0.5

    def of(self, density: LatentDensity) -> 'DensitySampler':
        """The sampler for one architecture, whose tokens ``density`` has in the order of its layout."""
        return DensitySampler(self.spread, density)

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """Refuse: what to draw from is not known yet.

        Raises:
            FoundryError: Always.
        """
        raise FoundryError("the 'prior' sampler draws from a foundry's density: see Prior.of")

    def shares(self, prompts: int, seed: int) -> list[float]:
        """Only the first prompt: what is not generated is its."""
        return [1.0] + [0.0] * (prompts - 1)


@dataclass(frozen=True)
class DensitySampler:
    """``Prior``, bound to the density of one architecture.

    Attributes:
        spread: As ``Prior``'s.
        density: Mean and factors of its latents, token by token of its layout.
    """

    name: ClassVar[str] = Prior.name
    spread: float
    density: LatentDensity

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """The density's mean, and its factors times numbers that belong to the whole model."""
        n = latents.shape[1]
        factors = self.density.factors[:, start : start + n]
        generator = _generator(seed, 'prior')
        numbers = torch.randn(len(factors), generator=generator, dtype=torch.float32)
        drawn = self.density.mean[start : start + n].clone()
        for number, factor in zip(numbers, factors, strict=True):
            drawn += self.spread * number * factor
        return drawn.to(latents)

    def shares(self, prompts: int, seed: int) -> list[float]:
        """As ``Prior``'s."""
        return Prior(self.spread).shares(prompts, seed)


@dataclass(frozen=True)
class Reconstruct:
    """The first prompt's own latents: the result is what the foundry keeps of the prompt."""

    name: ClassVar[str] = 'reconstruct'

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """The first prompt's latents."""
        return latents[0]

    def shares(self, prompts: int, seed: int) -> list[float]:
        """Only the first prompt."""
        return [1.0] + [0.0] * (prompts - 1)


@dataclass(frozen=True)
class Average:
    """The prompts' own weights, averaged (of one prompt, itself): generation leaves the foundry out."""

    name: ClassVar[str] = 'average'

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        """The average of the prompts' latents, for who asks a foundry all the same."""
        return latents.mean(0)

    def shares(self, prompts: int, seed: int) -> list[float]:
        """All prompts equally."""
        return [1 / prompts] * prompts


_ALL = (KDE, JointKDE, MeanKDE, Linear, Spherical, Dirichlet, Prior, Reconstruct, Average)
SAMPLERS: dict[
    str,
    type[KDE | JointKDE | MeanKDE | Linear | Spherical | Dirichlet | Prior | Reconstruct | Average],
] = {sampler.name: sampler for sampler in _ALL}


def _pair(latents: Tensor, name: str) -> tuple[Tensor, Tensor]:
    if len(latents) != 2:
        raise FoundryError(
            f'the {name!r} sampler goes between two prompts, it was given {len(latents)}'
        )
    return latents[0], latents[1]


def _add_noise(centres: Tensor, bandwidth: float, seed: int, start: int, width: int) -> Tensor:
    noise = torch.empty(len(centres), width, dtype=torch.float32)
    for block, first, last in _blocks(start, len(centres)):
        generator = _generator(seed, f'noise {block}')
        drawn = torch.randn(_BLOCK, width, generator=generator, dtype=torch.float32)
        offset = block * _BLOCK - start
        noise[max(offset, 0) : offset + last] = drawn[first:last]
    return centres + bandwidth * noise.to(centres)


def _uniform(seed: int, start: int, n: int) -> Tensor:
    values = torch.empty(n, dtype=torch.float32)
    for block, first, last in _blocks(start, n):
        generator = _generator(seed, f'choice {block}')
        drawn = torch.rand(_BLOCK, generator=generator, dtype=torch.float32)
        offset = block * _BLOCK - start
        values[max(offset, 0) : offset + last] = drawn[first:last]
    return values


def _blocks(start: int, n: int) -> list[tuple[int, int, int]]:
    """The blocks that tokens ``[start, start + n)`` touch: index, and the range inside each."""
    first, last = start // _BLOCK, -(-(start + n) // _BLOCK)
    return [
        (block, max(start - block * _BLOCK, 0), min(start + n - block * _BLOCK, _BLOCK))
        for block in range(first, last)
    ]


def _weigh(latents: Tensor, shares: Sequence[float]) -> Tensor:
    """The weighted sum over prompts, value by value: a product of matrices rounds by their sizes."""
    total = shares[0] * latents[0]
    for share, own in zip(shares[1:], latents[1:], strict=True):
        total += share * own
    return total


def _generator(seed: int, purpose: str) -> torch.Generator:
    """A generator for one purpose."""
    return torch.Generator().manual_seed(_hash(seed, purpose))


def _hash(seed: int, purpose: str) -> int:
    """A seed for one purpose; hashing keeps neighbouring seeds and blocks unrelated."""
    return int.from_bytes(hashlib.sha256(f'{seed} {purpose}'.encode()).digest()[:8], 'little')
