"""What every model of a collection is, and what every source of such models does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.foundry.source import TensorSource

Modality = Literal['optical', 'sar', 'general']


class CollectionError(GeoSANEError):
    """A model of a collection cannot be found or read, or is not the one that was named."""


@dataclass(frozen=True)
class TrainedModel:
    """One trained model, described without reading its tensors.

    Attributes:
        name: ``source/model``, unique in a collection.
        package: Where it comes from, as its ecosystem names it (a distribution, a repository).
        version: Version or revision of the package.
        file: Path inside the package.
        sha256: Hash of that file, in hexadecimal.
        modality: What the model sees.
        task: What it was trained for, in a few words.
        licence: SPDX identifier.
        architecture: What it is, as far as known.
        load: Reads the tensors; :meth:`open` calls it.
    """

    name: str
    package: str
    version: str
    file: str
    sha256: str
    modality: Modality
    task: str
    licence: str
    architecture: str | None
    load: Callable[[], TensorSource] = field(repr=False, compare=False)

    def open(self) -> TensorSource:
        """The model's tensors.

        Raises:
            CollectionError: If the file is missing, unreadable, or has another ``sha256``.
        """
        return self.load()


class ModelSource(Protocol):
    """Somewhere trained models come from."""

    @property
    def name(self) -> str:
        """The name under which a configuration asks for this source."""

    def models(self) -> Iterator[TrainedModel]:
        """The source's models, in a fixed order.

        Raises:
            CollectionError: If the source is not there; the message says how to get it.
        """
