"""What a foundry is made of: sizes, variants, and how its tokens are cut."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from torchgeo_geosane.foundry.errors import FoundryError, did_you_mean
from torchgeo_geosane.foundry.layout import Tokenisation
from torchgeo_geosane.foundry.tokens import RowScale

PositionKind = Literal['functional', 'quantized', 'learned']
DetokenizerKind = Literal['linear', 'hidden', 'skip']

# Attention over a window takes memory and time; no foundry known uses more than 512 tokens.
MAX_WINDOW = 65_536


@dataclass(frozen=True, kw_only=True)
class FoundryConfig:
    """Configuration of a weight-space autoencoder.

    Attributes:
        d_model: Width of the transformers.
        nhead: Attention heads.
        num_layers: Layers of the encoder, and of the decoder.
        latent_dim: Numbers in a latent.
        token_size: Weights in a token.
        window: Tokens in a window's core; also the length of a training window.
        halo: Tokens of context on each side of a core when generating.
        positions: How positions are embedded.
        position_buckets: Levels of the quantized embedding for relative positions.
        max_positions: Sizes of the learned embedding's tables for (sequence, tensor, slice).
        relative_positions: Positions as fractions instead of indices.
        detokenizer: Shape of the output map.
        layer_types: Whether the kind of layer is embedded too.
        layer_types_encoder_only: Whether only the encoder sees the kind of layer.
        projection_dim: Width of the contrastive projection head; 0 for none.
        dropout: Dropout while training.
        tokenisation: Which tensors are cut (``dense`` is the official format).
        row_scale: How matrix rows are scaled before they are cut (``none`` is the official format).
    """

    d_model: int
    nhead: int
    num_layers: int
    latent_dim: int
    token_size: int = 230
    window: int = 512
    halo: int = 64
    positions: PositionKind = 'functional'
    position_buckets: int = 1024
    max_positions: tuple[int, int, int] | None = None
    relative_positions: bool = False
    detokenizer: DetokenizerKind = 'linear'
    layer_types: bool = False
    layer_types_encoder_only: bool = False
    projection_dim: int = 30
    dropout: float = 0.0
    tokenisation: Tokenisation = 'dense'
    row_scale: RowScale = 'none'

    def __post_init__(self) -> None:
        """Check the values against each other.

        Raises:
            FoundryError: If a value is out of range, or the heads do not divide the width.
        """
        sizes = ('d_model', 'nhead', 'num_layers', 'latent_dim', 'token_size', 'window')
        for name in (*sizes, 'position_buckets'):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise FoundryError(f'{name} must be a positive integer, not {value!r}')
        if not isinstance(self.halo, int) or not 0 <= self.halo <= MAX_WINDOW:
            raise FoundryError(f'halo must be from 0 to {MAX_WINDOW}, not {self.halo!r}')
        if self.window > MAX_WINDOW:
            raise FoundryError(f'window must be at most {MAX_WINDOW}, not {self.window}')
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise FoundryError(f'dropout must be a number from 0 to below 1, not {self.dropout!r}')
        if self.d_model % self.nhead or self.d_model % 2:
            raise FoundryError(
                f'd_model {self.d_model} must be even and divisible by nhead {self.nhead}'
            )
        if self.positions == 'learned' and self.max_positions is None:
            raise FoundryError(
                'learned positions need max_positions, the sizes of their three tables'
            )
        if self.positions == 'learned' and self.relative_positions:
            raise FoundryError(
                'learned positions are looked up by index: relative_positions must be off'
            )

    def to_json(self) -> str:
        """The configuration as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> 'FoundryConfig':
        """Read what ``to_json`` wrote.

        Raises:
            FoundryError: If the text is not such a configuration.
        """
        try:
            values: dict[str, Any] = dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise FoundryError(f'the foundry configuration is not JSON: {error}') from error
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values.keys() - known:
            raise FoundryError(
                f'unknown field {name!r} in the foundry configuration' + did_you_mean(name, known)
            )
        if values.get('max_positions') is not None:
            values['max_positions'] = tuple(values['max_positions'])
        try:
            return cls(**values)
        except TypeError as error:
            raise FoundryError(f'the foundry configuration is incomplete: {error}') from error
