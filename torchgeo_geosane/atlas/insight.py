"""What latents tell of models: which are alike, and which properties can be read off."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from torchgeo_geosane.atlas.latents import CollectionLatents, Points
from torchgeo_geosane.callbacks.probe import probe
from torchgeo_geosane.collection import CollectionError
from torchgeo_geosane.errors import did_you_mean

Property = Literal['modality', 'task', 'architecture']
PROPERTIES: tuple[Property, ...] = get_args(Property)


@dataclass(frozen=True)
class Neighbour:
    """A model and how like another it is: the cosine of their latents about the mean, -1 to 1."""

    name: str
    similarity: float


@dataclass(frozen=True)
class Probed:
    """How well a property can be predicted of models that the probe has not seen.

    Attributes:
        what: The property.
        accuracy: Share of the windows told rightly, averaged over models; None where it cannot be
            measured.
        majority: The same for always guessing the most frequent class.
        models: How many models were left out in turn.
        classes: Number of classes among these.
        coincides: Properties that divide these models in the same way: what was read may be any of
            them.
    """

    what: Property
    accuracy: float | None
    majority: float | None
    models: int
    classes: int
    coincides: tuple[Property, ...] = ()


def find_nearest(latents: CollectionLatents, name: str) -> list[Neighbour]:
    """All other models, the most alike first.

    Raises:
        CollectionError: If the collection has no such model.
    """
    names = [entry.name for entry in latents.entries]
    if name not in names:
        raise CollectionError(f'unknown model {name!r}' + did_you_mean(name, names))
    features = _standardise(latents.models.latents)
    features = torch.nn.functional.normalize(features, dim=1)
    similarities = features @ features[names.index(name)]
    order = similarities.argsort(descending=True).tolist()
    return [Neighbour(names[i], similarities[i].item()) for i in order if names[i] != name]


def probe_property(latents: CollectionLatents, what: Property) -> Probed:
    """Predict a property of each model's windows, by a ridge regression on the other models'.

    Models are left out whole: windows of one model are alike, and would give the answer away. Models
    whose property is unknown, or which are the only ones of their class, are not asked about.
    """
    labels = [getattr(entry, what) for entry in latents.entries]
    asked = [i for i, label in enumerate(labels) if label and labels.count(label) > 1]
    classes = sorted({labels[i] for i in asked})
    if len(classes) < 2:
        return Probed(what, None, None, len(asked), len(classes))
    numbers = torch.tensor([classes.index(labels[i]) for i in asked])
    told = [_predict(latents.windows, asked, numbers, place) for place in range(len(asked))]
    hits = [
        (classes_told == truth).float().mean().item()
        for classes_told, truth in zip(told, numbers, strict=True)
    ]
    return Probed(
        what,
        sum(hits) / len(hits),
        int(numbers.bincount().max()) / len(asked),
        len(asked),
        len(classes),
        tuple(
            other for other in PROPERTIES if other != what and _same(latents, asked, what, other)
        ),
    )


def _predict(windows: Points, asked: Sequence[int], numbers: Tensor, place: int) -> Tensor:
    """The class of each window of one model, told by the windows of the others: int64 ``[m]``."""
    owners = torch.tensor(windows.models)
    others = [model for model in asked if model != asked[place]]
    known = torch.isin(owners, torch.tensor(others))
    targets = torch.nn.functional.one_hot(numbers).float()
    places = torch.tensor([asked.index(owner) for owner in owners[known].tolist()])
    left_out = windows.latents[owners == asked[place]]
    return probe('linear', windows.latents[known], targets[places], left_out).argmax(1)


def _same(
    latents: CollectionLatents, asked: Sequence[int], what: Property, other: Property
) -> bool:
    """Whether two properties divide models alike."""
    pairs = {(getattr(latents.entries[i], what), getattr(latents.entries[i], other)) for i in asked}
    return len({one for one, _ in pairs}) == len({two for _, two in pairs}) == len(pairs)


def _standardise(latents: Tensor) -> Tensor:
    return (latents - latents.mean(0)) / latents.std(0, correction=0).clamp(min=1e-6)
