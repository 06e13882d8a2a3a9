"""Alignment: a network brought into the order of another, as a view."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from torchgeo_geosane.alignment.groups import Axis, Groups
from torchgeo_geosane.alignment.matching import match, read_finite
from torchgeo_geosane.alignment.view import PermutedSource
from torchgeo_geosane.errors import AlignmentError
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.foundry.stored import as_matrix
from torchgeo_geosane.foundry.surroundings import isolated


@dataclass(frozen=True)
class Alignment:
    """How a network's units move to be in the order of a reference.

    Attributes:
        places: What stands at each place, for every dimension that changes; empty where the network
            is in the reference's order already.
        units: How many units could move.
        moved: How many of them do.
        before: Similarity to the reference as the network is, see :func:`similarity`.
        after: Similarity once it is aligned.
        chance: Similarity of a network of noise once it is aligned: what says nothing. None where
            nothing moves.
        left_out: Groups that could not be moved, and why.
    """

    places: Mapping[Axis, Tensor] = field(repr=False)
    units: int
    moved: int
    before: float
    after: float
    chance: float | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def view(self, source: TensorSource) -> TensorSource:
        """The network in the reference's order; the source itself where nothing moves."""
        return PermutedSource(source, self.places) if self.places else source


@isolated
def align(
    source: TensorSource,
    reference: TensorSource,
    groups: Groups,
    chance: Callable[[], float] | None = None,
) -> Alignment:
    """Bring a network into the order of another of its architecture.

    Args:
        source: The network.
        reference: The network whose order is wanted.
        groups: What may move, see :func:`torchgeo_geosane.alignment.find_groups`.
        chance: Gives what :func:`similarity_by_chance` does for the reference, if that may be known
            already; asked where something moves.

    Raises:
        AlignmentError: If the two are of different architectures, or hold NaN or infinite values.
    """
    present = groups.within(_check_alike(source, reference, groups))
    places = match(source, reference, present)
    before = similarity(source, reference)
    if not places:
        return Alignment({}, present.count, 0, before, before, None, groups.left_out)
    return Alignment(
        places,
        present.count,
        sum(group.moved(places) for group in present.groups),
        before,
        similarity(PermutedSource(source, places), reference),
        chance() if chance else similarity_by_chance(reference, groups),
        groups.left_out,
    )


@isolated
def similarity(source: TensorSource, reference: TensorSource) -> float:
    """Mean cosine between the matrices and kernels of two networks, each weighted by its size: -1…1.

    Tensors of other shapes in both do not count, nor does one that is all zeros.

    Raises:
        AlignmentError: If a tensor holds NaN or infinite values.
    """
    total, values = 0.0, 0
    names = set(reference.names())
    for name in source.names():
        shape = source.shape(name)
        if len(shape) < 2 or name not in names or reference.shape(name) != shape:
            continue
        ours, theirs = (read_finite(each, name) for each in (source, reference))
        if ours.is_floating_point():
            ours, theirs = ours.flatten().float(), theirs.flatten().float()
            norms = (ours.norm() * theirs.norm()).item()
            if norms:
                total += len(ours) * (ours @ theirs).item() / norms
                values += len(ours)
    return total / values if values else 0.0


@isolated
def similarity_by_chance(reference: TensorSource, groups: Groups) -> float:
    """The similarity that a network of noise comes to, once it is aligned to a reference.

    It is well above 0: of many units, some resemble any other. An alignment that comes no higher has
    found nothing.
    """
    noise = NoiseSource(reference)
    places = match(noise, reference, groups.within(set(reference.names())))
    return similarity(PermutedSource(noise, places), reference)


class NoiseSource:
    """A network of Gaussian noise in the shapes of another."""

    def __init__(self, like: TensorSource) -> None:
        """Take names and shapes from ``like``."""
        self._like = like

    def names(self) -> list[str]:
        """The tensors' names."""
        return self._like.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""
        return self._like.shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._like.dtype(name)

    def read(self, name: str) -> Tensor:
        """One whole tensor: noise that depends on its name alone; a vector is of ones."""
        shape = self.shape(name)
        if len(shape) < 2 or not self.dtype(name).is_floating_point:
            return torch.ones(shape, dtype=self.dtype(name))
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], 'little')
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(shape, generator=generator, dtype=torch.float32)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix."""
        return as_matrix(self.read(name))[start:stop]


def _check_alike(source: TensorSource, reference: TensorSource, groups: Groups) -> set[str]:
    """The names of the tensors of both networks, if they are of one architecture.

    Bands of a stem and classes of a head may differ: only what groups move must be equally many.
    """
    ours, theirs = set(source.names()), set(reference.names())
    if ours != theirs:
        lacking = min(ours ^ theirs)
        which = 'the reference lacks it' if lacking in ours else 'only the reference has it'
        raise AlignmentError(
            f'networks of different architectures cannot be aligned: of {lacking!r} {which}'
        )
    for name, dim in groups.by_axis:
        shapes = [each.shape(name) for each in (source, reference) if name in ours]
        if len({(len(shape), *shape[dim : dim + 1]) for shape in shapes}) > 1:
            raise AlignmentError(
                f'networks of different architectures cannot be aligned: {name!r} has shape '
                f'{list(shapes[0])}, in the reference {list(shapes[1])}'
            )
    return ours
