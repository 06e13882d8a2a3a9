"""Exact linear algebra on an autoencoder: a linear start, and latents of unit spread.

Weight tokens are almost white, so what a small foundry keeps is above all a linear code. Starting
from the best one spares most of the training; the transformers then learn what it cannot hold.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder

# Size of an embedded token's entry against its position's (about 1): large, so that positions
# barely colour the latents.
_TOKEN_GAIN = 3.0


class Moments:
    """Mean and covariance of vectors that arrive in batches, in float64."""

    def __init__(self, width: int) -> None:
        """Start empty, for vectors of ``width`` numbers."""
        self._count = 0
        self._sum = torch.zeros(width, dtype=torch.float64)
        self._squares = torch.zeros(width, width, dtype=torch.float64)

    def add(self, vectors: Tensor) -> None:
        """Take in ``[n, width]``."""
        self._count += len(vectors)
        self._sum += vectors.sum(0, dtype=torch.float64)
        self._squares += (vectors.T @ vectors).double()

    def merge(self, other: 'Moments') -> None:
        """Take in all vectors that another has taken in."""
        self._count += other._count
        self._sum += other._sum
        self._squares += other._squares

    @property
    def mean(self) -> Tensor:
        """float64 ``[width]``."""
        return self._sum / self._count

    @property
    def covariance(self) -> Tensor:
        """float64 ``[width, width]``."""
        return self._squares / self._count - torch.outer(self.mean, self.mean)

    @property
    def std(self) -> Tensor:
        """float64 ``[width]``."""
        return self.covariance.diagonal().clamp(min=0).sqrt()


@torch.no_grad()
def start_linear(model: WeightAutoencoder, tokens: Iterable[Tensor]) -> None:
    """Make an autoencoder compute the tokens' leading principal components, in place.

    The tokenizer rotates a token into its principal components, the latent keeps the first
    ``latent_dim``, the detokenizer rotates back. Every block's output maps are zero, so that the
    transformers pass their input through. The decoder carries the code with its sign turned: the
    position that the encoder added and the one that the decoder adds then cancel exactly.

    Args:
        model: The autoencoder; its detokenizer must be linear, and
            ``latent_dim <= token_size <= d_model``.
        tokens: Runs of tokens ``[n, token_size]``.

    Raises:
        FoundryError: If the autoencoder's shape does not allow it.
    """
    config = model.config
    if not (isinstance(model.detokenizer, nn.Linear) and not config.layer_types) or not (
        config.latent_dim <= config.token_size <= config.d_model
    ):
        raise FoundryError(
            'a linear start needs a linear detokenizer, no layer types, and '
            'latent_dim <= token_size <= d_model'
        )
    moments = Moments(config.token_size)
    for run in tokens:
        moments.add(run)
    variances, components = torch.linalg.eigh(moments.covariance)
    components = components.flip(1).float()
    spread = variances.flip(0).clamp(min=1e-12).sqrt().float()[: config.latent_dim]
    mean = moments.mean.float()

    _zero_output_maps(model)
    size, kept = config.token_size, config.latent_dim
    _fill(model.tokenizer, _TOKEN_GAIN * components.T, rows=size)
    model.tokenizer.bias[:size] = -_TOKEN_GAIN * (components.T @ mean)
    _fill(model.encoder_comp, torch.diag(1 / (_TOKEN_GAIN * spread)), columns=kept)
    _fill(model.decoder_comp, torch.diag(-_TOKEN_GAIN * spread), rows=kept)
    _fill(model.detokenizer, -components[:, :kept] / _TOKEN_GAIN, columns=kept)
    model.detokenizer.bias.copy_(mean)


@torch.no_grad()
def standardise_latents(model: WeightAutoencoder, latents: Moments) -> None:
    """Give every latent dimension mean 0 and standard deviation 1 over a collection, in place.

    An exact change of units between ``encoder_comp`` and ``decoder_comp``: ``decode(encode(x))``
    stays what it was, and a bandwidth of 0.2 is then 20 % of a latent's spread.

    Args:
        model: The autoencoder.
        latents: Moments of its latents over the collection. A dimension that never varies keeps
            its unit.
    """
    std = torch.where(latents.std > 0, latents.std, 1.0).float()
    mean = latents.mean.float()
    model.decoder_comp.bias.add_(model.decoder_comp.weight @ mean)
    model.decoder_comp.weight.mul_(std)
    model.encoder_comp.weight.div_(std.unsqueeze(1))
    model.encoder_comp.bias.copy_((model.encoder_comp.bias - mean) / std)


def _zero_output_maps(model: WeightAutoencoder) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith('c_proj.weight'):
            parameter.zero_()


def _fill(
    layer: nn.Linear, weight: Tensor, rows: int | None = None, columns: int | None = None
) -> None:
    """Set the upper left of a layer's weight, and everything else to zero."""
    layer.weight.zero_()
    layer.bias.zero_()
    layer.weight[:rows, :columns] = weight
