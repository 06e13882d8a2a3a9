"""The layout: where every tensor of a state dict sits in the token sequence.

Computed from names and shapes alone. Each matrix (a tensor seen as ``[rows, columns]``) is
flattened row by row, padded with zeros to a whole number of tokens, and the matrices follow each
other in state-dict order. Two ways to choose them:

* ``dense`` (the official format, GeoSANE section 3): every tensor whose name contains ``weight``,
  with its partner bias appended as a last column.
* ``matrices``: only weights of two or more dimensions, without biases. Norms and biases stay the
  prompt's.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError

Tokenisation = Literal['dense', 'matrices']


@dataclass(frozen=True, slots=True)
class Segment:
    """One matrix and its place in the token sequence.

    Attributes:
        index: Index among the tokenised tensors, the ``l`` of a position.
        weight: Name of the weight.
        bias: Name of the bias that is its last column, if any.
        shape: Shape of the weight.
        rows: Rows of the matrix.
        columns: Columns of the matrix, the bias counted in.
        start: First token.
        stop: One past the last token.
    """

    index: int
    weight: str
    bias: str | None
    shape: tuple[int, ...]
    rows: int
    columns: int
    start: int
    stop: int

    @property
    def entries(self) -> int:
        """Real values in the segment; the rest of its last token is padding."""
        return self.rows * self.columns

    @property
    def kind(self) -> int:
        """Kind of layer, 0…8, as the official format numbers them."""
        return layer_kind(self.weight, self.shape)


@dataclass(frozen=True)
class Layout:
    """The token sequence of one state dict: segments in order, ``token_size`` values to a token."""

    segments: tuple[Segment, ...]
    token_size: int

    @classmethod
    def plan(
        cls,
        shapes: Mapping[str, tuple[int, ...]],
        token_size: int,
        tokenisation: Tokenisation = 'dense',
    ) -> 'Layout':
        """Lay out tensors of the given shapes.

        Args:
            shapes: Shape of each floating-point tensor, in state-dict order.
            token_size: Values in a token.
            tokenisation: Which tensors to cut, see the module's text.

        Raises:
            TokenError: If there is nothing to cut.
        """
        segments: list[Segment] = []
        claimed: set[str] = set()
        start = 0
        for name, shape in shapes.items():
            if (
                'weight' not in name
                or 0 in shape
                or (tokenisation == 'matrices' and len(shape) < 2)
            ):
                continue
            rows = shape[0] if shape else 1
            columns = math.prod(shape[1:])
            bias = _partner(name, rows, shapes) if tokenisation == 'dense' else None
            if bias in claimed:
                bias = None
            if bias is not None:
                claimed.add(bias)
                columns += 1
            stop = start + -(-rows * columns // token_size)
            segments.append(Segment(len(segments), name, bias, shape, rows, columns, start, stop))
            start = stop
        if not segments:
            names = ', '.join(list(shapes)[:5]) or 'none at all'
            raise TokenError(
                f'nothing to cut into tokens: no tensor is a weight (tensors: {names}). '
                'Is this the state dict of a network?'
            )
        return cls(tuple(segments), token_size)

    def __len__(self) -> int:
        """Number of tokens; 0 where nothing is generated."""
        return self.segments[-1].stop if self.segments else 0

    @cached_property
    def names(self) -> frozenset[str]:
        """Every tensor that is part of the sequence, weights and biases."""
        weights = {segment.weight for segment in self.segments}
        return frozenset(weights | {segment.bias for segment in self.segments if segment.bias})

    @cached_property
    def _starts(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([segment.start for segment in self.segments], dtype=np.int64)

    @cached_property
    def _lengths(self) -> Tensor:
        return torch.tensor([segment.stop - segment.start for segment in self.segments])

    def pieces(self, start: int, stop: int) -> Iterable[tuple[Segment, int, int]]:
        """The segments that tokens ``[start, stop)`` touch, and the tokens' range inside each."""
        first = int(np.searchsorted(self._starts, start, side='right')) - 1
        for segment in self.segments[first:]:
            if segment.start >= stop:
                break
            yield (
                segment,
                max(start, segment.start) - segment.start,
                min(stop, segment.stop) - segment.start,
            )

    def positions(self, start: int, stop: int) -> Tensor:
        """Positions of tokens ``[start, stop)``.

        Returns:
            int64 ``[stop - start, 3]``: index in the sequence, index of the tensor, index inside
            the tensor.
        """
        n = torch.arange(start, stop)
        starts = torch.from_numpy(self._starts)
        tensor = torch.searchsorted(starts, n, side='right') - 1
        return torch.stack([n, tensor, n - starts[tensor]], dim=1)

    def relative_positions(self, start: int, stop: int) -> Tensor:
        """Positions as fractions of sequence, tensors and tensor: float32 in [0, 1]."""
        positions = self.positions(start, stop)
        totals = torch.stack(
            [
                torch.full((stop - start,), len(self)),
                torch.full((stop - start,), len(self.segments)),
                self._lengths[positions[:, 1]],
            ],
            dim=1,
        )
        return positions.to(torch.float32) / (totals - 1).clamp(min=1)

    def kinds(self, start: int, stop: int) -> Tensor:
        """Kind of layer of tokens ``[start, stop)``: int64 ``[stop - start]``."""
        kinds = torch.empty(stop - start, dtype=torch.int64)
        for segment, first, last in self.pieces(start, stop):
            kinds[segment.start + first - start : segment.start + last - start] = segment.kind
        return kinds

    def mask(self, start: int, stop: int) -> Tensor:
        """Which entries of tokens ``[start, stop)`` are real: bool ``[stop - start, token_size]``."""
        mask = torch.ones(stop - start, self.token_size, dtype=torch.bool)
        for segment, _, last in self.pieces(start, stop):
            reached = last * self.token_size
            if reached > segment.entries:
                token = segment.start + last - 1 - start
                mask[token, segment.entries - reached :] = False
        return mask


def layer_kind(name: str, shape: tuple[int, ...]) -> int:
    """Kind of layer: convolutions 0-2 by rank, linear 3, embedding 4, norms 5-7, vectors 8."""
    name = name.lower()
    if len(shape) >= 3:
        return min(len(shape), 5) - 3
    if len(shape) == 2:
        return 4 if 'embed' in name or shape[0] / shape[1] > 5 else 3
    for kind, words in ((5, ('bn', 'batchnorm')), (6, ('ln', 'layernorm')), (7, ('norm',))):
        if any(word in name for word in words):
            return kind
    return 8


def _partner(weight: str, rows: int, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The bias of a weight, if there is one with a value for each row."""
    bias = weight.replace('weight', 'bias')
    return bias if shapes.get(bias) == (rows,) else None
