"""Which models of a collection are siblings, and the order in which their units are read.

Models of one architecture that were trained apart have their units in orders of their own; to a
foundry they are noise to each other. Each is aligned to one of them, the *reference*: the one that
is named, or else the medoid, which resembles the others most. Models finetuned from one start, a
*lineage*, resemble each other as they are, so all of them of one architecture move alike; and what has
been trained on must not be held out as a sibling, whatever is built around what they share.
"""

import dataclasses
import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from tqdm.auto import tqdm

from torchgeo_geosane.alignment import (
    Alignment,
    Groups,
    align,
    groups_of,
    groups_of_ncnn,
    groups_of_tflite,
    recall,
    recall_chance,
    similarity,
    to_text,
)
from torchgeo_geosane.collection.base import CollectionError, TrainedModel
from torchgeo_geosane.collection.contents import floating_shapes
from torchgeo_geosane.collection.kin import SIBLINGS, cosines, group, kin
from torchgeo_geosane.collection.mapped import map_weights, open_mapped
from torchgeo_geosane.errors import did_you_mean
from torchgeo_geosane.foundry.source import RenamedSource, TensorSource
from torchgeo_geosane.prompts.weights_file import Format, format_of
from torchgeo_geosane.providers.catalog import ARCHITECTURES

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Opened:
    """A model at hand: found, hashed and opened once.

    Attributes:
        model: The model.
        path: Its file.
        sha256: The file's hash.
        source: Its floating-point tensors.
        shapes: Their shapes, in order.
    """

    model: TrainedModel
    path: Path
    sha256: str
    source: TensorSource
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, model: TrainedModel) -> '_Opened':
        path, sha256 = model.locate()
        source = open_mapped(map_weights(path, sha256))
        shapes = floating_shapes(source)
        floating = RenamedSource(source, {name: name for name in shapes})
        return cls(model, path, sha256, floating, shapes)

    @property
    def name(self) -> str:
        return self.model.name

    def groups(self) -> Groups:
        """Its groups: of its own layers where its file says them, else of its architecture."""
        match format_of(self.path):
            case Format.NCNN:
                return groups_of_ncnn(self.path)
            case Format.TFLITE:
                return groups_of_tflite(self.path)
            case _:
                return groups_of(self.shapes, _timm_name(self.model))


def put_in_order(
    models: Sequence[TrainedModel],
    align_units: bool = True,
    progress: bool = False,
    references: Sequence[str] = (),
) -> list[TrainedModel]:
    """Find lineages, and align every model to the reference of its architecture.

    Args:
        models: The models of a collection; fetched if need be.
        align_units: Whether units are aligned; if not, lineages alone are found.
        progress: Whether to show a progress bar.
        references: Names of the models that are references; of an architecture without one here the
            medoid is.

    Returns:
        The models, in the same order, with ``lineage``, ``reference`` and ``alignment`` filled in.

    Raises:
        CollectionError: If a model cannot be had or read, a reference is not among the models, two
            are of one architecture, or there is one though nothing is aligned.
    """
    names = [model.name for model in models]
    for name in references:
        if name not in names:
            raise CollectionError(
                f'the reference {name!r} is not among the models{did_you_mean(name, names)}'
            )
    if references and not align_units:
        raise CollectionError(f'{references[0]!r} is named as a reference, and nothing is aligned')
    ordered = {model.name: dataclasses.replace(model, lineage=model.name) for model in models}
    with tqdm(
        total=len(models), desc='aligning', unit='model', disable=not progress, leave=False
    ) as bar:
        opened = {model.name: _Opened.of(model) for model in models}
        for alike in _alike(opened.values()):
            for model in _order_alike(alike, align_units, references):
                ordered[model.name] = model
                bar.update()
    return _join_lineages([ordered[model.name] for model in models], opened)


def find_siblings(models: Iterable[TrainedModel], held_out: set[str]) -> set[str]:
    """The names of the models that are held out, with all their siblings."""
    known = list(models)
    lineages = {model.lineage for model in known if model.name in held_out and model.lineage}
    siblings = {model.name for model in known if model.lineage in lineages} - held_out
    if siblings:
        logger.warning(
            'Held out as well, as siblings of what is: %s. Trained on, they would give it away.',
            ', '.join(sorted(siblings)),
        )
    return held_out | siblings


def hold_out(models: Sequence[TrainedModel], share: float, seed: int) -> set[str]:
    """Choose whole lineages of every architecture to be held out.

    Args:
        models: Models in order, see :func:`put_in_order`.
        share: Which share of an architecture's lineages, above 0 and below 1.
        seed: Determines which.

    Returns:
        Names of models. Of an architecture of one lineage none is held out.

    Raises:
        CollectionError: If no architecture has two lineages: whatever was held out would be a
            sibling of what is trained on.
    """
    lineages: dict[str, dict[str, None]] = defaultdict(dict)
    for model in models:
        # Where nothing is aligned there are no references.
        alike = model.reference or model.architecture or model.name
        lineages[alike][model.lineage or model.name] = None
    chosen: set[str] = set()
    for own in lineages.values():
        drawn = sorted(own, key=lambda name: hashlib.sha256(f'{seed} {name}'.encode()).digest())
        most = len(drawn) - 1
        chosen |= set(drawn[: min(most, max(1, round(share * len(drawn))))] if most else [])
    if models and not chosen:
        raise CollectionError(
            f'a share of {share} cannot be held out: of no architecture are there two models that '
            'are no siblings. Hold out none, or collect models that were trained apart'
        )
    return {model.name for model in models if model.lineage in chosen}


