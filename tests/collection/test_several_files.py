"""Models in several files are one model; weights of other types, and a full disk."""

import errno
import json
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from hubs import FakeHub
from huggingface_hub.errors import GatedRepoError
from safetensors.torch import save, save_file
from toy_weights import SaveModel, weights

from torchgeo_geosane.collection import ManifestEntry, read_manifest
from torchgeo_geosane.collection.base import open_weights
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import gather
from torchgeo_geosane.collection.rules import Rules
from torchgeo_geosane.collection.search import HubSearch
from torchgeo_geosane.collection.sources import Sources
from torchgeo_geosane.errors import CacheError, GeoSANEError

INDEX = {'safetensors': 'model.safetensors.index.json', 'bin': 'pytorch_model.bin.index.json'}


def split(folder: Path, seed: int, suffix: str = 'safetensors') -> Path:
    """A model in two files; gives its index."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX[suffix]
    stem = index.name.split('.')[0]
    places = {}
    tensors = weights(seed)
    for number, names in enumerate([list(tensors)[:2], list(tensors)[2:]], start=1):
        file = f'{stem}-0000{number}-of-00002.{suffix}'
        part = {name: tensors[name] for name in names}
        places |= dict.fromkeys(names, file)
        (save_file if suffix == 'safetensors' else torch.save)(part, folder / file)
    index.write_text(json.dumps({'metadata': {'total_size': 1}, 'weight_map': places}))
    return index


def gather_folder(folder: Path, **rules: int) -> dict[str, ManifestEntry]:
    source = FolderSource(path=folder, licence='MIT')
    output = folder.with_name('manifest.jsonl')
    entries = gather(output, Sources(folders=(source,)), rules=Rules(**rules), progress=False)
    return {entry.file: entry for entry in entries}


@pytest.mark.parametrize('suffix', INDEX)
def test_an_index_is_one_model(tmp_path: Path, suffix: str) -> None:
    index = split(tmp_path / 'models', 0, suffix)
    entries = gather_folder(tmp_path / 'models')
    (entry,) = entries.values()
    assert (entry.file, entry.skipped, entry.parameters) == (index.name, None, 8160)
    source = open_weights(index)
    assert source.names() == list(weights(0))
    for name, tensor in weights(0).items():
        assert source.read(name).equal(tensor)
        assert source.rows(name, 1, 3).equal(tensor.reshape(len(tensor), -1)[1:3])


def test_a_copy_in_one_file_is_found(tmp_path: Path, save_model: SaveModel) -> None:
    split(tmp_path / 'models' / 'a', 0)
    save_model('b.safetensors', weights(0))
    entries = gather_folder(tmp_path / 'models')
    assert 'of its values are those of' in (entries['b.safetensors'].skipped or '')


def test_its_hash_counts_in_every_file(tmp_path: Path) -> None:
    index = split(tmp_path / 'models', 0)
    gather_folder(tmp_path / 'models')
    manifest = tmp_path / 'manifest.jsonl'
    gather(tmp_path / 'again.jsonl', None, manifest, progress=False)
    part = index.with_name('model-00002-of-00002.safetensors')
    save_file({name: weights(1)[name] for name in ('fc.weight', 'head.weight')}, part)
    with pytest.raises(GeoSANEError, match='cannot be had as they were'):
        gather(tmp_path / 'again.jsonl', None, manifest, progress=False)
    (entry,) = read_manifest(tmp_path / 'again.jsonl')
    assert 'not the file that the collection names' in (entry.skipped or '')


def test_its_size_is_that_of_every_file(tmp_path: Path) -> None:
    split(tmp_path / 'models', 0)
    (entry,) = gather_folder(tmp_path / 'models', max_bytes=30_000).values()
    assert 'at most 30,000 are wanted' in (entry.skipped or '')


def spoil(index: Path, kind: str) -> None:
    content = json.loads(index.read_text())
    places = content['weight_map']
    match kind:
        case 'missing':
            index.with_name('model-00002-of-00002.safetensors').unlink()
        case 'elsewhere':
            places['conv.weight'] = '../secret.safetensors'
        case 'not held':
            places['other.weight'] = 'model-00001-of-00002.safetensors'
        case 'half':
            part = index.with_name('model-00002-of-00002.safetensors')
            part.write_bytes(part.read_bytes()[:-100])
        case 'itself':
            places['conv.weight'] = index.name
        case 'no name':
            places['conv.weight'] = ''
        case 'no disk knows it':
            places['conv.weight'] = 'a\0.safetensors'
        case 'no index':
            content = ['weight_map']
    index.write_text('[' * 100_000 if kind == 'without end' else json.dumps(content))


@pytest.mark.parametrize(
    ('kind', 'reason'),
    [
        ('missing', 'model-00002-of-00002.safetensors'),
        ('elsewhere', "does not lie beside it: '../secret.safetensors'"),
        ('not held', "'other.weight', which 'model-00001-of-00002.safetensors' does not hold"),
        ('half', 'not a readable safetensors file'),
        ('itself', f"names what is no file with weights: '{INDEX['safetensors']}'"),
        ('no name', "names what is no file with weights: ''"),
        ('no disk knows it', "names what is no file with weights: 'a\\x00.safetensors'"),
        ('no index', 'is not an index of weights files'),
        ('without end', 'is not an index of weights files'),
    ],
)
def test_a_bad_index_is_listed(tmp_path: Path, kind: str, reason: str) -> None:
    index = split(tmp_path / 'models' / 'bad', 0)
    split(tmp_path / 'models' / 'good', 1)
    spoil(index, kind)
    entries = gather_folder(tmp_path / 'models')
    assert reason in (entries[f'bad/{index.name}'].skipped or '')
    assert entries[f'good/{index.name}'].skipped is None


def test_from_the_hub(fake_hub: FakeHub, tmp_path: Path) -> None:
    split(tmp_path / 'here', 0)
    files = {path.name: path.read_bytes() for path in (tmp_path / 'here').iterdir()}
    fake_hub.add('a/flood', files, cardData={'license': 'mit'})
    (model,) = HubSearch(search=('flood',), pause=0).models()
    assert model.file == INDEX['safetensors']
    assert model.size == sum(map(len, files.values()))
    assert model.open().read('fc.weight').equal(weights(0)['fc.weight'])


def test_files_of_a_model_without_index_are_listed(tmp_path: Path) -> None:
    split(tmp_path / 'models', 0).unlink()
    entries = gather_folder(tmp_path / 'models')
    assert len(entries) == 2
    assert all('whose index is not there' in (entry.skipped or '') for entry in entries.values())


# Types and ties.


@pytest.mark.parametrize(
    'dtype', [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.int32], ids=str
)
def test_quantised_weights_are_listed(
    tmp_path: Path, save_model: SaveModel, dtype: torch.dtype
) -> None:
    tensors = weights(0) | {'q.weight': torch.ones(40, 40).to(dtype), 'q.scale': torch.ones(40)}
    save_model('a.safetensors', tensors)
    (entry,) = gather_folder(tmp_path / 'models').values()
    kind = str(dtype).removeprefix('torch.')
    assert (entry.skipped or '').startswith(f"'q.weight' is {kind}: quantised weights")


def test_numbers_that_are_no_weights_do_not_matter(tmp_path: Path, save_model: SaveModel) -> None:
    save_model('a.pt', weights(0) | {'attn.relative_position_index': torch.ones(4, 4).long()})
    (entry,) = gather_folder(tmp_path / 'models').values()
    assert (entry.skipped, entry.parameters) == (None, 8160)


@pytest.mark.parametrize('name', ['a.pt', 'a.safetensors'])
def test_tied_weights_count_once(tmp_path: Path, save_model: SaveModel, name: str) -> None:
    """By a second name in a pickle, by a copy in safetensors."""
    tensors = weights(0)
    tied = tensors['fc.weight'] if name == 'a.pt' else tensors['fc.weight'].clone()
    save_model(name, tensors | {'decoder.weight': tied, 'zeros.weight': torch.zeros(40, 40)})
    (entry,) = gather_folder(tmp_path / 'models').values()
    assert entry.parameters == 8160 + 1600


# Gated and gone, and no room.


def test_a_gated_repository_is_listed(
    fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_hub.add('a/flood', {'m.safetensors': save(weights(0))}, cardData={'license': 'mit'})
    fake_hub.add('b/flood', {'m.safetensors': save(weights(1))}, cardData={'license': 'mit'})
    (fake_hub.cache / 'models--a--flood').rename(tmp_path / 'elsewhere')

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise GatedRepoError('Access to a/flood is restricted.', response=fake_hub.answer())

    monkeypatch.setattr('huggingface_hub.hf_hub_download', refuse)
    search = HubSearch(search=('flood',), pause=0)
    gated, free = gather(tmp_path / 'm.jsonl', Sources(hub=search), progress=False)
    assert 'GatedRepoError: Access to a/flood is restricted' in (gated.skipped or '')
    assert free.skipped is None


def test_what_is_gone_is_listed_as_gone(fake_hub: FakeHub, tmp_path: Path) -> None:
    """And not as without a licence, which nobody can know any more."""
    fake_hub.vanish('a/flood')
    fake_hub.add('b/flood', {'README.md': b'x'})
    search = HubSearch(search=('flood',), pause=0)
    empty, gone = gather(tmp_path / 'm.jsonl', Sources(hub=search), progress=False)
    assert 'RepositoryNotFoundError: 404 Client Error' in (gone.skipped or '')
    assert 'it has no file with weights' in (empty.skipped or '')


def test_a_full_disk_leaves_the_manifest_before(
    tmp_path: Path, save_model: SaveModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model('a.safetensors', weights(0))
    gather_folder(tmp_path / 'models')
    before = (tmp_path / 'manifest.jsonl').read_text()
    save_model('b.safetensors', weights(1))

    def fill(path: Path, text: str, **kwargs: object) -> NoReturn:
        path.write_bytes(text.encode()[:10])
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as full:
        full.setattr(Path, 'write_text', fill)
        with pytest.raises(CacheError, match='No space left'):
            gather_folder(tmp_path / 'models')
    assert (tmp_path / 'manifest.jsonl').read_text() == before
    assert {path.name for path in tmp_path.iterdir()} == {'models', 'manifest.jsonl'}
    assert len(gather_folder(tmp_path / 'models')) == 2
