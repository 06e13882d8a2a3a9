"""The density of an architecture's latents: what new networks are drawn from without a prompt."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentDensity:
    """A Gaussian over the latents of whole models, with a covariance of low rank.

    Attributes:
        mean: Of every token's latent, float32 ``[n, latent_dim]``.
        factors: Principal directions of whole models' latents, each as long as one standard
            deviation: float32 ``[rank, n, latent_dim]``.
    """

    mean: Tensor
    factors: Tensor

    def at(self, tokens: Tensor) -> 'LatentDensity':
        """The density of some tokens, by their numbers: int64 ``[m]``."""
        return LatentDensity(self.mean[tokens], self.factors[:, tokens])

    @classmethod
    def fit(cls, latents: Tensor, rank: int) -> 'LatentDensity':
        """Fit a density.

        Args:
            latents: Of whole models, float ``[models, n, latent_dim]``.
            rank: Of the covariance; never more than models less one.
        """
        mean = latents.mean(0)
        centred = (latents - mean).flatten(1)
        rank = min(rank, len(latents) - 1)
        # The singular vectors by way of the smaller matrix of products.
        vectors = torch.linalg.eigh((centred @ centred.T).double()).eigenvectors
        kept = vectors[:, -rank:].flip(1) if rank else vectors[:, :0]
        directions = kept.T.to(centred) @ centred
        return cls(mean, (directions / max(len(latents) - 1, 1) ** 0.5).view(rank, *mean.shape))
