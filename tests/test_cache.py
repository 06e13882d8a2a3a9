import logging
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from specs import MakeSpec

from torchgeo_geosane import cache
from torchgeo_geosane.foundry.engine import Engine
from torchgeo_geosane.generate import generate, identify
from torchgeo_geosane.provenance import digest
from torchgeo_geosane.spec import Spec


def file_of(spec: Spec) -> Path:
    return cache.path_of(spec, identify(spec))


def weights_files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.suffix != '.lock')


Target = Callable[[Spec, Connection], None]


def run_with_cache(directory: str, target: Target, spec: Spec, answer: Connection) -> None:
    os.environ[cache.ENVIRONMENT] = directory
    target(spec, answer)


def start(processes: ForkServerContext, target: Target, spec: Spec) -> tuple[Any, Connection]:
    """Another process, with the same cache, and where its answers arrive."""
    here, there = processes.Pipe(duplex=False)
    arguments = (str(cache.directory()), target, spec, there)
    process = processes.Process(target=run_with_cache, args=arguments)
    process.start()
    there.close()
    return process, here


def ask(processes: ForkServerContext, target: Target, spec: Spec) -> Any:
    """What another process answers; it is over then."""
    process, here = start(processes, target, spec)
    answer = here.recv()
    process.join()
    return answer


# Where it lies.


def test_the_variable_moves_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.ENVIRONMENT, str(tmp_path / 'elsewhere'))
    assert cache.directory() == tmp_path / 'elsewhere'
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv(cache.ENVIRONMENT, '~/weights')
    assert cache.directory() == tmp_path / 'weights'
    monkeypatch.setenv(cache.ENVIRONMENT, '')
    assert cache.directory() == Path(torch.hub.get_dir()) / 'geosane'
    monkeypatch.delenv(cache.ENVIRONMENT)
    assert cache.directory() == Path(torch.hub.get_dir()) / 'geosane'


def test_one_named_file_a_spec(make_spec: MakeSpec, cache_directory: Path) -> None:
    spec = make_spec()
    generate(spec)
    generate(spec)
    key = identify(spec)
    assert weights_files(cache_directory) == [f'test_resnet-sentinel2_6-{key}.safetensors']
    generate(replace(spec, seed=1))
    assert len(weights_files(cache_directory)) == 2


# A hit.


def test_a_hit_runs_no_foundry(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_spec()
    first = generate(spec)
    monkeypatch.delattr(Engine, 'run')
    second = generate(spec)
    assert digest(second.tensors) == digest(first.tensors)
    assert list(second.tensors) == list(first.tensors)
    assert second.provenance == first.provenance


def test_the_result_is_nobody_elses(make_spec: MakeSpec) -> None:
    spec = make_spec()
    expected = digest(generate(spec).tensors)
    for _ in range(2):
        generated = generate(spec)
        assert digest(generated.tensors) == expected
        for tensor in generated.tensors.values():
            tensor.zero_()
        del generated.tensors['conv1.0.weight']


# Files that are not to be trusted.


def truncate(path: Path, _: Spec) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path, _: Spec) -> None:
    path.write_bytes(b'')


def flip_a_bit(path: Path, _: Spec) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def flip_a_bit_of_the_provenance(path: Path, _: Spec) -> None:
    path.write_bytes(path.read_bytes().replace(b'none: random', b'none: randon'))


def put_a_foreign_file(path: Path, _: Spec) -> None:
    save_file({'weight': torch.zeros(3)}, path)


