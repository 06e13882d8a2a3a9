"""Putting a collection together from named sources."""

from collections.abc import Iterable

from torchgeo_geosane.collection.base import CollectionError, ModelSource, TrainedModel
from torchgeo_geosane.collection.packages import DEEPDESPECKLING, UKIS_CSMASK
from torchgeo_geosane.errors import did_you_mean

SOURCES: dict[str, ModelSource] = {source.name: source for source in (UKIS_CSMASK, DEEPDESPECKLING)}


def collect(sources: Iterable[str]) -> list[TrainedModel]:
    """The models of several sources.

    Args:
        sources: Names of sources, as in ``SOURCES``.

    Raises:
        CollectionError: If a source is unknown or not installed, or two models have one name.
    """
    models: dict[str, TrainedModel] = {}
    for source in sources:
        if source not in SOURCES:
            raise CollectionError(
                f'unknown source of models {source!r}' + did_you_mean(source, SOURCES)
            )
        for model in SOURCES[source].models():
            if model.name in models:
                raise CollectionError(f'the collection holds {model.name!r} twice')
            models[model.name] = model
    return list(models.values())
