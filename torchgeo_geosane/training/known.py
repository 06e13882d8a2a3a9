"""What a foundry comes to know of single architectures: codes of places, references, densities."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from torchgeo_geosane.collection.contents import weight_shapes
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.density import LatentDensity
from torchgeo_geosane.foundry.engine import Engine
from torchgeo_geosane.foundry.known import Known, Record
from torchgeo_geosane.foundry.places import PlaceMoments
from torchgeo_geosane.foundry.tokens import TokenReader
from torchgeo_geosane.training.config import CollectionConfig
from torchgeo_geosane.training.report import ModelReport
from torchgeo_geosane.training.store import OpenedModel

# Directions in which drawn networks vary.
_RANK = 16
# Of fewer trainings nothing tells what varies between networks.
_LEAST_LINEAGES = 3


@dataclass(frozen=True)
class _Alike:
    """Models of one layout that are read in one order."""

    models: tuple[OpenedModel, ...]

    @property
    def trained(self) -> list[OpenedModel]:
        return [opened for opened in self.models if opened.entry.split == 'trained']

    @property
    def reference(self) -> OpenedModel | None:
        """The model in whose order all are read; None where there is none, or it is not here."""
        name = self.models[0].entry.reference
        return next((opened for opened in self.models if opened.entry.name == name), None)


def code_places(models: Sequence[OpenedModel], kept_numbers: int) -> list[OpenedModel]:
    """The models, with a code of their places where their architecture is small enough for one.

    Fitted to the models that are trained on; those held out are read by the same code.
    """
    coded = {opened.number: opened for opened in models}
    for alike in _alike(models):
        layout = alike.models[0].layout
        if len(alike.trained) < 2 or len(layout) * layout.token_size**2 > kept_numbers:
            continue
        moments = PlaceMoments(len(layout), layout.token_size)
        for opened in alike.trained:
            moments.add(opened.plain_reader.read(0, len(layout)))
        places = moments.fit(layout.mask(0, len(layout)))
        for opened in alike.models:
            coded[opened.number] = dataclasses.replace(opened, places=places)
    return [coded[opened.number] for opened in models]


def learn(
    model: WeightAutoencoder,
    models: Sequence[OpenedModel],
    reports: Sequence[ModelReport],
    collection: CollectionConfig,
) -> list[Known]:
    """What a trained foundry knows of every architecture of its collection.

    Args:
        model: The autoencoder, as it is shipped.
        models: The collection.
        reports: Errors on the models.
        collection: What of it is kept.
    """
    errors = {report.name: report.reconstruction for report in reports}
    return [_learn(model, each, errors, collection) for each in _alike(models) if each.trained]


def _learn(
    model: WeightAutoencoder,
    alike: _Alike,
    errors: dict[str, float],
    collection: CollectionConfig,
) -> Known:
    trained = alike.trained
    lineages = _lineages(trained)
    drawn = [
        opened
        for opened in trained
        if not collection.drawn_like
        or any(fnmatch(opened.entry.name, each) for each in collection.drawn_like)
    ]
    held_out = [opened for opened in alike.models if opened.entry.split == 'held_out']
    reference = alike.reference
    kept = reference is not None and _numbers(reference) <= collection.kept_numbers
    if kept and drawn and not any(opened is reference for opened in drawn):
        reference = _most_typical(drawn)
    shown = reference or trained[0]
    shapes = weight_shapes(shown.source)
    draws_not = _why_not(model, alike, _lineages(drawn), collection.kept_numbers)
    record = Record(
        architecture=shown.entry.architecture or shown.entry.name,
        shapes=shapes,
        trained=len(trained),
        held_out=len(held_out),
        lineages=lineages,
        error=_mean(errors[opened.entry.name] for opened in trained),
        held_out_error=_mean(errors[opened.entry.name] for opened in held_out),
        reference=reference.entry.name if reference else shown.entry.reference,
        draws_not=draws_not,
    )
    return Known.of(
        record,
        model.config,
        places=trained[0].places,
        density=None if draws_not else _density(model, drawn),
        reference=_tensors(reference, shapes) if reference and kept else None,
    )


def _why_not(
    model: WeightAutoencoder, alike: _Alike, lineages: int, kept_numbers: int
) -> str | None:
    """Why networks cannot be drawn without a prompt; None where they can."""
    if lineages < _LEAST_LINEAGES:
        return (
            f'of {lineages} lineage{"s" * (lineages != 1)} nothing tells what varies between networks '
            f'(it takes {_LEAST_LINEAGES})'
        )
    if alike.models[0].entry.reference is None:
        return 'its networks are in no common order'
    numbers = (_RANK + 1) * len(alike.models[0].layout) * model.config.latent_dim
    if max(numbers, _numbers(alike.models[0])) > kept_numbers:
        return 'its networks are too large for a density in the file'
    return None


def _density(model: WeightAutoencoder, drawn: Sequence[OpenedModel]) -> LatentDensity:
    engine = Engine(model)
    latents = torch.stack([engine.encode(opened.reader).cpu() for opened in drawn])
    return LatentDensity.fit(latents, min(_RANK, _lineages(drawn) - 1))


def _most_typical(drawn: Sequence[OpenedModel]) -> OpenedModel:
    """Of networks in one order the one that is most like their average.

    What is drawn has the reference's norms of rows. The one that all were aligned to may be from the
    beginning of a training, whose rows are not yet as long as those of the networks that are drawn.
    """

    def read(opened: OpenedModel) -> Tensor:
        tokens = TokenReader(opened.source, opened.layout).read(0, len(opened.layout))
        return tokens.flatten()

    average = torch.zeros_like(read(drawn[0]))
    for opened in drawn:
        average += read(opened) / len(drawn)
    return max(drawn, key=lambda opened: F.cosine_similarity(read(opened), average, dim=0).item())


def _lineages(models: Sequence[OpenedModel]) -> int:
    return len({opened.entry.lineage or opened.entry.name for opened in models})


def _tensors(opened: OpenedModel, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: opened.source.read(name).float().clone() for name in shapes}


def _numbers(opened: OpenedModel) -> int:
    return opened.entry.parameters


def _alike(models: Sequence[OpenedModel]) -> Iterator[_Alike]:
    """The models by layout and reference."""
    found: dict[object, list[OpenedModel]] = {}
    for opened in models:
        found.setdefault((opened.entry.reference, opened.layout), []).append(opened)
    yield from (_Alike(tuple(alike)) for alike in found.values())


def _mean(errors: Iterator[float]) -> float | None:
    values = list(errors)
    return round(fmean(values), 4) if values else None
