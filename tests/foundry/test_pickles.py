"""Torch files read as data: the values that torch gives, or an error of ours, and never much memory or time."""

import contextlib
import io
import os
import pickle
import resource
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from torchgeo_geosane.foundry.errors import GeoSANEError, TokenError
from torchgeo_geosane.foundry.opcodes import Inert
from torchgeo_geosane.foundry.pickles import check_sums, read_pickle
from torchgeo_geosane.foundry.stored import StoredTensor, Unreadable

GB = 1 << 30


def samples() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(4, 6, generator=generator)
    return {
        'plain': base,
        'transposed': base.T,
        'part': base[1:3, 2:5],
        'channels_last': torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        'repeated': torch.randn(1).expand(3, 5),
        'parameter': nn.Parameter(torch.ones(2)),
        'half': base.half(),
        'bfloat16': base.bfloat16(),
        'double': base.double(),
        'bool': base > 0,
        'long': torch.arange(5),
        'short': torch.arange(5, dtype=torch.int16),
        'uint16': torch.arange(5).to(torch.uint16),
        'float8': base.to(torch.float8_e4m3fn),
        'complex': torch.complex(base, base),
        'scalar': torch.tensor(3.5),
        'empty': torch.zeros(0, 3),
    }


@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('protocol', [2, 4])
def test_the_values_that_torch_gives(
    tmp_path: Path, zipped: bool, protocol: int, packed: bool
) -> None:
    path = tmp_path / 'x.pth'
    saved = samples()
    content = {'epoch': 3, 'nested': [OrderedDict(saved)], 'seen': Counter('aab')}
    torch.save(content, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    if packed and zipped:
        compress(path)
    found = read_pickle(path)
    assert found['epoch'] == 3
    tensors = found['nested'][0]
    assert list(tensors) == list(saved)
    for name, tensor in saved.items():
        stored = tensors[name]
        assert isinstance(stored, StoredTensor), name
        assert (stored.shape, stored.dtype) == (tuple(tensor.shape), tensor.dtype)
        read = stored.read(name)
        assert read.is_contiguous()
        assert torch.equal(bits(read), bits(tensor.detach().contiguous())), name
        if tensor.ndim and tensor.numel():
            rows = stored.rows(name, 1, 3)
            assert torch.equal(bits(rows), bits(tensor.detach().reshape(len(tensor), -1)[1:3]))


def bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def compress(path: Path) -> None:
    """Pack a torch file anew, as zip tools and some upload services do."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, content)


def test_tensors_that_are_no_dense_numbers_are_named(tmp_path: Path) -> None:
    odd: dict[str, Tensor] = {
        'sparse': torch.eye(3).to_sparse(),
        'compressed': torch.eye(3).to_sparse_csr(),
        'meta': torch.zeros(3, device='meta'),
        'nested': torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        'conjugated': torch.tensor([1 + 2j]).conj(),
    }
    torch.save(odd, tmp_path / 'x.pth')
    found = read_pickle(tmp_path / 'x.pth')
    assert set(found) == set(odd)
    for name, value in found.items():
        assert isinstance(value, Unreadable), name
        assert 'save' in value.why, name


def test_nothing_is_held_open_or_mapped(tmp_path: Path) -> None:
    path = tmp_path / 'x.pth'
    torch.save({'a': torch.ones(1000)}, path)
    stored = read_pickle(path)['a']
    read = stored.read('a')
    path.write_bytes(b'')
    assert torch.equal(read, torch.ones(1000))
    with pytest.raises(TokenError, match='has changed while it was read'):
        stored.read('a')


def test_settings_of_a_trainer_are_left_aside(tmp_path: Path) -> None:
    import argparse

    content = {'model': {'a': torch.ones(2)}, 'args': argparse.Namespace(lr=0.1), 'path': tmp_path}
    torch.save(content, tmp_path / 'x.pth')
    found = read_pickle(tmp_path / 'x.pth')
    assert isinstance(found['args'], Inert)
    assert torch.equal(found['model']['a'].read('a'), torch.ones(2))


class Call:
    """Pickles itself as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize('function', [os.mkdir, eval, exec, getattr, Path.touch, torch.load])
@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_refused_and_not_run(
    tmp_path: Path, function: Callable[..., Any], zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = {'model': {'a': torch.ones(2)}, 'hook': Call(function, 'attacked')}
    torch.save(content, 'x.pth', _use_new_zipfile_serialization=zipped)
    with pytest.raises(TokenError, match='code in a file is never run'):
        read_pickle(Path('x.pth'))
    assert os.listdir() == ['x.pth']


def archive(path: Path, pickled: bytes, how: int = zipfile.ZIP_DEFLATED, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, 'w', how) as file:
        for name, content in {'data.pkl': pickled, 'version': b'3\n', **parts}.items():
            file.writestr(f'a/{name}', content)
    return path


def asks_for(function: str, *arguments: bytes) -> bytes:
    """A pickle that calls a function with arguments that are opcodes already."""
    module, _, name = function.rpartition('.')
    return b'\x80\x02c' + f'{module}\n{name}\n('.encode() + b''.join(arguments) + b'tR.'


HUGE = b'\x8a\x05' + (2 * GB).to_bytes(5, 'little')
# Every level holds the one before it twice: its hash takes 2**60 steps.
NESTED = b'\x80\x02)q\x00' + b'h\x00h\x00\x86q\x00' * 60
STORAGE = b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu'
BOMBS = {
    'bytearray': asks_for('builtins.bytearray', HUGE),
    'old bytearray': asks_for('__builtin__.bytearray', HUGE),
    'tensor': asks_for('torch.FloatTensor', HUGE),
    'storage': asks_for('torch.FloatStorage', HUGE),
    'untyped storage': asks_for('torch.storage.UntypedStorage', HUGE),
    'range': asks_for('builtins.range', HUGE),
    'stored': b'\x80\x02' + STORAGE + HUGE + b'tQ.',
    'tuple as key': NESTED + b'}h\x00Ns.',
    'tuple in a set': NESTED + b'cbuiltins\nset\n(h\x00ltR.',
    'memo': b'\x80\x02Nr\xff\xff\xff\x7f.',
    'copies': b'\x80\x02]q\x00(' + b'K\x01' * 50_000 + b'e' + b'cbuiltins\nlist\nh\x00\x85R' * 30_000 + b'.',
    'marks': b'\x80\x02' + b'(' * 10**5 + b'.',
    'lists': b'\x80\x02' + b']' * 2**25 + b'.',
    'text': b'\x80\x02X' + (2**27).to_bytes(4, 'little') + b'a' * 2**27 + b'.',
    'length that lies': b'\x80\x04\x8e' + (2**40).to_bytes(8, 'little') + b'a.',
    'number': b'\x80\x02\x8b' + (2**31 - 1).to_bytes(4, 'little') + b'\xff',
}  # fmt: skip


@pytest.mark.parametrize('name', BOMBS)
def test_bombs_take_no_memory(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / 'x.pth', BOMBS[name])
    peak, refused = measure(lambda: read_pickle(path))
    assert peak < 700, f'{peak} MB'
    assert refused or name in ('bytearray', 'tuple as key', 'tuple in a set', 'memo')


def measure(read: Callable[[], object]) -> tuple[int, bool]:
    """MB that reading takes in a process of its own, and whether it was refused by an error of ours."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            read()
            code = 0
        except GeoSANEError:
            code = 1
        finally:
            os._exit(code)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 1), f'no error of ours: exit status {code}'
    return (usage.ru_maxrss - before) // 1024, code == 1


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    storage = STORAGE + (2**26).to_bytes(5, 'little').join([b'\x8a\x05', b'tQ'])
    tensor = b'\x80\x02ctorch._utils\n_rebuild_tensor\n(' + storage + b'K\x00K\x01\x85K\x01\x85tR.'
    path = archive(tmp_path / 'x.pth', tensor, **{'data/0': bytes(GB // 4)})
    assert path.stat().st_size < 2**22
    peak, refused = measure(lambda: read_pickle(path))
    assert refused
    assert peak < 200


@pytest.mark.parametrize('zipped', [True, False])
def test_any_damage_is_an_error_of_ours(tmp_path: Path, zipped: bool) -> None:
    buffer = io.BytesIO()
    torch.save({'a': torch.ones(20), 'b': [1, 'x']}, buffer, _use_new_zipfile_serialization=zipped)
    whole, path = buffer.getvalue(), tmp_path / 'x.pth'
    generator = torch.Generator().manual_seed(3)
    for at in torch.randint(0, len(whole), (300,), generator=generator).tolist():
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        with contextlib.suppress(TokenError):
            found = read_pickle(path)
            for name, value in found.items() if isinstance(found, dict) else ():
                if isinstance(value, StoredTensor):
                    value.read(str(name))


def test_checksums_tell_damage(tmp_path: Path) -> None:
    path = tmp_path / 'x.pth'
    torch.save({'a': torch.ones(1000)}, path)
    check_sums(path)
    content = bytearray(path.read_bytes())
    at = content.find(torch.ones(4).numpy().tobytes()) + 5
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(TokenError, match='damaged'):
        check_sums(path)


def test_what_is_no_torch_file(tmp_path: Path) -> None:
    path = tmp_path / 'x.pth'
    for content in (pickle.dumps({'a': 1}), b'PK\x03\x04' * 9, b'\x80', b'\x80\x02.'):
        path.write_bytes(content)
        with pytest.raises(TokenError, match='cannot be read as a torch file'):
            read_pickle(path)
    archive(path, b'\x80\x02}.', **{'constants.pkl': b'\x80\x02).'})
    with pytest.raises(TokenError, match='TorchScript'):
        read_pickle(path)