def put_another_spec(path: Path, spec: Spec) -> None:
    other = replace(spec, seed=9)
    generate(other)
    file_of(other).replace(path)


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (truncate, 'not a readable safetensors file'),
        (empty, 'not a readable safetensors file'),
        (flip_a_bit, 'does not have the sha256'),
        (flip_a_bit_of_the_provenance, 'does not have the sha256'),
        (put_a_foreign_file, 'not written by torchgeo-geosane'),
        (put_another_spec, 'belongs to another spec: geosane://.*seed=9'),
    ],
)
def test_bad_files_are_reported_set_aside_and_made_again(
    damage: Callable[[Path, Spec], None],
    message: str,
    make_spec: MakeSpec,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = make_spec()
    expected = digest(generate(spec).tensors)
    path = file_of(spec)
    damage(path, spec)
    damaged = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert digest(generate(spec).tensors) == expected
    assert len(caplog.records) == 1
    assert re.search(f'{message}.*Set aside as {path.stem}.damaged', caplog.messages[0])
    assert path.with_suffix('.damaged').read_bytes() == damaged
    caplog.clear()
    assert digest(generate(spec).tensors) == expected
    assert caplog.messages == []


# Places that cannot be written.


def test_a_cache_that_cannot_exist(
    make_spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = make_spec()
    expected = digest(generate(spec).tensors)
    (tmp_path / 'file').write_text('in the way')
    for unusable in (tmp_path / 'file' / 'cache', tmp_path / 'file', Path('/proc/nobody/cache')):
        monkeypatch.setenv(cache.ENVIRONMENT, str(unusable))
        caplog.clear()
        assert digest(generate(spec).tensors) == expected
        assert len(caplog.messages) == 1
        assert 'were not cached: cannot write' in caplog.messages[0]
        assert f'Set {cache.ENVIRONMENT}' in caplog.messages[0]
        assert cache.entries() == []
        assert cache.clear() == 0


def generate_with_a_full_disk(spec: Spec, answer: Connection) -> None:
    """No file may grow beyond 100 kB, as on a disk with no more room."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    answer.send((digest(generate(spec).tensors), messages))


def test_a_full_disk(
    make_spec: MakeSpec, cache_directory: Path, processes: ForkServerContext, tmp_path: Path
) -> None:
    spec = make_spec()
    found, messages = ask(processes, generate_with_a_full_disk, spec)
    assert len(messages) == 1
    assert 'were not cached: cannot write' in messages[0]
    assert weights_files(cache_directory) == []
    assert found == digest(generate(spec).tensors)


# Interrupted, killed, and several processes.


def test_ctrl_c_leaves_nothing(
    make_spec: MakeSpec, cache_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        yield from ()
        raise KeyboardInterrupt

    def interrupted_while_writing(_: int) -> None:
        raise KeyboardInterrupt

    spec = make_spec()
    with monkeypatch.context() as patch:
        patch.setattr(Engine, 'run', interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate(spec)
    assert weights_files(cache_directory) == []
    with cache.locked(file_of(spec)):  # It is free.
        pass
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', interrupted_while_writing)
        with pytest.raises(KeyboardInterrupt):
            generate(spec)
    assert weights_files(cache_directory) == []
    assert generate(spec).tensors


def killed_before_the_rename(spec: Spec, answer: Connection) -> None:
    """Die when the file is written but does not yet have its name."""

    def die(event: str, arguments: tuple[Any, ...]) -> None:
        if event == 'os.rename':
            written = cache.directory().rglob('*.safetensors')
            answer.send([path.stat().st_size for path in written])
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    generate(spec)


def test_killed_while_writing(
    make_spec: MakeSpec,
    cache_directory: Path,
    processes: ForkServerContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = make_spec()
    (size,) = ask(processes, killed_before_the_rename, spec)
    assert weights_files(cache_directory) == ['.torchgeo-geosane']
    assert cache.entries() == []
    generate(spec)
    assert caplog.messages == []
    assert weights_files(cache_directory) == [file_of(spec).name], 'the remains are swept away'
    assert file_of(spec).stat().st_size == size


def generate_and_count(spec: Spec, answer: Connection) -> None:
    """Say how often a file was stored by this process."""
    stored = []
    sys.addaudithook(
        lambda event, arguments: stored.append(event) if event == 'os.rename' else None
    )
    answer.send('ready')
    generated = generate(spec)
    answer.send((len(stored), digest(generated.tensors)))


def test_killed_while_generating(
    make_spec: MakeSpec, cache_directory: Path, processes: ForkServerContext
) -> None:
    spec = make_spec('resnet18')
    process, here = start(processes, generate_and_count, spec)
    assert here.recv() == 'ready'
    lock = file_of(spec).with_name(file_of(spec).name + '.lock')
    while not lock.exists():
        assert process.is_alive()
    process.kill()
    process.join()
    assert weights_files(cache_directory) == []
    with cache.locked(file_of(spec)):  # The lock died with its holder.
        assert cache.load(file_of(spec), identify(spec)) is None


def test_two_processes_generate_once(
    make_spec: MakeSpec, cache_directory: Path, processes: ForkServerContext
) -> None:
    spec = make_spec('mobilenetv3_small_050')
    started = [start(processes, generate_and_count, spec) for _ in range(2)]
    answers = [[here.recv(), here.recv()] for _, here in started]
    for process, _ in started:
        process.join()
    assert sum(stored for _, (stored, _) in answers) == 1
    assert len({found for _, (_, found) in answers}) == 1
    assert weights_files(cache_directory) == [file_of(spec).name]


# Looking at it, and clearing it.


def test_entries_and_clear(
    make_spec: MakeSpec, cache_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert cache.entries() == []
    assert cache.clear() == 0
    specs = [make_spec(), make_spec('test_vit')]
    for spec in specs:
        generate(spec)
    assert {entry.provenance.url for entry in cache.entries()} == {spec.url for spec in specs}
    assert all(entry.size == entry.path.stat().st_size for entry in cache.entries())
    (cache_directory / 'foreign.safetensors').write_bytes(b'foreign')
    (cache_directory / 'x.damaged').write_bytes(b'')
    (cache_directory / 'note.txt').write_text('not ours')
    assert len(cache.entries()) == 2
    assert "foreign.safetensors' is not a readable" in caplog.text
    assert cache.clear() == 4
    assert [path.name for path in cache_directory.iterdir()] == ['note.txt']