def _alike(models: Iterable[_Opened]) -> Iterator[list[_Opened]]:
    """The models of each architecture, told by the names and ranks of their tensors."""
    found: dict[object, list[_Opened]] = defaultdict(list)
    for each in models:
        found[tuple((name, len(shape)) for name, shape in sorted(each.shapes.items()))].append(each)
    yield from (alike for alike in found.values() if len(alike) > 1)


def _order_alike(
    models: list[_Opened], align_units: bool, references: Sequence[str]
) -> Iterator[TrainedModel]:
    """The models of one architecture, by what their groups move: widths may still differ."""
    by_widths: dict[object, list[tuple[_Opened, Groups]]] = defaultdict(list)
    for each in models:
        own = each.groups() if align_units else Groups()
        shapes = each.shapes
        widths: list[object] = [(axis, shapes[axis[0]][axis[1]]) for axis in sorted(own.by_axis)]
        by_widths[tuple(widths or sorted(shapes.items()))].append((each, own))
    for found in by_widths.values():
        equals, groups = zip(*found, strict=True)
        yield from _order_equals(equals, groups, references)


def _order_equals(
    models: tuple[_Opened, ...], groups: tuple[Groups, ...], references: Sequence[str]
) -> Iterator[TrainedModel]:
    likeness = _likeness(models)
    lineages = group(likeness >= SIBLINGS)
    named = [index for index, each in enumerate(models) if each.name in references]
    if len(named) > 1:
        two = ' and '.join(repr(models[index].name) for index in named[:2])
        raise CollectionError(f'{two} are of one architecture: name one of them as its reference')
    medoid = int(likeness.sum(1).argmax())
    chosen = named[0] if named else medoid
    reference = models[chosen]
    # Siblings are in one order, so all move as the one does that resembles the others most.
    moves: dict[int, Alignment | None] = {lineages[chosen]: None}
    for index, (each, own) in enumerate(zip(models, groups, strict=True)):
        lineage = lineages[index]
        found = dataclasses.replace(each.model, lineage=models[lineage].name)
        if own.count and len(models) > 1:
            found = dataclasses.replace(found, reference=reference.name)
            if lineage not in moves:
                siblings = [i for i, other in enumerate(lineages) if other == lineage]
                middle = siblings[int(likeness[siblings][:, siblings].sum(1).argmax())]
                aligned = _align(models[middle], reference, groups[middle])
                moves[lineage] = aligned if aligned.moved else None
            move = moves[lineage]
            if move is not None:
                text = to_text(_moved_alike(move, each.source, reference.source))
                found = dataclasses.replace(found, alignment=text)
        yield found


def _likeness(models: Sequence[_Opened]) -> Tensor:
    """Mean cosine of all pairs of models of one architecture: ``[n, n]``."""
    common = [
        name
        for name, shape in models[0].shapes.items()
        if len(shape) > 1 and all(other.shapes.get(name) == shape for other in models)
    ]
    return cosines([(each.source, common) for each in models])


def _join_lineages(
    models: Sequence[TrainedModel], opened: Mapping[str, _Opened]
) -> list[TrainedModel]:
    """Make one lineage of those that share what they began from, be they of other architectures."""
    firsts = [opened[model.name] for model in models if model.lineage == model.name]
    related = kin([(each.source, each.shapes) for each in firsts])
    joined = {
        each.name: firsts[first].name for each, first in zip(firsts, group(related), strict=True)
    }
    return [
        dataclasses.replace(model, lineage=joined[model.lineage or model.name]) for model in models
    ]


def _align(model: _Opened, reference: _Opened, groups: Groups) -> Alignment:
    hashes = [model.sha256, reference.sha256]

    def find() -> Alignment:
        theirs = reference.source
        return align(
            model.source,
            theirs,
            groups,
            lambda: recall_chance(['collection', hashes[1]], theirs, groups),
        )

    return recall(['collection', *hashes], find)


def _moved_alike(move: Alignment, source: TensorSource, target: TensorSource) -> Alignment:
    """How a model moves as its sibling does, with similarities of its own."""
    before, after = (similarity(each, target) for each in (source, move.view(source)))
    return dataclasses.replace(move, before=before, after=after)


def _timm_name(model: TrainedModel) -> str:
    """The architecture in timm's words, as far as known."""
    name = model.architecture or ''
    return ARCHITECTURES.get(name, name).partition('.')[0]
