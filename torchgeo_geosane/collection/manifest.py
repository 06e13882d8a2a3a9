"""The manifest: one JSON line for each model, enough to find the very same files again."""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torchgeo_geosane.collection.base import CollectionError, Modality, TrainedModel
from torchgeo_geosane.foundry.files import printable, read_text, telling
from torchgeo_geosane.foundry.layout import Layout

Shapes = Mapping[str, tuple[int, ...]]
# A line has some 400 bytes: this is a collection of half a million models.
_MOST_BYTES = 2**28
Split = Literal['trained', 'held_out', 'skipped']


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """One model of a collection, as data.

    Attributes:
        name: ``source/model``.
        split: Whether a foundry is trained on it, only judged by it, or neither.
        package: Where it comes from.
        version: Version or revision of the package.
        file: Path inside the package.
        sha256: Hash of that file; None where it was not looked at.
        parameters: Floating-point values in it.
        tokens: Tokens it was cut into.
        modality: What it sees.
        task: What it was trained for.
        licence: SPDX identifier or name; None where none is stated.
        architecture: What it is, as far as known.
        tensors: Hash of its tensors, whatever their names (see ``collection.contents``).
        lineage: The first of the models that it shares a start with; never split over trained and
            held out.
        reference: The model in whose order its units are read.
        alignment: How they move to be in that order; none where they are.
        skipped: Why it is not part of the collection.
    """

    name: str
    split: Split
    package: str
    version: str
    file: str
    sha256: str | None = None
    parameters: int
    tokens: int
    modality: Modality
    task: str
    licence: str | None = None
    architecture: str | None = None
    tensors: str | None = None
    lineage: str | None = None
    reference: str | None = None
    alignment: str | None = None
    skipped: str | None = None

    @classmethod
    def describe(
        cls, model: TrainedModel, shapes: Shapes, layout: Layout, split: Split
    ) -> 'ManifestEntry':
        """The entry of an opened model, from the shapes of its weights."""
        parameters = sum(map(math.prod, shapes.values()))
        return cls._of(model, split=split, parameters=parameters, tokens=len(layout))

    @classmethod
    def skip(cls, model: TrainedModel, reason: str) -> 'ManifestEntry':
        """The entry of a model that is left out."""
        # Messages of other libraries run over several lines.
        reason = ' '.join(reason.split())
        return cls._of(model, split='skipped', parameters=0, tokens=0, skipped=reason)

    @classmethod
    def _of(cls, model: TrainedModel, **found: Any) -> 'ManifestEntry':
        stated = {name: getattr(model, name) for name in _STATED}
        return cls(**stated, **found)


# What an entry takes over from its model.
_STATED = (
    *('name', 'package', 'version', 'file', 'sha256'),
    *('modality', 'task', 'licence', 'architecture'),
    *('lineage', 'reference', 'alignment'),
)


@dataclass(frozen=True)
class BadLine:
    """A line that is no entry: a name for it, and the reason."""

    name: str
    reason: str

    def skipped(self) -> ManifestEntry:
        """The entry that says so in another manifest."""
        return ManifestEntry(
            name=self.name,
            split='skipped',
            package='',
            version='',
            file='',
            parameters=0,
            tokens=0,
            modality='general',
            task='unknown',
            skipped=self.reason,
        )


def write_manifest(path: str | Path, entries: Iterable[ManifestEntry]) -> None:
    """Write entries as JSON lines, without what is not known of them."""
    lines = [
        json.dumps({k: v for k, v in dataclasses.asdict(entry).items() if v is not None}) + '\n'
        for entry in entries
    ]
    Path(path).write_text(''.join(lines), encoding='utf-8')


def read_manifest(path: str | Path) -> list[ManifestEntry]:
    """Read what ``write_manifest`` wrote.

    Raises:
        CollectionError: If the file is missing or no text, or a line is not an entry; the line is
            named.
    """
    entries = list(read_lines(path))
    for entry in entries:
        if isinstance(entry, BadLine):
            raise CollectionError(entry.reason)
    return [entry for entry in entries if isinstance(entry, ManifestEntry)]


def read_lines(path: str | Path) -> Iterator[ManifestEntry | BadLine]:
    """Read a manifest line by line; one that is not an entry does not keep the others from being read.

    Raises:
        CollectionError: If the file is missing or no text.
    """
    with telling(CollectionError, f'the manifest {printable(path)} cannot be read'):
        lines = read_text(path, _MOST_BYTES).splitlines()
    for number, line in enumerate(lines, start=1):
        where = f'{printable(path)}, line {number} is not a manifest entry'
        try:
            with telling(CollectionError, where):
                yield _entry(json.loads(line))
        except CollectionError as error:
            yield BadLine(f'line {number} of {Path(path).name}', str(error))


def _entry(values: Any) -> ManifestEntry:
    """The entry that a line describes.

    Raises:
        ValueError: If it describes none; the field is named.
    """
    if not isinstance(values, dict):
        raise ValueError('it is no object')
    for field in dataclasses.fields(ManifestEntry):
        if field.name not in values and field.default is dataclasses.MISSING:
            raise ValueError(f'it lacks {field.name!r}')
    for name in values.keys() - {field.name for field in dataclasses.fields(ManifestEntry)}:
        raise ValueError(f'it has an unknown field {name!r}')
    return _checked(ManifestEntry(**values))


def _checked(entry: ManifestEntry) -> ManifestEntry:
    """The entry, if every field holds what it may: a misspelt split would be trained on.

    Raises:
        ValueError: If not; the field is named.
    """
    for name, kind in get_type_hints(ManifestEntry).items():
        value = getattr(entry, name)
        choices = get_args(kind) if get_origin(kind) is Literal else ()
        if choices and value not in choices:
            raise ValueError(f'{name} is {value!r}, not one of {", ".join(map(repr, choices))}')
        if not choices and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f'{name} is {value!r}, which is of another type')
    if entry.parameters < 0 or entry.tokens < 0:
        raise ValueError('it has fewer than no parameters or tokens')
    if (entry.split == 'skipped') != (entry.skipped is not None):
        raise ValueError("the split is 'skipped' where 'skipped' says why, and only there")
    return entry
