"""Packages with trained models inside, as sources of a collection."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from torchgeo_geosane import packages
from torchgeo_geosane.collection.base import CollectionError, TrainedModel


class PackageSource(packages.Package):
    """The models inside one version of one package."""

    def models(self) -> Iterator[TrainedModel]:
        """The package's models.

        Raises:
            CollectionError: If the package is missing or of another version.
        """
        for model, (file, sha256) in self.files.items():
            fetch(self.name, self.version, file, self.way)
            yield TrainedModel(
                name=f'{self.label}/{model}',
                package=self.name,
                version=self.version,
                file=file,
                sha256=sha256,
                modality=self.modality,
                task=self.task,
                licence=self.licence,
                architecture=self.others.get(model, self.architecture),
                fetch=partial(fetch, self.name, self.version, file),
            )


def fetch(package: str, version: str, file: str, way: str = '') -> Path:
    """Where a file of an installed package, of a wheel or of a tarball lies.

    Raises:
        CollectionError: If the package is missing or of another version.
    """
    known = packages.find_package(package, version)
    try:
        return packages.locate(package, version, file, known.way if known else way)
    except packages.PackageError as error:
        raise CollectionError(str(error)) from error


SOURCES = tuple(PackageSource(**vars(package)) for package in packages.PACKAGES)
UKIS_CSMASK, DEEPDESPECKLING = SOURCES[:2]
