"""TorchGeo's own weights: every member of every class, as far as it lies on the Hub."""

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torchgeo_geosane.collection.base import TrainedModel, unavailable
from torchgeo_geosane.collection.hub import Hub, model_or_reason
from torchgeo_geosane.collection.modality import guess_modality

_HUB_URL = re.compile(r'https://(?:hf\.co|huggingface\.co)/([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)')


@dataclass(frozen=True, kw_only=True)
class TorchGeoSource:
    """TorchGeo's weights; generated ones are not among them.

    Attributes:
        names: Patterns such as ``ResNet50_Weights.SENTINEL2_*``.
        pause: Seconds between two questions to the Hub.
    """

    names: tuple[str, ...] = ('*',)
    pause: float = 0.5

    @property
    def name(self) -> str:
        """``torchgeo``."""
        return 'torchgeo'

    def models(self) -> Iterator[TrainedModel]:
        """The weights in TorchGeo's order; size, hash and licence are asked of the Hub.

        Raises:
            UnreachableError: If the Hub does not answer.
        """
        hub = Hub(self.pause)
        for weights in members():
            if any(fnmatch.fnmatchcase(str(weights), pattern) for pattern in self.names):
                yield self._model(hub, weights)

    def _model(self, hub: Hub, weights: Any) -> TrainedModel:
        name = f'{self.name}/{weights}'
        place = _HUB_URL.match(weights.url)
        if place is None:
            return unavailable(name, 'torchgeo', f'it does not lie on the Hub: {weights.url}')
        repository, revision, file = place.groups()

        def describe() -> TrainedModel:
            method = weights.meta.get('ssl_method')
            return hub.describe(repository, revision).model(
                file,
                name,
                modality=guess_modality(str(weights)),
                task=f'self-supervised ({method})' if method else None,
                licence=weights.meta.get('license'),
                architecture=type(weights).__name__.removesuffix('_Weights'),
            )

        return model_or_reason(describe, name, repository)


def members() -> Iterator[Any]:
    """Every member of TorchGeo's classes of weights; imported late, because that takes seconds."""
    import torchgeo.models

    for name in sorted(torchgeo.models.__all__):
        if name.endswith('_Weights'):
            yield from getattr(torchgeo.models, name)
