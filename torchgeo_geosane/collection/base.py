"""What every model of a collection is, and what every source of such models does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, Protocol

from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.foundry.files import printable, telling
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.packages import HASHES
from torchgeo_geosane.prompts.copies import read_known
from torchgeo_geosane.prompts.shards import hash_files
from torchgeo_geosane.prompts.weights_file import open_file

Modality = Literal['optical', 'sar', 'optical and sar', 'general']


class CollectionError(GeoSANEError):
    """A model of a collection cannot be found or read, or is not the one that was named."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """One trained model, described without reading its tensors.

    Attributes:
        name: ``source/model``, unique in a collection.
        package: Where it comes from, as its ecosystem names it (a distribution, a repository).
        version: Version or revision of the package.
        file: Path inside the package.
        sha256: Hash of that file, of an index with the files it names, in hexadecimal; None where it
            is known only once it is here.
        modality: What the model sees.
        task: What it was trained for, in a few words.
        licence: SPDX identifier, or the licence's own name; None where none is stated.
        architecture: What it is, as far as known.
        size: Bytes of the file, where that is known before it is here.
        lineage: The first of the models that it is finetuned from one start with, or itself; None
            where nobody has looked (see ``collection.order``).
        reference: The model whose order its units are read in; None where it is aligned to none.
        alignment: How they move to be in that order, as text; None where nothing moves.
        missing: Why it cannot be had, where that is known before it is fetched.
        fetch: Brings the file here, if need be, and says where it lies.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str | None
    modality: Modality
    task: str
    licence: str | None
    architecture: str | None = None
    lineage: str | None = None
    reference: str | None = None
    alignment: str | None = None
    size: int | None = None
    missing: str | None = None
    fetch: Callable[[], Path] = field(repr=False, compare=False)

    def locate(self) -> tuple[Path, str]:
        """The file, fetched if need be, and its sha256.

        Raises:
            CollectionError: If it cannot be had or read, or has another ``sha256``.
        """
        path = self.fetch()
        with telling(CollectionError, f'{self.name!r} cannot be read'):
            found = hash_files(path)
        if self.sha256 not in (None, found):
            raise CollectionError(
                f'{path} is not the file that the collection names: its sha256 is {found}, '
                f'expected {self.sha256} (another version, or damaged); get it anew'
            )
        return path, found

    def open(self) -> TensorSource:
        """The model's tensors, lazily read.

        Raises:
            CollectionError: If the file cannot be had, is unreadable, or has another ``sha256``.
        """
        path, sha256 = self.locate()
        if sha256 in HASHES:
            with telling(CollectionError, f'{printable(path)} cannot be read'):
                return read_known(path, sha256)
        return open_weights(path)


class ModelSource(Protocol):
    """Somewhere trained models come from."""

    @property
    def name(self) -> str:
        """The name of the source: the first part of its models' names."""

    def models(self) -> Iterator[TrainedModel]:
        """The source's models, in a fixed order; a model that cannot be had says so when fetched.

        Raises:
            CollectionError: If the source is not there; the message says how to get it.
        """


def open_weights(path: Path) -> TensorSource:
    """A file's tensors, lazily read; untrusted files stay data.

    Raises:
        CollectionError: If the file is missing, empty or damaged, or holds more than tensors.
    """
    with telling(CollectionError, f'{printable(path)} cannot be read'):
        return open_file(path)


def unavailable(name: str, package: str, reason: str, licence: str | None = None) -> TrainedModel:
    """A model that is known of but cannot be had: so it is listed, with the reason."""

    def refuse() -> NoReturn:
        raise CollectionError(reason)

    return TrainedModel(
        name=name,
        package=package,
        version='',
        file='',
        sha256=None,
        modality='general',
        task='unknown',
        licence=licence,
        missing=reason,
        fetch=refuse,
    )
