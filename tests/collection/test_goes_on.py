"""What cannot be had costs its own entry; the manifest of the rest is written, with the reasons."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hubs import FakeHub
from toy_weights import SaveModel, weights

from torchgeo_geosane.collection import CollectionError, read_manifest
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import gather
from torchgeo_geosane.collection.manifest import ManifestEntry
from torchgeo_geosane.collection.search import HubSearch
from torchgeo_geosane.collection.sources import Sources

Content = Callable[[int], bytes]

ENTRY = {
    'name': 'folder/a',
    'split': 'trained',
    'package': '/nowhere',
    'version': '',
    'file': 'a.pth',
    'parameters': 1,
    'tokens': 1,
    'modality': 'general',
    'task': 'x',
}
BAD_LINES = {
    'NUL in file': json.dumps({**ENTRY, 'file': 'a\0.pth'}),
    'surrogate in file': json.dumps({**ENTRY, 'file': 'a\ud800.pth'}),
    'NUL in package': json.dumps({**ENTRY, 'package': 'a\0'}),
    'long file': json.dumps({**ENTRY, 'file': 'a' * 5000}),
    'a folder': json.dumps({**ENTRY, 'package': '/', 'file': 'tmp'}),
    'a device': json.dumps({**ENTRY, 'package': '/dev', 'file': 'zero'}),
    'a package that is none': json.dumps({**ENTRY, 'name': 'ukis-csmask/x', 'package': '\0'}),
    'NUL of timm': json.dumps({**ENTRY, 'name': 'timm/x', 'package': 'a/b', 'file': 'a\0'}),
    'unknown source': json.dumps({**ENTRY, 'name': 'floppy/x'}),
    'deep': '[' * 100_000,
    'deep inside': '{"name": ' + '[' * 100_000,
    'no JSON': 'hello',
    'no object': '[1]',
    'a number of many digits': json.dumps(ENTRY)[:-1] + ', "tokens": ' + '9' * 5000 + '}',
    'unknown field': json.dumps({**ENTRY, 'splt': 'trained'}),
    'lacks a field': json.dumps({'name': 'x'}),
    'a boolean': json.dumps({**ENTRY, 'tokens': True}),
    'below zero': json.dumps({**ENTRY, 'tokens': -1}),
}


@pytest.mark.parametrize('name', BAD_LINES)
@pytest.mark.usefixtures('no_network')
def test_a_bad_line_costs_itself(tmp_path: Path, save_model: SaveModel, name: str) -> None:
    save_model('good.safetensors', weights(0))
    folder = FolderSource(path=tmp_path / 'models', licence='MIT')
    (good,) = gather(tmp_path / 'before.jsonl', Sources(folders=(folder,)), progress=False)
    before = tmp_path / 'before.jsonl'
    before.write_text(f'{BAD_LINES[name]}\n{before.read_text()}')
    with pytest.raises(CollectionError, match=r'1 of the models .* cannot be had'):
        gather(tmp_path / 'after.jsonl', manifest=before, progress=False)
    bad, kept = read_manifest(tmp_path / 'after.jsonl')
    assert kept == good
    assert bad.split == 'skipped'
    assert bad.skipped


def test_files_that_are_none_cost_themselves(tmp_path: Path, save_model: SaveModel) -> None:
    good = save_model('good.safetensors', weights(0))
    (good.parent / 'folder.safetensors').mkdir()
    (good.parent / 'itself.safetensors').symlink_to('itself.safetensors')
    (good.parent / 'gone.pth').symlink_to('/nowhere/x')
    os.mkfifo(good.parent / 'pipe.pth')
    (good.parent / 'page.pth').write_text('<!DOCTYPE html>')
    (good.parent / 'pointer.safetensors').write_text('version https://git-lfs.github.com/spec/v1\n')
    folder = FolderSource(path=tmp_path / 'models', licence='MIT')
    entries = gather(tmp_path / 'm.jsonl', Sources(folders=(folder,)), progress=False)
    found = {entry.file: entry.skipped for entry in entries}
    assert found.pop('good.safetensors') is None
    assert 'a web page' in (found.pop('page.pth') or '')
    assert 'Git LFS' in (found.pop('pointer.safetensors') or '')
    assert not found


class BadHub(FakeHub):
    """Answers some questions with what is no answer."""

    def __init__(self, cache: Path, errors: dict[str, Exception]) -> None:
        super().__init__(cache)
        self.errors = errors

    def model_info(self, name: str, **how: object):  # type: ignore[no-untyped-def]
        if name in self.errors:
            raise self.errors[name]
        return super().model_info(name, **how)  # type: ignore[arg-type]

    def list_models(self, *, search: str, sort: str, limit: int):  # type: ignore[no-untyped-def]
        if search in self.errors:
            raise self.errors[search]
        return super().list_models(search=search, sort=sort, limit=limit)


def collect(
    hub: BadHub, path: Path, monkeypatch: pytest.MonkeyPatch, *words: str
) -> dict[str, ManifestEntry]:
    monkeypatch.setattr('huggingface_hub.HfApi', lambda: hub)
    sources = Sources(hub=HubSearch(search=words, pause=0))
    entries = gather(path, sources, progress=False)
    assert entries == read_manifest(path)
    return {entry.name: entry for entry in entries}


@pytest.mark.usefixtures('fake_hub')
def test_a_hub_that_answers_with_a_page_or_not_at_all(
    tmp_path: Path, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: dict[str, Exception] = {
        'a/flood-page': json.JSONDecodeError('Expecting value', '<html>', 0),
        'a/flood-slow': TimeoutError('timed out'),
        'a/flood-odd': AttributeError('no such thing'),
        'nothing': json.JSONDecodeError('Expecting value', '<html>', 0),
    }
    hub = BadHub(tmp_path / 'hf', errors)
    for name in ('a/flood-page', 'a/flood-slow', 'a/flood-odd', 'a/flood-good'):
        hub.add(name, {'m.safetensors': content(0)}, cardData={'license': 'mit'})
    found = collect(hub, tmp_path / 'm.jsonl', monkeypatch, 'nothing', 'flood')
    assert found.pop('huggingface/a/flood-good/m.safetensors').skipped is None
    assert {name: entry.split for name, entry in found.items()} == {
        'huggingface/search for nothing': 'skipped',
        'huggingface/a/flood-page': 'skipped',
        'huggingface/a/flood-slow': 'skipped',
        'huggingface/a/flood-odd': 'skipped',
    }
    assert 'TimeoutError: timed out' in (found['huggingface/a/flood-slow'].skipped or '')


@pytest.mark.usefixtures('fake_hub')
def test_a_hub_that_goes_away(
    tmp_path: Path, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked a thousand times, with a timeout each."""
    names = [f'a/flood-{i:02}' for i in range(20)]
    hub = BadHub(tmp_path / 'hf', {name: OSError('no route to host') for name in names[1:]})
    for name in names:
        hub.add(name, {'m.safetensors': content(0)}, cardData={'license': 'mit'})
    found = collect(hub, tmp_path / 'm.jsonl', monkeypatch, 'flood')
    assert list(found) == [
        'huggingface/a/flood-00/m.safetensors',
        'huggingface/a/flood-01',
        'huggingface/a/flood-02',
        'huggingface/what was not asked for',
    ]
    assert [entry.split for entry in found.values()] == ['trained', *['skipped'] * 3]


@pytest.mark.usefixtures('no_network')
def test_no_hub_costs_what_it_has(tmp_path: Path, save_model: SaveModel) -> None:
    save_model('good.safetensors', weights(0))
    folder = FolderSource(path=tmp_path / 'models', licence='MIT')
    sources = Sources(folders=(folder,), hub=HubSearch())
    good, away = gather(tmp_path / 'm.jsonl', sources, progress=False)
    assert good.skipped is None
    assert 'cannot be asked' in (away.skipped or '')
    again = dataclasses.replace(away)
    assert read_manifest(tmp_path / 'm.jsonl') == [good, again]
