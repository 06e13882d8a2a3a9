"""The weight-space autoencoder of GeoSANE: a transformer over weight tokens.

CVPR 2026, arXiv 2603.23408, section 3.

``z = encoder_comp(encoder(tokenizer(x) + P))`` and ``y = detokenizer(decoder(decoder_comp(z) +
P))``, where ``P`` embeds each token's position. Both transformers are stacks of pre-norm GPT-2
blocks with full attention and no biases, without a final norm. Attributes carry the official names,
so official checkpoints load without renaming.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchgeo_geosane.foundry.config import FoundryConfig

N_LAYER_TYPES = 9


class FoundryAttention(nn.Module):
    """Multi-head attention over all tokens of a window, no biases."""

    def __init__(self, d_model: int, nhead: int, dropout: float) -> None:
        super().__init__()
        self.nhead = nhead
        self.dropout = dropout
        self.c_attn = nn.Linear(d_model, 3 * d_model, bias=False)
        self.c_proj = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend. ``x`` and result: ``[batch, tokens, d_model]``."""
        batch, tokens, width = x.shape
        qkv = self.c_attn(x.to(self.c_attn.weight.dtype))
        qkv = qkv.view(batch, tokens, 3, self.nhead, width // self.nhead)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = _attend(q, k, v, self.dropout if self.training else 0.0)
        return F.dropout(
            self.c_proj(y.transpose(1, 2).reshape(batch, tokens, width)),
            self.dropout,
            self.training,
        )


def _attend(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Attention of ``[batch, heads, tokens, width]``; the result has the same shape."""
    if q.dtype == torch.bfloat16 and q.device.type == 'cpu' and not dropout:
        # The fused CPU kernel is no faster in bfloat16 than in float32; plain products are, by a
        # third, and in training by half. Head by head, so that the scores stay in the cache and off
        # the page tables; without autocast, which would make a float32 copy of them.
        heads = zip((q * q.shape[-1] ** -0.5).unbind(1), k.unbind(1), v.unbind(1), strict=True)
        with torch.autocast('cpu', enabled=False):
            return torch.stack([(q @ k.mT).softmax(dim=-1) @ v for q, k, v in heads], dim=1)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)


class FoundryMLP(nn.Module):
    """Two linear maps around an exact GELU, four times the width, no biases."""

    def __init__(self, d_model: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = nn.Linear(d_model, 4 * d_model, bias=False)
        self.c_proj = nn.Linear(4 * d_model, d_model, bias=False)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Map each token by itself. ``x`` and result: ``[batch, tokens, d_model]``."""
        x = self.c_fc(x.to(self.c_fc.weight.dtype))
        # The largest activation: in place where no gradient needs it.
        x = F.gelu(x) if x.requires_grad else torch.ops.aten.gelu_(x)
        return F.dropout(self.c_proj(x), self.dropout, self.training)


class FoundryBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, d_model: int, nhead: int, dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(d_model, bias=False)
        self.attn = FoundryAttention(d_model, nhead, dropout)
        self.ln_2 = nn.LayerNorm(d_model, bias=False)
        self.mlp = FoundryMLP(d_model, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` and result: ``[batch, tokens, d_model]``."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class FoundryTransformer(nn.Module):
    """A stack of blocks."""

    def __init__(self, config: FoundryConfig) -> None:
        super().__init__()
        self.transformer = nn.ModuleList(
            FoundryBlock(config.d_model, config.nhead, config.dropout)
            for _ in range(config.num_layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``x`` and result: ``[batch, tokens, d_model]``."""
        for block in self.transformer:
            x = block(x)
        return x


class SinusoidalPositions(nn.Module):
    """Sum of three sinusoidal embeddings (functional and quantized variants).

    The official code sums in float16; so does this, to the bit.
    """

    def __init__(self, config: FoundryConfig) -> None:
        super().__init__()
        self.buckets = config.position_buckets if config.positions == 'quantized' else None
        steps = torch.arange(0, config.d_model, 2, dtype=torch.float32)
        self.div_term: Tensor
        self.register_buffer('div_term', torch.exp(steps * (-math.log(10000.0) / config.d_model)))

    def forward(self, positions: Tensor) -> Tensor:
        """Embed positions ``[..., 3]``: float32 ``[..., d_model]``."""
        if self.buckets is not None and positions.is_floating_point():
            positions = (positions.clamp(0, 1) * (self.buckets - 1)).round()
        angles = positions.unsqueeze(-1).to(torch.float32) * self.div_term.float()
        waves = [self._sum(wave) for wave in (angles.sin(), angles.cos())]
        return torch.stack(waves, dim=-1).flatten(-2).to(torch.float32)

    @staticmethod
    def _sum(waves: Tensor) -> Tensor:
        """Sum ``[..., 3, d_model / 2]`` over the 3, rounding to float16 once per addition."""
        sequence, tensor, piece = waves.unbind(-2)
        return ((sequence.half() + tensor).half() + piece).half()


class LearnedPositions(nn.Module):
    """Three lookup tables; the sequence's and the tensor's are summed, the slice's is appended."""

    def __init__(self, config: FoundryConfig) -> None:
        super().__init__()
        assert config.max_positions is not None
        sequence, tensor, piece = config.max_positions
        self.pe1 = nn.Embedding(sequence, config.d_model // 2)
        self.pe2 = nn.Embedding(tensor, config.d_model // 2)
        self.pe3 = nn.Embedding(piece, config.d_model // 2)

    def forward(self, positions: Tensor) -> Tensor:
        """Embed integer positions ``[..., 3]``: ``[..., d_model]``."""
        n, tensor, piece = positions.unbind(-1)
        return torch.cat([self.pe1(n) + self.pe2(tensor), self.pe3(piece)], dim=-1)


class LayerTypeEmbedding(nn.Module):
    """One vector for each kind of layer a token can come from."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_LAYER_TYPES, d_model)

    def forward(self, kinds: Tensor) -> Tensor:
        """Embed kinds ``[...]`` in 0…8: ``[..., d_model]``."""
        return self.embedding(kinds)


class SkipDetokenizer(nn.Module):
    """Narrowing hidden layers to the token, plus a linear skip."""

    def __init__(self, d_model: int, token_size: int) -> None:
        super().__init__()
        widths = [d_model, d_model // 2, d_model // 4, d_model // 8]
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.LeakyReLU()]
        self.hidden_layers = nn.Sequential(*layers)
        self.proj_up = nn.Linear(widths[-1], token_size)
        self.skip_proj = nn.Linear(d_model, token_size)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., d_model]`` to ``[..., token_size]``."""
        return self.proj_up(self.hidden_layers(x)) + self.skip_proj(x)


class ProjectionHead(nn.Module):
    """Maps all latents of a training window to one contrastive vector."""

    def __init__(self, config: FoundryConfig) -> None:
        super().__init__()
        width = config.projection_dim
        self.head = nn.Sequential(
            nn.Linear(config.latent_dim * config.window, width, bias=False),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Linear(width, width, bias=False),
            nn.LayerNorm(width),
            nn.ReLU(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """``[batch, window, latent_dim]`` to ``[batch, projection_dim]``."""
        return self.head(z.flatten(1))


class WeightAutoencoder(nn.Module):
    """Encodes weight tokens to latents and decodes latents to weight tokens.

    Attributes:
        config: Sizes and variants.
    """

    def __init__(self, config: FoundryConfig) -> None:
        """Build with GPT-2's initialisation."""
        super().__init__()
        self.config = config
        d, token = config.d_model, config.token_size
        self.tokenizer = nn.Linear(token, d)
        self.transformer_encoder = FoundryTransformer(config)
        self.encoder_comp = nn.Linear(d, config.latent_dim)
        self.decoder_comp = nn.Linear(config.latent_dim, d)
        self.transformer_decoder = FoundryTransformer(config)
        self.detokenizer = _detokenizer(config)
        self.pe = (
            LearnedPositions(config)
            if config.positions == 'learned'
            else SinusoidalPositions(config)
        )
        if config.layer_types:
            self.layer_type_embs = LayerTypeEmbedding(d)
        if config.projection_dim:
            self.projection_head = ProjectionHead(config)
        self.apply(_initialise)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the matrix products; norms, positions and residual stream stay float32."""
        return self.tokenizer.weight.dtype

    def linear_maps(self) -> set[str]:
        """Names of the weights and biases whose type is that of the matrix products."""
        return {
            f'{name}.{parameter}'
            for name, module in self.named_modules()
            if isinstance(module, nn.Linear)
            for parameter, _ in module.named_parameters()
        }

    def encode(self, tokens: Tensor, positions: Tensor, kinds: Tensor | None = None) -> Tensor:
        """Encode windows of tokens.

        Args:
            tokens: float ``[batch, window, token_size]``.
            positions: ``[batch, window, 3]``, integer indices or float fractions.
            kinds: Kind of layer of each token, int ``[batch, window]``; needed where the foundry
                embeds it.

        Returns:
            Latents ``[batch, window, latent_dim]``.
        """
        return self.encode_embedded(tokens, self.embed(positions, kinds)[0])

    def decode(self, latents: Tensor, positions: Tensor, kinds: Tensor | None = None) -> Tensor:
        """Decode latents ``[batch, window, latent_dim]`` to ``[batch, window, token_size]``."""
        return self.decode_embedded(latents, self.embed(positions, kinds)[1])

    def embed(self, positions: Tensor, kinds: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What is added to every activation: ``[..., d_model]`` for the encoder, for the decoder."""
        embedding = self.pe(positions)
        if not self.config.layer_types:
            return embedding, embedding
        if kinds is None:
            raise ValueError('this foundry embeds layer types: pass the kinds of the tokens')
        typed = embedding + self.layer_type_embs(kinds)
        return typed, embedding if self.config.layer_types_encoder_only else typed

    def encode_embedded(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """Encode, with the encoder's embedding of ``embed`` at hand."""
        stream = self.tokenizer(tokens.to(self.dtype)) + embedding
        return self.encoder_comp(self.transformer_encoder(stream).to(self.dtype))

    def decode_embedded(self, latents: Tensor, embedding: Tensor) -> Tensor:
        """Decode, with the decoder's embedding of ``embed`` at hand."""
        stream = self.decoder_comp(latents.to(self.dtype)) + embedding
        return self.detokenizer(self.transformer_decoder(stream).to(self.dtype))

    def project(self, latents: Tensor) -> Tensor:
        """Contrastive vectors ``[batch, projection_dim]`` of whole training windows of latents."""
        return self.projection_head(latents)


def _detokenizer(config: FoundryConfig) -> nn.Module:
    d, token = config.d_model, config.token_size
    match config.detokenizer:
        case 'linear':
            return nn.Linear(d, token)
        case 'hidden':
            return nn.Sequential(nn.Linear(d, d // 2), nn.GELU(), nn.Linear(d // 2, token))
        case 'skip':
            return SkipDetokenizer(d, token)


def _initialise(module: nn.Module) -> None:
    if not isinstance(module, nn.Linear | nn.Embedding) or module.weight.is_meta:
        return  # On the meta device there is nothing to fill, but the attempt takes its time.
    nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
