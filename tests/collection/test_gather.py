"""A collection is put together, and had again from its manifest."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hubs import FakeHub
from toy_weights import SaveModel, weights

from torchgeo_geosane.collection import CollectionError, ManifestEntry, read_manifest
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import TokenCount, gather
from torchgeo_geosane.collection.rules import Rules
from torchgeo_geosane.collection.search import HubSearch
from torchgeo_geosane.collection.sources import Sources


def gather_folder(folder: Path, **rules: Any) -> dict[str, ManifestEntry]:
    """The entries of the folder ``models``, by file."""
    source = FolderSource(path=folder / 'models', licence='MIT')
    entries = gather(
        folder / 'manifest.jsonl',
        Sources(folders=(source,)),
        rules=Rules(**rules),
        tokens=TokenCount(size=100, tokenisation='matrices'),
        progress=False,
    )
    assert read_manifest(folder / 'manifest.jsonl') == entries
    return {entry.file: entry for entry in entries}


def reasons(entries: dict[str, ManifestEntry]) -> dict[str, str]:
    return {file: entry.skipped for file, entry in entries.items() if entry.skipped}


def test_every_format(tmp_path: Path, save_model: SaveModel) -> None:
    save_model('a.safetensors', weights(0))
    save_model('b.pth', weights(1))
    save_model('deep/c.ckpt', {'epoch': 3, 'state_dict': weights(2)})
    save_model('notes.txt', {})
    entries = gather_folder(tmp_path)
    assert list(entries) == ['a.safetensors', 'b.pth', 'deep/c.ckpt']
    assert reasons(entries) == {}
    for entry in entries.values():
        assert (entry.parameters, entry.split) == (8160, 'trained')
        assert entry.tokens == 15 + 52 + 16
        assert (entry.licence, len(entry.sha256 or '')) == ('MIT', 64)


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ['ATTACKED'],)


def test_bad_files_are_listed_and_the_rest_goes_on(
    tmp_path: Path, save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ATTACKED', str(tmp_path / 'attacked'))
    whole = save_model('whole.safetensors', weights(0))
    pickled = save_model('half.pt', weights(0))
    pickled.write_bytes(pickled.read_bytes()[:-100])
    for name, content in {
        'empty.pth': b'',
        'half.safetensors': whole.read_bytes()[:-100],
        'half.onnx': b'\x3a\xff',
        'text.pt': b'<html>404</html>',
    }.items():
        whole.with_name(name).write_bytes(content)
    save_model('attack.pt', {'weights': weights(0), 'hook': Attack()})
    save_model('bomb.pt', {'weight': torch.zeros(1).expand(100_000, 100_000)})
    save_model('nan.pt', {'weight': torch.full((40, 40), torch.nan)})
    save_model('vectors.pt', {'norm.weight': torch.ones(2000)})
    save_model('whole_numbers.pt', {'weight': torch.ones(40, 40, dtype=torch.int8)})
    save_model('nothing.pt', {'epoch': 3})
    save_model('sparse.pt', {'weight': torch.eye(40).to_sparse()})
    save_model('shape.pt', {'weight': torch.empty(40, 40, device='meta')})
    endless: dict[str, object] = {}
    endless['model'] = endless
    save_model('endless.pt', endless)
    save_model('model-00001-of-00002.safetensors', weights(1))
    entries = gather_folder(tmp_path)
    found = reasons(entries)
    for file, reason in {
        'empty.pth': 'is empty',
        'half.safetensors': 'not a readable safetensors file',
        'half.onnx': 'not a readable ONNX file',
        'half.pt': 'truncated',
        'text.pt': 'is a web page',
        'attack.pt': 'code in a file is never run',
        'bomb.pt': 'shape [100000, 100000] repeats few stored values',
        'nan.pt': "'weight' holds NaN",
        'vectors.pt': 'no floating-point matrix',
        'whole_numbers.pt': 'no floating-point matrix',
        'nothing.pt': 'no floating-point matrix',
        'sparse.pt': 'is a sparse tensor: save it as a dense one',
        'shape.pt': 'is a shape without values',
        'endless.pt': 'no floating-point matrix',
        'model-00001-of-00002.safetensors': 'several files',
    }.items():
        assert reason in found.pop(file)
    assert found == {}
    assert not entries['whole.safetensors'].skipped
    assert not (tmp_path / 'attacked').exists()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_point_type(
    tmp_path: Path, save_model: SaveModel, dtype: torch.dtype
) -> None:
    save_model('a.safetensors', {name: t.to(dtype) for name, t in weights(0).items()})
    assert reasons(gather_folder(tmp_path)) == {}


def test_copies_are_found_whatever_they_are_called(tmp_path: Path, save_model: SaveModel) -> None:
    half = {name: tensor.half() for name, tensor in weights(0).items()}
    save_model('a.safetensors', half)
    save_model('b_same.safetensors', half)
    save_model('c_prefix.pth', {'model': {f'module.{k}': half[k] for k in reversed(half)}})
    save_model('d_upcast.pth', {name: tensor.float() for name, tensor in half.items()})
    save_model('e_head.pth', half | {'head.weight': torch.randn(2, 156).half()})
    save_model('f_tuned.pth', {name: tensor + 0.01 for name, tensor in half.items()})
    found = reasons(gather_folder(tmp_path))
    copies = ['b_same.safetensors', 'c_prefix.pth', 'd_upcast.pth']
    assert list(found) == [*copies, 'e_head.pth']
    for file in copies:
        assert found[file] == '100.0% of its values are those of folder/models/a.safetensors'
    assert found['e_head.pth'].startswith('9')
    assert list(reasons(gather_folder(tmp_path, duplicate_share=1.0))) == copies


def test_limits(tmp_path: Path, save_model: SaveModel) -> None:
    path = save_model('a.safetensors', weights(0))
    assert 'at most 8,159 are' in reasons(gather_folder(tmp_path, max_parameters=8159))[path.name]
    assert 'at most 999 are' in reasons(gather_folder(tmp_path, max_bytes=999))[path.name]


def test_a_large_file_is_not_even_fetched(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.add('a/flood', {'model.safetensors': b'x' * 1000}, cardData={'license': 'mit'})
    (fake_hub.cache / 'models--a--flood').rename(tmp_path / 'elsewhere')
    search = HubSearch(search=('flood',), pause=0)
    (entry,) = gather(
        tmp_path / 'm.jsonl', Sources(hub=search), rules=Rules(max_bytes=999), progress=False
    )
    assert entry.skipped == 'its file has 1,000 bytes, at most 999 are wanted'


def test_the_licence_comes_first(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.add('a/flood', {'m.pt': b'x'}, cardData={'license': 'cc-by-nd-4.0'})
    fake_hub.add('b/flood', {'m.pt': b'x'})
    search = HubSearch(search=('flood',), pause=0)
    entries = gather(tmp_path / 'm.jsonl', Sources(hub=search), progress=False)
    assert [(entry.licence, entry.skipped) for entry in entries] == [
        ('cc-by-nd-4.0', 'its licence forbids derivation: cc-by-nd-4.0'),
        (None, 'no licence is stated'),
    ]


# From a manifest.


@pytest.fixture
def manifest(tmp_path: Path, save_model: SaveModel) -> Path:
    """Of three models one is a copy, and one is held out."""
    for name, seed in {'a': 0, 'b': 0, 'c': 1}.items():
        save_model(f'{name}.safetensors', weights(seed))
    *_, last = gather_folder(tmp_path).values()
    path = tmp_path / 'manifest.jsonl'
    lines = path.read_text().splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {'split': 'held_out'})
    path.write_text('\n'.join(lines) + '\n')
    assert last.file == 'c.safetensors'
    return path


def again(manifest: Path) -> list[ManifestEntry]:
    tokens = TokenCount(size=100, tokenisation='matrices')
    return gather(manifest.with_name('again.jsonl'), None, manifest, tokens=tokens, progress=False)


def test_a_manifest_gives_itself(manifest: Path) -> None:
    again(manifest)
    assert manifest.with_name('again.jsonl').read_text() == manifest.read_text()


def test_a_changed_file_is_told_and_listed(manifest: Path, save_model: SaveModel) -> None:
    save_model('c.safetensors', weights(2))
    with pytest.raises(CollectionError, match=r"1 of the models.*'folder/models/c\.safetensors'"):
        again(manifest)
    *kept, lost = read_manifest(manifest.with_name('again.jsonl'))
    assert kept == read_manifest(manifest)[:2]
    assert 'not the file that the collection names' in (lost.skipped or '')


def test_changed_tensors_are_told_too(manifest: Path) -> None:
    entries = read_manifest(manifest)
    changed = dataclasses.replace(entries[0], tensors='0' * 64)
    manifest.write_text(json.dumps(dataclasses.asdict(changed)) + '\n')
    with pytest.raises(CollectionError, match='cannot be had as they were'):
        again(manifest)


def test_from_the_cache_alone(fake_hub: FakeHub, tmp_path: Path, content: Any) -> None:
    """Once collected, no network is needed: files are found by their commits."""
    fake_hub.add('a/flood', {'m.safetensors': content(0)}, cardData={'license': 'mit'})
    search = HubSearch(search=('flood',), pause=0)
    path = tmp_path / 'manifest.jsonl'
    gather(path, Sources(hub=search), progress=False)
    fake_hub.asked.clear()
    assert gather(tmp_path / 'again.jsonl', None, path, progress=False) == read_manifest(path)
    assert fake_hub.asked == []


def test_sources_or_a_manifest(tmp_path: Path, manifest: Path) -> None:
    for arguments in ({}, {'sources': Sources(), 'manifest': manifest}):
        with pytest.raises(CollectionError, match='give one'):
            gather(tmp_path / 'x.jsonl', **arguments)
    assert not (tmp_path / 'x.jsonl').exists()


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match='no folder'):
        gather_folder(tmp_path)
