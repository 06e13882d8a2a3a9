"""Everywhere that trained models come from, as one configuration."""

from collections.abc import Iterator
from dataclasses import dataclass

from torchgeo_geosane.collection.base import (
    CollectionError,
    ModelSource,
    TrainedModel,
    unavailable,
)
from torchgeo_geosane.collection.collect import find_packages
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.hub import UnreachableError
from torchgeo_geosane.collection.search import HubSearch
from torchgeo_geosane.collection.timm import TimmSource
from torchgeo_geosane.collection.torchgeo import TorchGeoSource


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the models of a collection come from, in this order: of duplicates the first is kept.

    Attributes:
        packages: Names of packages, as in ``collection.collect.SOURCES``.
        folders: Folders with weights.
        torchgeo: TorchGeo's own weights.
        timm: timm's.
        hub: Searches of the Hugging Face Hub.
    """

    packages: tuple[str, ...] = ()
    folders: tuple[FolderSource, ...] = ()
    torchgeo: TorchGeoSource | None = None
    timm: TimmSource | None = None
    hub: HubSearch | None = None

    def models(self) -> list[TrainedModel]:
        """The models of every source, described; nothing is fetched yet.

        Where the Hub is away, what a source would have had from it is one model that cannot be had.

        Raises:
            CollectionError: If a source is unknown or not there, or two models have one name.
        """
        found: dict[str, TrainedModel] = {}
        for model in (model for source in self._all() for model in _until_unreachable(source)):
            if model.name in found:
                raise CollectionError(f'the collection holds {model.name!r} twice')
            found[model.name] = model
        return list(found.values())

    def _all(self) -> Iterator[ModelSource]:
        yield from find_packages(self.packages)
        yield from self.folders
        yield from (source for source in (self.torchgeo, self.timm, self.hub) if source)


def _until_unreachable(source: ModelSource) -> Iterator[TrainedModel]:
    try:
        yield from source.models()
    except UnreachableError as error:
        yield unavailable(f'{source.name}/what was not asked for', source.name, str(error))
