import dataclasses
import json
from pathlib import Path

import pytest

from torchgeo_geosane.collection import (
    UKIS_CSMASK,
    CollectionError,
    ManifestEntry,
    collect,
    read_manifest,
    write_manifest,
)
from torchgeo_geosane.collection.contents import weight_shapes
from torchgeo_geosane.foundry.foundry import EMBEDDED
from torchgeo_geosane.foundry.layout import Layout


@pytest.fixture(scope='module')
def entry() -> ManifestEntry:
    model = next(UKIS_CSMASK.models())
    source = model.open()
    shapes = weight_shapes(source)
    return ManifestEntry.describe(model, shapes, Layout.plan(shapes, 230, 'matrices'), 'trained')


def test_round_trip(tmp_path: Path, entry: ManifestEntry) -> None:
    skipped = ManifestEntry.skip(next(UKIS_CSMASK.models()), 'a reason\n over two lines')
    assert entry.parameters == 19_544_475
    assert skipped.skipped == 'a reason over two lines'
    write_manifest(tmp_path / 'manifest.jsonl', [entry, skipped])
    assert read_manifest(tmp_path / 'manifest.jsonl') == [entry, skipped]


def test_the_shipped_manifest_is_written_as_it_was(tmp_path: Path) -> None:
    shipped = EMBEDDED.with_name('manifest.jsonl')
    write_manifest(tmp_path / 'manifest.jsonl', read_manifest(shipped))
    assert (tmp_path / 'manifest.jsonl').read_text() == shipped.read_text()


def test_names_the_very_same_models(entry: ManifestEntry) -> None:
    (model,) = collect([], [entry])
    assert model == next(UKIS_CSMASK.models())
    assert model.locate()[1] == entry.sha256


def test_other_hash_is_refused(entry: ManifestEntry) -> None:
    (model,) = collect([], [dataclasses.replace(entry, sha256='0' * 64)])
    with pytest.raises(CollectionError, match='not the file that the collection names'):
        model.open()


def test_what_is_skipped_is_not_collected(entry: ManifestEntry) -> None:
    assert collect([], [dataclasses.replace(entry, skipped='because')]) == []


def test_unknown_source_is_named(entry: ManifestEntry) -> None:
    with pytest.raises(CollectionError, match=r"'hugingface/x'.*did you mean 'huggingface'"):
        collect([], [dataclasses.replace(entry, name='hugingface/x')])


@pytest.mark.parametrize('line', ['not json', json.dumps({'name': 'a'}), '[1]'])
def test_bad_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / 'manifest.jsonl').write_text(line + '\n')
    with pytest.raises(CollectionError, match='line 1'):
        read_manifest(tmp_path / 'manifest.jsonl')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'split': 'heldout'}, "split is 'heldout', not one of 'trained', 'held_out', 'skipped'"),
        ({'modality': 'radar'}, "modality is 'radar', not one of"),
        ({'name': 5}, 'name is 5, which is of another type'),
        ({'tokens': 'many'}, "tokens is 'many', which is of another type"),
        ({'split': 'skipped'}, "where 'skipped' says why"),
        ({'skipped': 'because'}, "where 'skipped' says why"),
    ],
)
def test_a_field_that_holds_what_it_may_not(
    tmp_path: Path, entry: ManifestEntry, change: dict[str, object], message: str
) -> None:
    """A split that nobody knows would be trained on."""
    line = json.dumps(dataclasses.asdict(entry) | change)
    (tmp_path / 'manifest.jsonl').write_text(f'{line}\n')
    with pytest.raises(CollectionError, match=f'line 1 is not a manifest entry: .*{message}'):
        read_manifest(tmp_path / 'manifest.jsonl')


def test_a_manifest_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / 'manifest.jsonl').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(CollectionError, match=r"manifest\.jsonl' cannot be read"):
        read_manifest(tmp_path / 'manifest.jsonl')


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match='cannot be read'):
        read_manifest(tmp_path / 'none.jsonl')
