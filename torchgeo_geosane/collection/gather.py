"""From sources, or from a manifest, to a manifest: every model is fetched, checked and described."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm.auto import tqdm

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.collection.base import CollectionError, TrainedModel, open_weights
from torchgeo_geosane.collection.collect import restore
from torchgeo_geosane.collection.contents import (
    Contents,
    SeenModels,
    read_contents,
    weight_shapes,
)
from torchgeo_geosane.collection.hub import DiskFullError
from torchgeo_geosane.collection.manifest import (
    BadLine,
    ManifestEntry,
    read_lines,
    write_manifest,
)
from torchgeo_geosane.collection.order import hold_out, put_in_order
from torchgeo_geosane.collection.rules import Rules
from torchgeo_geosane.collection.sources import Sources
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.foundry.files import telling
from torchgeo_geosane.foundry.layout import Layout, Tokenisation
from torchgeo_geosane.foundry.pickles import check_sums
from torchgeo_geosane.prompts.shards import files_of

T = TypeVar('T')


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """How tokens are counted; when a foundry is trained, its own configuration says so.

    Attributes:
        size: Values in a token.
        tokenisation: Which tensors are cut.
    """

    size: int = 230
    tokenisation: Tokenisation = 'dense'


@dataclass(frozen=True, kw_only=True)
class Split:
    """What a foundry is only judged by.

    Attributes:
        held_out: Share of the lineages of every architecture, 0…1: models finetuned from one start
            are trained on together or held out together.
        seed: Determines which.
    """

    held_out: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the share.

        Raises:
            CollectionError: If it is none.
        """
        if not 0 <= self.held_out < 1:
            raise CollectionError(
                f'the share that is held out is from 0 to below 1, not {self.held_out}'
            )


def gather(
    output: Path,
    sources: Sources | None = None,
    manifest: Path | None = None,
    rules: Rules | None = None,
    tokens: TokenCount | None = None,
    split: Split | None = None,
    align: bool = True,
    references: Sequence[str] = (),
    progress: bool = True,
) -> list[ManifestEntry]:
    """Put a collection together and write its manifest.

    A model that cannot be had, or that a rule keeps out, is listed with the reason.

    Args:
        output: The manifest that is written, whole or not at all.
        sources: Where models come from.
        manifest: Instead of sources, a manifest whose models are had again: those that it leaves
            out stay out, and of the others every hash must be the same.
        rules: What keeps a model out.
        tokens: How tokens are counted.
        split: What is held out; with a manifest it says so itself.
        align: Whether the units of every model are read in the order of one of its architecture;
            the manifest says how they move. With a manifest it says so itself.
        references: Names of the models to whose order the others of their architecture are
            brought; by default it is the one that resembles them most. Not with a manifest.
        progress: Whether to show a progress bar.

    Returns:
        What was written, one entry a model.

    Raises:
        CollectionError: If there is nothing to collect from, a source is not there, or a model of
            the manifest is no longer the same (the new manifest, which says why, is written).
        CacheError: If the new manifest cannot be written.
    """
    if (manifest is None) == (sources is None):
        raise CollectionError(
            'a collection is put together from sources, or had again from a manifest: give one'
        )
    if manifest and references:
        raise CollectionError('the models of a manifest have references: collect them anew')
    gatherer = _Gatherer(rules or Rules(), tokens or TokenCount())
    before = list(read_lines(manifest)) if manifest else []
    if sources is None:
        entries = [gatherer.again(entry) for entry in _watched(before, progress)]
    else:
        models = sources.models()
        entries = [gatherer.describe(model) for model in _watched(models, progress)]
        entries = _ordered(models, entries, split or Split(), align, references, progress)
    with replacing(Path(output)) as provisional:
        write_manifest(provisional, entries)
    lost = {entry.name for entry in entries if entry.skipped}
    lost -= {e.name for e in before if isinstance(e, ManifestEntry) and e.skipped}
    if manifest and lost:
        raise CollectionError(
            f'{len(lost)} of the models of {manifest} cannot be had as they were, among them '
            f'{min(lost)!r}; {output} says why'
        )
    return entries


def _ordered(
    models: Sequence[TrainedModel],
    entries: list[ManifestEntry],
    split: Split,
    align: bool,
    references: Sequence[str],
    progress: bool,
) -> list[ManifestEntry]:
    """The entries with lineages, alignments and what is held out."""
    kept = {entry.name for entry in entries if not entry.skipped}
    remaining = [model for model in models if model.name in kept]
    ordered = put_in_order(remaining, align, progress, references)
    held_out = hold_out(ordered, split.held_out, split.seed) if split.held_out else set()
    found = {model.name: model for model in ordered}
    return [
        entry
        if entry.skipped
        else dataclasses.replace(
            entry,
            split='held_out' if entry.name in held_out else 'trained',
            lineage=found[entry.name].lineage,
            reference=found[entry.name].reference,
            alignment=found[entry.name].alignment,
        )
        for entry in entries
    ]


class _Gatherer:
    """Describes models one after the other; knows those before."""

    def __init__(self, rules: Rules, tokens: TokenCount) -> None:
        self._rules = rules
        self._tokens = tokens
        self._seen = SeenModels()

    def describe(self, model: TrainedModel) -> ManifestEntry:
        """The entry of a model, skipped or not."""

        def examine() -> ManifestEntry:
            self._rules.check_model(model)
            entry, contents = self._read(model)
            self._rules.check_duplicate(*self._seen.nearest(contents))
            self._seen.add(model.name, contents)
            return entry

        return _entry_or_reason(model, examine)

    def again(self, entry: ManifestEntry | BadLine) -> ManifestEntry:
        """The entry of a model that a manifest names; skipped where it is not the same any more."""
        if isinstance(entry, BadLine):
            return entry.skipped()
        if entry.skipped:
            return entry
        try:
            model = restore(entry)
        except CollectionError as error:  # Its source is not known here.
            return dataclasses.replace(entry, split='skipped', skipped=str(error))

        def examine() -> ManifestEntry:
            found, _ = self._read(model)
            if entry.tensors not in (None, found.tensors):
                raise CollectionError('its tensors are not those that the manifest names')
            return dataclasses.replace(found, split=entry.split)

        return _entry_or_reason(model, examine)

    def _read(self, model: TrainedModel) -> tuple[ManifestEntry, Contents]:
        self._rules.check_file(model.fetch())
        path, sha256 = model.locate()
        if model.sha256 is None:  # Seen for the first time: nothing else tells damage.
            for file in files_of(path):
                check_sums(file)
        source = open_weights(path)
        self._rules.check_shapes(path, source)
        shapes = weight_shapes(source)
        contents = read_contents(source, shapes)
        layout = Layout.plan(shapes, self._tokens.size, self._tokens.tokenisation)
        entry = ManifestEntry.describe(model, shapes, layout, 'trained')
        return dataclasses.replace(entry, sha256=sha256, tensors=contents.digest), contents


def _entry_or_reason(model: TrainedModel, examine: Callable[[], ManifestEntry]) -> ManifestEntry:
    try:
        with telling(CollectionError, 'it cannot be read'):
            return examine()
    except DiskFullError:  # The next model would fare no better.
        raise
    except GeoSANEError as error:
        return ManifestEntry.skip(model, str(error))


def _watched(items: Sequence[T], progress: bool) -> Iterable[T]:
    return tqdm(items, 'collecting', unit='model', disable=not progress, leave=False)
