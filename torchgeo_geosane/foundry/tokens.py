"""Tokens in and out: cut from lazily read tensors, written in place into a preallocated state dict.

Both directions work on any run of tokens, touch only the rows that run covers, and do no Python
work per token.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.layout import Layout, Segment, Tokenisation
from torchgeo_geosane.foundry.places import PlaceCode
from torchgeo_geosane.foundry.source import StateDictSource, TensorSource, all_finite
from torchgeo_geosane.foundry.stored import as_matrix

RowScale = Literal['none', 'rms']

# Rows of one matrix handled at once where a whole matrix is walked: about 16 MB of float32.
_CHUNK_ENTRIES = 4_000_000


class TokenReader:
    """Cuts tokens from a tensor source.

    Attributes:
        layout: Where each tensor sits.
    """

    def __init__(
        self,
        source: TensorSource,
        layout: Layout,
        row_scale: RowScale = 'none',
        places: PlaceCode | None = None,
    ) -> None:
        """Read from ``source`` as ``layout`` says.

        Args:
            source: The tensors.
            layout: Their layout.
            row_scale: ``rms`` divides every matrix row by its root mean square, so that all tokens
                have one scale.
            places: How tokens are coded by their place; None leaves them as they are.
        """
        self.layout = layout
        self._source = source
        self._row_scale = row_scale
        self._places = places

    def read(self, start: int, stop: int) -> Tensor:
        """Tokens ``[start, stop)``.

        Returns:
            float32 ``[stop - start, token_size]``, padding entries zero.

        Raises:
            TokenError: If a value is NaN or infinite; the tensor is named.
        """
        size = self.layout.token_size
        tokens = torch.zeros(stop - start, size, dtype=torch.float32)
        flat = tokens.view(-1)
        for segment, first, last in self.layout.pieces(start, stop):
            begin, end = first * size, min(last * size, segment.entries)
            row, row_stop = begin // segment.columns, -(-end // segment.columns)
            values = self._rows(segment, row, row_stop).view(-1)
            offset = (segment.start + first - start) * size
            skip = row * segment.columns
            flat[offset : offset + end - begin] = values[begin - skip : end - skip]
        return tokens if self._places is None else self._places.encode(tokens, start)

    def row_norms(self, segment: Segment, start: int, stop: int) -> Tensor:
        """Euclidean norms of a segment's rows ``[start, stop)``: float32 ``[stop - start]``."""
        return torch.linalg.vector_norm(self._matrix(segment, start, stop), dim=1)

    def _rows(self, segment: Segment, start: int, stop: int) -> Tensor:
        matrix = self._matrix(segment, start, stop)
        if not all_finite(matrix):
            raise TokenError(
                f"tensor '{segment.weight}' (or its bias) holds NaN or infinite values: "
                'it cannot be a prompt. Check the file it comes from.'
            )
        if self._row_scale == 'none':
            return matrix
        rms = torch.linalg.vector_norm(matrix, dim=1, keepdim=True) / segment.columns**0.5
        # A row of zeros stays one.
        return matrix / torch.where(rms > 0, rms, 1.0)

    def _matrix(self, segment: Segment, start: int, stop: int) -> Tensor:
        weight = self._source.rows(segment.weight, start, stop).to(torch.float32)
        if segment.bias is None:
            return weight.contiguous()
        bias = self._source.rows(segment.bias, start, stop).to(torch.float32)
        return torch.cat([weight, bias], dim=1)


class TokenWriter:
    """Writes tokens into the tensors of a preallocated state dict."""

    def __init__(
        self, result: Mapping[str, Tensor], layout: Layout, places: PlaceCode | None = None
    ) -> None:
        """Write into ``result``, whose tensors are contiguous and have the layout's shapes.

        Args:
            result: The state dict.
            layout: The layout.
            places: How the tokens are coded that will be written.
        """
        self._layout = layout
        self._places = places
        self._matrices = {name: as_matrix(result[name]) for name in layout.names}

    def write(self, start: int, tokens: Tensor) -> None:
        """Write a run of tokens.

        Args:
            start: Index of the first token.
            tokens: ``[n, token_size]``, any floating-point type; padding entries are ignored.
        """
        size = self._layout.token_size
        stop = start + len(tokens)
        flat = (tokens if self._places is None else self._places.decode(tokens, start)).reshape(-1)
        for segment, first, last in self._layout.pieces(start, stop):
            begin, end = first * size, min(last * size, segment.entries)
            offset = (segment.start + first - start) * size
            self._write_entries(segment, begin, flat[offset : offset + end - begin])

    def scale_rows(
        self, segment: Segment, readers: Sequence[TokenReader], shares: Sequence[float]
    ) -> None:
        """Give every row of a finished segment the norm that the prompts' rows have.

        Decoding under a squared error shrinks rows; finetuning feels a row's norm more than its
        direction.

        Args:
            segment: The segment, completely written.
            readers: The prompts' tokens.
            shares: Weight of each prompt's norm.
        """
        step = max(1, _CHUNK_ENTRIES // segment.columns)
        for start in range(0, segment.rows, step):
            stop = min(start + step, segment.rows)
            norms = torch.linalg.vector_norm(self._read_rows(segment, start, stop).float(), dim=1)
            wanted = sum(
                share * reader.row_norms(segment, start, stop)
                for reader, share in zip(readers, shares, strict=True)
                if share
            )
            factor = torch.where(norms > 0, wanted / norms, 0.0).unsqueeze(1)
            for name in filter(None, (segment.weight, segment.bias)):
                self._matrices[name][start:stop] *= factor.to(self._matrices[name].dtype)

    def _write_entries(self, segment: Segment, begin: int, values: Tensor) -> None:
        if segment.bias is None:
            self._matrices[segment.weight].view(-1)[begin : begin + len(values)] = values
            return
        # With the bias as last column a run can start and end inside a row: read those rows,
        # change, write back.
        row = begin // segment.columns
        row_stop = -(-(begin + len(values)) // segment.columns)
        rows = self._read_rows(segment, row, row_stop)
        offset = begin - row * segment.columns
        rows.view(-1)[offset : offset + len(values)] = values
        self._matrices[segment.weight][row:row_stop] = rows[:, :-1]
        self._matrices[segment.bias][row:row_stop] = rows[:, -1:]

    def _read_rows(self, segment: Segment, start: int, stop: int) -> Tensor:
        weight = self._matrices[segment.weight][start:stop]
        if segment.bias is None:
            return weight
        return torch.cat([weight, self._matrices[segment.bias][start:stop]], dim=1)


def tokenise(
    tensors: Mapping[str, Tensor], token_size: int, tokenisation: Tokenisation = 'dense'
) -> tuple[Tensor, Layout]:
    """Cut a whole state dict into tokens.

    Args:
        tensors: The state dict; only its floating-point tensors are looked at.
        token_size: Values in a token.
        tokenisation: Which tensors to cut.

    Returns:
        float32 ``[n_tokens, token_size]`` and the layout.
    """
    shapes = {name: tuple(t.shape) for name, t in tensors.items() if t.is_floating_point()}
    layout = Layout.plan(shapes, token_size, tokenisation)
    return TokenReader(StateDictSource(tensors), layout).read(0, len(layout)), layout


def detokenise(tokens: Tensor, layout: Layout, result: Mapping[str, Tensor]) -> None:
    """Write all tokens of a layout into ``result``, in place; the inverse of ``tokenise``."""
    TokenWriter(result, layout).write(0, tokens)
