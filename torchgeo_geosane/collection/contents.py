"""What is in a model, told by hashes of its tensors: the same tensors under other names are found.

A tensor's hash counts in its shape and its values as float32. So it does not depend on the tensor's
name, nor on an element type that holds the same values (float16 stored as float32). A model whose
values were rounded, retrained, transposed, fused or split is another one.
"""

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from torchgeo_geosane.collection.base import CollectionError
from torchgeo_geosane.foundry.source import TensorSource, all_finite

# Values of a tensor in memory at once.
_CHUNK_VALUES = 4_000_000
# Types of weights; narrower floating-point types come with scales.
_FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Smaller tensors (biases of zeros, norms of ones) agree by chance, and weigh next to nothing.
_SMALLEST = 1024


@dataclass(frozen=True)
class Contents:
    """The floating-point tensors of a model.

    Attributes:
        parameters: Values in all of them, tied matrices counted once.
        digest: One hash of all tensors, whatever their names and order.
        matrices: Values of each larger tensor, by its hash.
    """

    parameters: int
    digest: str
    matrices: Mapping[str, int]


class SeenModels:
    """The models of a collection so far, by the tensors in them."""

    def __init__(self) -> None:
        """Start with none."""
        self._whole: dict[str, str] = {}
        self._holders: dict[str, list[str]] = {}

    def nearest(self, contents: Contents) -> tuple[str, float]:
        """The model that holds the largest share of some contents, and that share, 0…1."""
        if contents.digest in self._whole:
            return self._whole[contents.digest], 1.0
        shared: Counter[str] = Counter()
        for tensor, values in contents.matrices.items():
            for holder in self._holders.get(tensor, ()):
                shared[holder] += values
        if not shared:
            return '', 0.0
        ((name, values),) = shared.most_common(1)
        return name, values / contents.parameters

    def add(self, name: str, contents: Contents) -> None:
        """Remember a model."""
        self._whole[contents.digest] = name
        for tensor in contents.matrices:
            self._holders.setdefault(tensor, []).append(name)


def floating_shapes(source: TensorSource) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's floating-point tensors: the others are no weights."""
    return {name: source.shape(name) for name in source.names() if source.dtype(name) in _FLOATING}


def weight_shapes(source: TensorSource) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's floating-point tensors; a matrix of several names has the first alone.

    Raises:
        CollectionError: If weights are quantised: they mean nothing without their scales.
    """
    for name in source.names():
        dtype = source.dtype(name)
        if 'weight' in name and len(source.shape(name)) > 1 and dtype not in _FLOATING:
            kind = str(dtype).removeprefix('torch.')
            raise CollectionError(
                f'{name!r} is {kind}: quantised weights are not read, take a model in floating point'
            )
    shapes = floating_shapes(source)
    copies = set(_copies(source, shapes))
    return {name: shape for name, shape in shapes.items() if name not in copies}


def read_contents(source: TensorSource, counted: Mapping[str, tuple[int, ...]]) -> Contents:
    """Read every floating-point tensor once, a few rows at a time.

    Args:
        source: The model.
        counted: Shapes of the tensors that count as parameters.

    Raises:
        CollectionError: If a value is NaN or infinite; the tensor is named.
    """
    hashes: list[str] = []
    matrices: dict[str, int] = {}
    for name, shape in floating_shapes(source).items():
        digest = _hash(source, name, shape)
        hashes.append(digest)
        if math.prod(shape) >= _SMALLEST:
            matrices[digest] = math.prod(shape)
    return Contents(
        parameters=sum(map(math.prod, counted.values())),
        digest=hashlib.sha256('\n'.join(sorted(hashes)).encode()).hexdigest(),
        matrices=matrices,
    )


def _copies(source: TensorSource, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Matrices that hold the values of one before them: tied weights, by name or as copies."""
    alike: dict[Any, list[str]] = {}
    for name, shape in shapes.items():
        if len(shape) > 1 and math.prod(shape) >= _SMALLEST:
            alike.setdefault((shape, source.dtype(name)), []).append(name)
    for (shape, _), names in alike.items():
        kept: list[str] = []
        for name in names if len(names) > 1 else ():
            # Most differ in the first row.
            if any(_equal(source, name, other, shape) for other in kept):
                yield name
            else:
                kept.append(name)


def _equal(source: TensorSource, name: str, other: str, shape: tuple[int, ...]) -> bool:
    step = max(1, _CHUNK_VALUES // math.prod(shape[1:]))
    bounds = [0, 1, *range(1 + step, shape[0], step), shape[0]]
    return all(
        source.rows(name, start, stop).equal(source.rows(other, start, stop))
        for start, stop in itertools.pairwise(bounds)
    )


def _hash(source: TensorSource, name: str, shape: tuple[int, ...]) -> str:
    digest = hashlib.sha256(repr(shape).encode())
    rows = shape[0] if shape else 1
    step = max(1, _CHUNK_VALUES // max(1, math.prod(shape[1:])))
    for start in range(0, rows if math.prod(shape) else 0, step):
        values = source.rows(name, start, min(start + step, rows)).to(torch.float32).contiguous()
        if not all_finite(values):
            raise CollectionError(f'tensor {name!r} holds NaN or infinite values')
        digest.update(values.numpy().data)
    return digest.hexdigest()
