"""What a foundry is made of: sizes, variants, and how its tokens are cut."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torchgeo_geosane.foundry.errors import FoundryError, did_you_mean
from torchgeo_geosane.foundry.files import telling
from torchgeo_geosane.foundry.layout import Tokenisation
from torchgeo_geosane.foundry.tokens import RowScale

PositionKind = Literal['functional', 'quantized', 'learned']
DetokenizerKind = Literal['linear', 'hidden', 'skip']

# Attention over a window takes memory and time; no foundry known uses more than 512 tokens.
MAX_WINDOW = 65_536
_SIZES = ('d_model', 'nhead', 'latent_dim', 'token_size', 'window', 'position_buckets')


@dataclass(frozen=True, kw_only=True)
class FoundryConfig:
    """Configuration of a weight-space autoencoder.

    Attributes:
        d_model: Width of the transformers.
        nhead: Attention heads.
        num_layers: Layers of the encoder, and of the decoder; 0 for a linear code.
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
        place_code: Whether tokens of the architectures that it was trained on are coded in the
            principal components of their place (see ``foundry.places``); for small networks.
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
    place_code: bool = False

    def __post_init__(self) -> None:
        """Check the values against each other.

        Raises:
            FoundryError: If a value is of another type, unknown or out of range, or the heads do
                not divide the width.
        """
        for name, kind in get_type_hints(type(self)).items():
            _check_type(name, getattr(self, name), kind)
        for name in _SIZES:
            if getattr(self, name) < 1:
                raise FoundryError(
                    f'{name} must be a positive integer, not {getattr(self, name)!r}'
                )
        if self.num_layers < 0:
            raise FoundryError(f'num_layers must be 0 or more, not {self.num_layers}')
        if not 0 <= self.halo <= MAX_WINDOW:
            raise FoundryError(f'halo must be from 0 to {MAX_WINDOW}, not {self.halo!r}')
        if self.window > MAX_WINDOW:
            raise FoundryError(f'window must be at most {MAX_WINDOW}, not {self.window}')
        if self.projection_dim < 0:
            raise FoundryError(f'projection_dim must be 0 or more, not {self.projection_dim}')
        if not 0 <= self.dropout < 1:
            raise FoundryError(f'dropout must be a number from 0 to below 1, not {self.dropout!r}')
        if self.max_positions is not None and min(self.max_positions) < 1:
            raise FoundryError(
                f'max_positions must be three positive integers, not {self.max_positions}'
            )
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
        values = _read_object(text)
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values.keys() - known:
            raise FoundryError(
                f'unknown field {name!r} in the foundry configuration' + did_you_mean(name, known)
            )
        if isinstance(values.get('max_positions'), list):
            values['max_positions'] = tuple(values['max_positions'])
        try:
            return cls(**values)
        except TypeError as error:
            raise FoundryError(f'the foundry configuration is incomplete: {error}') from error


def _read_object(text: str) -> dict[str, Any]:
    with telling(FoundryError, 'the foundry configuration is not JSON'):
        values = json.loads(text)
    if not isinstance(values, dict):
        raise FoundryError('the foundry configuration is not JSON with named values')
    return values


def _check_type(name: str, value: object, kind: Any) -> None:
    """Make sure that a field holds what it may: ``'False'`` is no boolean, ``1`` is one neither.

    Raises:
        FoundryError: If not.
    """
    if get_origin(kind) is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise FoundryError(
                f'{name} is {value!r}, which is not known'
                + did_you_mean(str(value), get_args(kind))
            )
    elif kind is bool:
        if not isinstance(value, bool):
            raise FoundryError(f'{name} must be true or false, not {value!r}')
    elif kind is int:
        if not isinstance(value, int) or isinstance(value, bool):
            wanted = 'a positive integer' if name in _SIZES else 'an integer'
            raise FoundryError(f'{name} must be {wanted}, not {value!r}')
    elif kind is float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise FoundryError(f'{name} must be a number, not {value!r}')
    elif value is not None and not (
        isinstance(value, tuple) and len(value) == 3 and all(type(n) is int for n in value)
    ):
        raise FoundryError(f'{name} must be three positive integers, not {value!r}')
