"""The manifest: one JSON line for each model, enough to find the very same files again."""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torchgeo_geosane.collection.base import CollectionError, TrainedModel
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.source import TensorSource

Split = Literal['trained', 'held_out']


@dataclass(frozen=True)
class ManifestEntry:
    """One model of a collection, as data.

    Attributes:
        name: ``source/model``.
        split: Whether a foundry was trained on it, or only judged by it.
        package: Where it comes from.
        version: Version or revision of the package.
        file: Path inside the package.
        sha256: Hash of that file.
        parameters: Floating-point values in it.
        tokens: Tokens it was cut into.
        modality: What it sees.
        task: What it was trained for.
        licence: SPDX identifier.
        architecture: What it is, as far as known.
    """

    name: str
    split: Split
    package: str
    version: str
    file: str
    sha256: str
    parameters: int
    tokens: int
    modality: str
    task: str
    licence: str
    architecture: str | None

    @classmethod
    def describe(
        cls, model: TrainedModel, source: TensorSource, layout: Layout, split: Split
    ) -> 'ManifestEntry':
        """The entry of an opened model."""
        return cls(
            name=model.name,
            split=split,
            package=model.package,
            version=model.version,
            file=model.file,
            sha256=model.sha256,
            parameters=sum(
                math.prod(source.shape(name))
                for name in source.names()
                if source.dtype(name).is_floating_point
            ),
            tokens=len(layout),
            modality=model.modality,
            task=model.task,
            licence=model.licence,
            architecture=model.architecture,
        )


def write_manifest(path: str | Path, entries: Iterable[ManifestEntry]) -> None:
    """Write entries as JSON lines."""
    lines = [json.dumps(dataclasses.asdict(entry)) + '\n' for entry in entries]
    Path(path).write_text(''.join(lines), encoding='utf-8')


def read_manifest(path: str | Path) -> list[ManifestEntry]:
    """Read what ``write_manifest`` wrote.

    Raises:
        CollectionError: If the file is missing, or a line is not an entry; the line is named.
    """
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except OSError as error:
        raise CollectionError(f'the manifest cannot be read: {error}') from error
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(ManifestEntry(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise CollectionError(
                f'{path}, line {number} is not a manifest entry: {error}'
            ) from error
    return entries
