"""Which models are siblings, finetuned from one start: their weights resemble each other as they lie."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

import torch
from torch import Tensor

from torchgeo_geosane.foundry.source import TensorSource

Shapes = Mapping[str, tuple[int, ...]]

# Mean cosine of the weights of two models from which they are siblings. Finetuned from one start they
# had .5 to .98 in what was measured, trained apart at most .17.
SIBLINGS = 0.3
# Which share of the smaller model's values two architectures must have in common to be compared.
_SHARED = 0.5
# Of each model about so many values are compared, the same places of all.
_SAMPLED = 200_000


def cosines(models: Sequence[tuple[TensorSource, Sequence[str]]]) -> Tensor:
    """Mean cosine of the weights of all pairs of models, as they are.

    Args:
        models: Each with the names of the tensors that are compared, of the same shapes in all.

    Returns:
        float32, ``[n, n]``.
    """
    source, names = models[0]
    total = sum(math.prod(source.shape(name)) for name in names)
    step = max(1, total // _SAMPLED)
    sampled = torch.stack([_sample(*model, step) for model in models])
    return sampled @ sampled.T


def kin(models: Sequence[tuple[TensorSource, Shapes]]) -> Tensor:
    """Which models of *different* architectures are siblings, by what they have in common.

    A backbone is the same inside of a classifier and of a U-Net, whatever its tensors are called: they
    are compared in their order, by their shapes.

    Args:
        models: Each with the shapes of its floating-point tensors, in order. Those whose tensors have
            the same names are not compared.

    Returns:
        bool, ``[n, n]``, symmetric, false on the diagonal.
    """
    shapes = [{name: shape for name, shape in own.items() if len(shape) > 1} for _, own in models]
    related = torch.zeros(len(models), len(models), dtype=torch.bool)
    for one in range(len(models)):
        for other in range(one):
            if shapes[one].keys() == shapes[other].keys():
                continue
            names = _in_common(shapes[one], shapes[other])
            if names:
                pair = zip((models[one][0], models[other][0]), names, strict=True)
                alike = bool(cosines(list(pair))[0, 1] >= SIBLINGS)
                related[one, other] = related[other, one] = alike
    return related


def group(related: Tensor) -> list[int]:
    """For each model the first that it is related to, be it through others."""
    first = list(range(len(related)))
    for one, other in related.nonzero().tolist():
        low, high = sorted((first[one], first[other]))
        if low != high:
            first = [low if each == high else each for each in first]
    return first


def _in_common(one: Shapes, other: Shapes) -> tuple[list[str], list[str]] | None:
    """The tensors of both that follow each other in the same shapes; None if they are too few."""
    least = _SHARED * min(_values(one.values()), _values(other.values()))
    # Quick, and never less than what lies in one order.
    if _values((Counter(one.values()) & Counter(other.values())).elements()) < least:
        return None
    names = list(one), list(other)
    blocks = SequenceMatcher(None, [*one.values()], [*other.values()], autojunk=False)
    found: tuple[list[str], list[str]] = [], []
    for block in blocks.get_matching_blocks():
        found[0].extend(names[0][block.a : block.a + block.size])
        found[1].extend(names[1][block.b : block.b + block.size])
    return found if _values(one[name] for name in found[0]) >= max(least, 1) else None


def _values(shapes: Iterable[tuple[int, ...]]) -> int:
    return sum(map(math.prod, shapes))


def _sample(source: TensorSource, names: Sequence[str], step: int) -> Tensor:
    """Every so manieth value of some tensors, each tensor in units of its size: of norm 1."""
    pieces = []
    for name in names:
        values = source.read(name).flatten()[::step].float()
        norm = values.norm()
        pieces.append(values * (len(values) ** 0.5 / norm) if norm else values)
    found = torch.cat(pieces) if pieces else torch.zeros(1)
    return torch.nn.functional.normalize(found, dim=0)
