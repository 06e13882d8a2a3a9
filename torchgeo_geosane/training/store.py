"""The token store: windows cut straight from the files of a collection, which are memory-mapped.

What is in memory grows with the tensors of a collection, not with its tokens: of each model its file,
and the layout of its tokens, which models of one architecture share.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import NotRequired, TypeAlias, TypedDict

import torch
from torch import Tensor

from torchgeo_geosane.alignment import (
    Groups,
    PermutedSource,
    RandomPlaces,
    from_text,
    groups_of,
)
from torchgeo_geosane.collection import CollectionError, ManifestEntry, TrainedModel
from torchgeo_geosane.collection.contents import floating_shapes, weight_shapes
from torchgeo_geosane.collection.mapped import map_weights, open_mapped
from torchgeo_geosane.errors import CacheError, TokenError
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.layout import Layout, Tokenisation
from torchgeo_geosane.foundry.places import PlaceCode
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.foundry.tokens import RowScale, TokenReader
from torchgeo_geosane.providers.catalog import ARCHITECTURES

Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]

# Models whose files a process keeps mapped at once: each takes a file handle.
_MAPPED_MODELS = 256


class TokenBatch(TypedDict):
    """Windows of tokens; without the first dimension where it is a single one.

    Attributes:
        tokens: As the foundry sees them, float32 ``[batch, window, token_size]``.
        size: Sum of squares of each token as it is, whatever its place's code: float32
            ``[batch, window]``.
        mask: bool, same shape; True where a token holds a real value.
        positions: ``[batch, window, 3]``, as the foundry wants them.
        kinds: Kind of layer of each token, int64 ``[batch, window]``.
        model: Number of the model in the data module's ``models``, int64 ``[batch]``.
        view: Where two views are asked for, the same windows of the same models with their hidden
            units permuted: as ``tokens``, which it equals where nothing can be permuted.
    """

    tokens: Tensor
    size: Tensor
    mask: Tensor
    positions: Tensor
    kinds: Tensor
    model: Tensor
    view: NotRequired[Tensor]


@dataclass(frozen=True)
class OpenedModel:
    """A model of the collection, ready to be cut. It holds no file: other processes can have it.

    Attributes:
        entry: What the manifest says of it.
        file: Where its tensors are mapped from.
        layout: Where each tensor sits in its token sequence.
        row_scale: How its rows are scaled.
        hidden: Its hidden units that may change places; None where that was not asked for.
        number: Its place in the data module's ``models``.
        places: How its tokens are coded by their place; None where they are taken as they are.
    """

    entry: ManifestEntry
    file: Path
    layout: Layout = field(repr=False)
    row_scale: RowScale
    hidden: Groups | None = field(default=None, repr=False)
    number: int = 0
    places: PlaceCode | None = field(default=None, repr=False)

    @classmethod
    def open(
        cls,
        model: TrainedModel,
        config: FoundryConfig,
        held_out: bool,
        permute: bool = False,
        number: int = 0,
    ) -> 'OpenedModel':
        """Fetch a model if need be, verify it, and lay out its tokens.

        Raises:
            CollectionError: If it cannot be had or read, is not the one that was named, or holds
                nothing to train on.
            CacheError: If its format cannot be mapped, and there is no room for a copy that can.
        """
        path, sha256 = model.locate()
        file = map_weights(path, sha256)
        source = open_mapped(file)
        try:
            _check_alignment(model.alignment, source)
            shapes = weight_shapes(source)
            layout = _plan(tuple(shapes.items()), config.token_size, config.tokenisation)
        except (CacheError, CollectionError, TokenError) as error:
            raise CollectionError(f'cannot train on {model.name!r}: {error}') from error
        entry = ManifestEntry.describe(model, shapes, layout, 'held_out' if held_out else 'trained')
        hidden = None
        if permute:
            name = ARCHITECTURES.get(model.architecture or '', model.architecture or '')
            hidden = groups_of(floating_shapes(source), name.partition('.')[0])
        return cls(entry, file, layout, config.row_scale, hidden, number)

    @property
    def source(self) -> TensorSource:
        """Its tensors, in the order of its reference."""
        return _source(self.file, self.entry.alignment)

    @property
    def reader(self) -> TokenReader:
        """Cuts its tokens, as the foundry sees them."""
        return TokenReader(self.source, self.layout, self.row_scale, self.places)

    @property
    def plain_reader(self) -> TokenReader:
        """Cuts its tokens as they are, whatever their places' code."""
        return TokenReader(self.source, self.layout, self.row_scale)

    def runs(self, length: int = 8192) -> Iterator[Tensor]:
        """All tokens of the model in order, in runs of at most ``length``: ``[n, token_size]``."""
        for start in range(0, len(self.layout), length):
            yield self.reader.read(start, min(start + length, len(self.layout)))

    def window(self, start: int, config: FoundryConfig, seed: int | None = None) -> TokenBatch:
        """The window that begins at a token; a model shorter than a window is padded and masked.

        Args:
            start: The token.
            config: How long windows are, and how positions are counted.
            seed: Draws the order of hidden units of a second view; None for a single view.
        """
        layout = self.layout
        stop = min(start + config.window, len(layout))
        positions = layout.relative_positions if config.relative_positions else layout.positions
        short = config.window - (stop - start)
        plain = self.plain_reader.read(start, stop)
        coded = plain if self.places is None else self.places.encode(plain, start)
        tokens = _pad(coded, short)
        window: TokenBatch = {
            'tokens': tokens,
            'size': _pad(plain.square().sum(-1), short),
            'mask': _pad(layout.mask(start, stop), short),
            'positions': _pad(positions(start, stop), short),
            'kinds': _pad(layout.kinds(start, stop), short),
            'model': torch.tensor(self.number),
        }
        if seed is not None:
            permuted = self._read_permuted(start, stop, seed)
            window['view'] = tokens if permuted is None else _pad(permuted, short)
        return window

    def _read_permuted(self, start: int, stop: int, seed: int) -> Tensor | None:
        """Tokens with hidden units in another order; None where none of them is touched."""
        hidden = self.hidden
        pieces = self.layout.pieces(start, stop)
        if hidden is None or not any(
            hidden.touch(name) for segment, *_ in pieces for name in (segment.weight, segment.bias)
        ):
            return None
        source = PermutedSource(self.source, RandomPlaces(hidden, seed))
        return TokenReader(source, self.layout, self.row_scale, self.places).read(start, stop)


@lru_cache(maxsize=_MAPPED_MODELS)
def _source(file: Path, alignment: str | None) -> TensorSource:
    source = open_mapped(file)
    return source if alignment is None else from_text(alignment).view(source)


def _check_alignment(alignment: str | None, source: TensorSource) -> None:
    """Make sure that an alignment is one of this model.

    Raises:
        CacheError: If it is none at all.
        CollectionError: If it is another model's.
    """
    places = from_text(alignment).places if alignment else {}
    known = set(source.names())
    for (name, dim), order in places.items():
        shape = source.shape(name) if name in known else ()
        if shape[dim : dim + 1] != (len(order),):
            raise CollectionError(
                f'its alignment moves {len(order)} units of {name!r}, whose shape is {list(shape)}: '
                'collect it anew'
            )


@cache
def _plan(shapes: Shapes, token_size: int, tokenisation: Tokenisation) -> Layout:
    return Layout.plan(dict(shapes), token_size, tokenisation)


def _pad(values: Tensor, rows: int) -> Tensor:
    if not rows:
        return values
    return torch.cat([values, values.new_zeros(rows, *values.shape[1:])])
