"""A foundry's sizes, inferred from its tensors' shapes, checked against what it says of itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchgeo_geosane.foundry.config import DetokenizerKind, FoundryConfig, PositionKind
from torchgeo_geosane.foundry.errors import FoundryError, did_you_mean
from torchgeo_geosane.foundry.stored import StoredTensor

# Official parameter names of the sizes that shapes tell too.
_SIZE_PARAMS = {
    'd_model': 'ae:d_model',
    'num_layers': 'ae:num_layers',
    'latent_dim': 'ae:lat_dim',
    'token_size': 'ae:i_dim',
    'window': 'training::windowsize',
    'layer_types': 'ae:use_layer_embs',
}
_POSITION_NAMES: dict[str, PositionKind] = {
    'functional': 'functional',
    'functional_quantized': 'quantized',
    'quantized': 'quantized',
    'learned': 'learned',
}


@dataclass(frozen=True)
class InferredSizes:
    """What the shapes of a foundry's tensors tell; no ``window`` without a projection head."""

    d_model: int
    num_layers: int
    latent_dim: int
    token_size: int
    window: int | None
    projection_dim: int
    detokenizer: DetokenizerKind
    max_positions: tuple[int, int, int] | None
    layer_types: bool

    def check(self, config: FoundryConfig, source: Path) -> None:
        """Compare with a configuration.

        Raises:
            FoundryError: If a size differs; both values are named.
        """
        for name, value in vars(self).items():
            stated = getattr(config, name)
            if value is not None and value != stated:
                raise FoundryError(
                    f'{source}: its configuration says {name} {stated}, its tensors have {value}'
                )


def infer_sizes(tensors: Mapping[str, StoredTensor]) -> InferredSizes:
    """Read a foundry's sizes off its tensors' shapes.

    Raises:
        FoundryError: If a tensor that every foundry has is missing.
    """
    d_model, token_size = _shape(tensors, 'tokenizer.weight')
    latent_dim = _shape(tensors, 'encoder_comp.weight')[0]
    layers = {
        int(match[1])
        for match in (
            re.match(r'transformer_encoder\.transformer\.(\d+)\.', name) for name in tensors
        )
        if match
    }
    head = 'projection_head.head.0.weight'
    projection_dim, flat = _shape(tensors, head) if head in tensors else (0, 0)
    names = [f'pe.pe{i}.weight' for i in (1, 2, 3)]
    sizes = tuple(_shape(tensors, name)[0] for name in names if name in tensors)
    return InferredSizes(
        d_model=d_model,
        num_layers=len(layers),
        latent_dim=latent_dim,
        token_size=token_size,
        window=flat // latent_dim if projection_dim else None,
        projection_dim=projection_dim,
        detokenizer=_detokenizer(tensors),
        max_positions=(sizes[0], sizes[1], sizes[2]) if len(sizes) == 3 else None,
        layer_types='layer_type_embs.embedding.weight' in tensors,
    )


def config_from_params(
    params: Mapping[str, Any], sizes: InferredSizes, source: Path
) -> FoundryConfig:
    """The configuration of an official checkpoint.

    Args:
        params: Content of its ``params.json``.
        sizes: What its tensors tell.
        source: Where it lies, for messages.

    Raises:
        FoundryError: If the number of heads is missing, or the parameters contradict the shapes.
    """
    for name, key in _SIZE_PARAMS.items():
        inferred = getattr(sizes, name)
        if inferred is not None and key in params and params[key] != inferred:
            raise FoundryError(
                f'{source}: params.json says "{key}": {params[key]}, '
                f'but the tensors have {inferred}'
            )
    if 'ae:nhead' not in params:
        raise FoundryError(
            f'{source}: params.json lacks "ae:nhead", '
            'and the number of heads cannot be told from shapes'
        )
    return FoundryConfig(
        d_model=sizes.d_model,
        nhead=params['ae:nhead'],
        num_layers=sizes.num_layers,
        latent_dim=sizes.latent_dim,
        token_size=sizes.token_size,
        window=sizes.window or params.get('training::windowsize', 512),
        positions=_positions(params, sizes, source),
        position_buckets=params.get('ae:num_pos_buckets', 1024),
        max_positions=sizes.max_positions,
        relative_positions=params.get('ae:relative_positions', False),
        detokenizer=sizes.detokenizer,
        layer_types=sizes.layer_types,
        layer_types_encoder_only=params.get('ae:use_layer_embs_enc_only', False),
        projection_dim=sizes.projection_dim,
        dropout=params.get('ae:dropout', 0.0),
    )


def params_from_config(config: FoundryConfig) -> dict[str, Any]:
    """The official ``params.json`` of a configuration."""
    params = {key: getattr(config, name) for name, key in _SIZE_PARAMS.items()}
    return params | {
        'ae:transformer_type': 'gpt2',
        'ae:nhead': config.nhead,
        'ae:pos_emb_type': config.positions,
        'ae:num_pos_buckets': config.position_buckets,
        'ae:relative_positions': config.relative_positions,
        'ae:use_layer_embs_enc_only': config.layer_types_encoder_only,
        'ae:dropout': config.dropout,
    }


def _shape(tensors: Mapping[str, StoredTensor], name: str) -> tuple[int, int]:
    if name not in tensors:
        raise FoundryError(
            f'not a GeoSANE foundry: it lacks {name!r} '
            f'(it has {", ".join(list(tensors)[:4]) or "no tensors"})'
        )
    shape = tuple(tensors[name].shape)
    if len(shape) != 2 or 0 in shape:
        raise FoundryError(f'{name!r} has shape {shape}; in a GeoSANE foundry it is a matrix')
    return shape[0], shape[1]


def _detokenizer(tensors: Mapping[str, StoredTensor]) -> DetokenizerKind:
    if 'detokenizer.weight' in tensors:
        return 'linear'
    if 'detokenizer.skip_proj.weight' in tensors:
        return 'skip'
    if 'detokenizer.0.weight' in tensors:
        return 'hidden'
    raise FoundryError(
        "the checkpoint lacks its detokenizer ('detokenizer.weight' or a variant of it)"
    )


def _positions(params: Mapping[str, Any], sizes: InferredSizes, source: Path) -> PositionKind:
    stated = params.get('ae:pos_emb_type', 'learned' if sizes.max_positions else 'functional')
    kind = _POSITION_NAMES.get(stated) if isinstance(stated, str) else None
    if kind is None:
        raise FoundryError(
            f'{source}: params.json says "ae:pos_emb_type": {stated!r}'
            + did_you_mean(str(stated), _POSITION_NAMES)
        )
    if (kind == 'learned') != (sizes.max_positions is not None):
        found = 'have' if sizes.max_positions else 'do not have'
        raise FoundryError(
            f'{source}: params.json says "ae:pos_emb_type": {stated!r}, '
            f'but the tensors {found} the three position tables of learned positions'
        )
    return kind
