import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from specs import MakeSpec

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import (
    Provenance,
    digest,
    read_provenance,
    read_weights,
    write_weights,
)


@pytest.fixture
def generated(make_spec: MakeSpec) -> Generated:
    return generate(make_spec())


def header(path: Path) -> dict[str, str]:
    with safe_open(path, 'pt') as file:
        return dict(file.metadata())


def test_it_tells_where_weights_come_from(generated: Generated, make_spec: MakeSpec) -> None:
    record = generated.provenance
    assert record.url == make_spec().url
    assert (record.architecture, record.sensor) == ('test_resnet', 'sentinel2_6')
    assert record.foundry_licence == 'MIT'
    assert len(record.foundry_fingerprint) == 64
    assert record.prompts[0].name == 'random'
    assert 'random' in record.prompts[0].source
    assert record.licence == 'MIT, none: random initialisation'
    assert {'torchgeo-geosane', 'torch', 'timm', 'torchgeo'} == set(record.versions)
    assert record.counts() == {'generated': 45, 'prompt': 45}


def test_json_round_trip(generated: Generated) -> None:
    assert Provenance.from_json(generated.provenance.to_json()) == generated.provenance


@pytest.mark.parametrize(
    'text', ['', 'null', '[]', '{}', '{"prompts": 1}', 'NaN', '{"prompts": []}']
)
def test_json_of_something_else(text: str) -> None:
    with pytest.raises(CacheError, match='provenance is not readable'):
        Provenance.from_json(text)


CHANGES = {
    'url': [3, None, ['x']],
    'key': [3.5, {}],
    'prompts': ['abc', {}, [1], [{}], None],
    'stem': ['abc', [], {}, None],
    'versions': [[], 'abc', {'torch': 3}],
    'coverage': [[], 'abc', {'conv.weight': 'magic'}, {'conv.weight': None}],
    'unknown': [1],
}


@pytest.mark.parametrize(('name', 'value'), [(n, v) for n, vs in CHANGES.items() for v in vs])
def test_a_field_that_holds_what_it_may_not(generated: Generated, name: str, value: object) -> None:
    values = json.loads(generated.provenance.to_json())
    with pytest.raises(CacheError, match=f'provenance is not readable: .*{name}'):
        Provenance.from_json(json.dumps({**values, name: value}))


def test_a_record_inside_that_holds_what_it_may_not(generated: Generated) -> None:
    values = json.loads(generated.provenance.to_json())
    for stem in ({'adapted': 1}, {'bands': 'B4'}, {'bands': [4]}):
        with pytest.raises(CacheError, match=r'stem\.'):
            Provenance.from_json(json.dumps({**values, 'stem': values['stem'] | stem}))
    for prompt in ({'name': None}, {'bands': None}):
        with pytest.raises(CacheError, match=r'prompts\.'):
            Provenance.from_json(json.dumps({**values, 'prompts': [values['prompts'][0] | prompt]}))
    with pytest.raises(CacheError, match='nested too deeply'):
        Provenance.from_json('[' * 100_000)


def test_file_round_trip(generated: Generated, tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'w.safetensors'
    write_weights(path, generated.tensors, generated.provenance)
    tensors, record = read_weights(path)
    assert list(tensors) == list(generated.tensors)
    assert digest(tensors) == digest(generated.tensors)
    assert record == read_provenance(path) == generated.provenance
    assert [file.name for file in path.parent.iterdir()] == ['w.safetensors']


def test_any_safetensors_reader_reads_it(generated: Generated, tmp_path: Path) -> None:
    write_weights(tmp_path / 'w.safetensors', generated.tensors, generated.provenance)
    assert digest(load_file(tmp_path / 'w.safetensors')) == digest(generated.tensors)
    stated = json.loads(header(tmp_path / 'w.safetensors')['provenance'])
    assert stated == json.loads(json.dumps(asdict(generated.provenance)))


def test_digest_sees_every_change() -> None:
    base = {'a': torch.arange(6.0).reshape(2, 3), 'b': torch.tensor(1)}
    changed = [
        {**base, 'b': torch.tensor(2)},
        {**base, 'b': torch.tensor([1])},
        {**base, 'b': torch.tensor(1, dtype=torch.int32)},
        {**base, 'a': base['a'].reshape(3, 2)},
        {**base, 'c': torch.zeros(0)},
        {'a': base['a'], 'c': base['b']},
    ]
    digests = {digest(tensors) for tensors in [base, *changed]} | {digest(base, 'text')}
    assert len(digests) == len(changed) + 2
    transposed = base['a'].t().contiguous().t()
    assert digest({'b': base['b'], 'a': transposed}) == digest(base)


def test_every_byte_of_a_file_counts(make_spec: MakeSpec, tmp_path: Path) -> None:
    generated = generate(make_spec('test_efficientnet', 'rgb'))
    path = tmp_path / 'w.safetensors'
    write_weights(path, generated.tensors, generated.provenance)
    content = path.read_bytes()
    head = int.from_bytes(content[:8], 'little')
    for place in [0, 7, *range(8, head + 8, 1999), *range(head + 8, len(content), 50021)]:
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            tensors, record = read_weights(path)
        except CacheError:
            continue
        # Only the padding behind the header may change unnoticed.
        assert (digest(tensors), record) == (digest(generated.tensors), generated.provenance), place


def test_truncated_and_foreign_files(generated: Generated, tmp_path: Path) -> None:
    path = tmp_path / 'w.safetensors'
    write_weights(path, generated.tensors, generated.provenance)
    content = path.read_bytes()
    for end in (0, 4, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(CacheError, match='not a readable safetensors file'):
            read_weights(path)
    save_file(generated.tensors, path)
    with pytest.raises(CacheError, match='was not written by torchgeo-geosane'):
        read_weights(path)
    with pytest.raises(CacheError, match='no such file'):
        read_weights(tmp_path / 'none.safetensors')
    with pytest.raises(CacheError, match='is a folder'):
        read_provenance(tmp_path)


def test_a_forged_provenance(generated: Generated, tmp_path: Path) -> None:
    path = tmp_path / 'w.safetensors'
    write_weights(path, generated.tensors, generated.provenance)
    metadata = header(path)
    few = dict(list(generated.tensors.items())[:3])
    text = metadata['provenance']
    save_file(few, path, {**metadata, 'digest': digest(few, text)})
    with pytest.raises(CacheError, match='speaks of other tensors'):
        read_weights(path)
    save_file(
        generated.tensors, path, {**metadata, 'provenance': text.replace('random', 'imagenet')}
    )
    with pytest.raises(CacheError, match='sha256'):
        read_weights(path)
