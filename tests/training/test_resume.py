"""A training that is killed goes on as if nothing had happened."""

import csv
import dataclasses
import errno
from pathlib import Path

import pytest
import torch

from torchgeo_geosane.errors import CacheError, FoundryError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.training import train_foundry
from torchgeo_geosane.training.checkpoints import Progress
from torchgeo_geosane.training.module import FoundryTask

KILLED_AT = 13


class KilledError(Exception):
    """Stands for whatever ends a process."""


def rows(folder) -> list[dict[str, str]]:
    """The log, without what depends on the clock."""
    text = (folder / 'training.csv').read_text().splitlines()
    return [
        {name: value for name, value in row.items() if not name.startswith('throughput')}
        for row in csv.DictReader(text)
    ]


def kill(monkeypatch, step: int = KILLED_AT) -> None:
    def end(task, *arguments):
        if task.global_step == step:
            raise KilledError

    monkeypatch.setattr(FoundryTask, 'on_train_batch_start', end)


def spare(monkeypatch) -> None:
    monkeypatch.setattr(FoundryTask, 'on_train_batch_start', lambda task, *arguments: None)


@pytest.fixture
def optimisation(optimisation):
    # Dropout and micro-batches have state of their own, and the checkpoint of step 10 is also the
    # time of a validation.
    return dataclasses.replace(optimisation, checkpoint_every=5, accumulate=2)


@pytest.fixture
def foundry(foundry):
    return dataclasses.replace(foundry, dropout=0.1)


@pytest.fixture
def train(foundry, collection, optimisation):
    def run(output, **changes):
        options = dataclasses.replace(optimisation, **changes)
        return train_foundry(foundry, collection, options, output, progress=False)

    return run


@pytest.fixture
def killed(tmp_path, train, monkeypatch):
    kill(monkeypatch)
    with pytest.raises(KilledError):
        train(tmp_path / 'killed')
    spare(monkeypatch)
    return tmp_path / 'killed'


def test_the_same_numbers_to_the_last_digit(tmp_path, train, killed):
    assert rows(killed)[-1]['step'] == str(KILLED_AT), 'it got beyond its checkpoint'
    again = train(killed)
    whole = train(tmp_path / 'whole')
    assert rows(killed) == rows(tmp_path / 'whole')
    assert again == whole
    first, second = (
        Foundry.load(str(folder)).model.state_dict() for folder in (killed, tmp_path / 'whole')
    )
    assert all(first[name].equal(second[name]) for name in first)


def test_killed_twice(tmp_path, train, killed, monkeypatch):
    kill(monkeypatch, 17)
    with pytest.raises(KilledError):
        train(killed)
    spare(monkeypatch)
    train(killed)
    train(tmp_path / 'whole')
    assert rows(killed) == rows(tmp_path / 'whole')


def test_a_checkpoint_of_every_step_that_is_due(tmp_path, train, monkeypatch):
    saved = []
    monkeypatch.setattr(
        'lightning.pytorch.Trainer.save_checkpoint',
        lambda trainer, path, **options: saved.append((trainer.global_step, path)),
    )
    train(tmp_path, checkpoint_every=8)
    assert saved == [(step, tmp_path / 'checkpoint.ckpt') for step in (8, 16, 20)]


def test_trained_to_the_end_but_without_results(tmp_path, train, monkeypatch):
    def fail(*arguments):
        raise KilledError

    with monkeypatch.context() as broken:
        broken.setattr('torchgeo_geosane.training.train.write_results', fail)
        with pytest.raises(KilledError):
            train(tmp_path / 'killed')
    kill(monkeypatch, 0)  # No step is done again.
    reports = train(tmp_path / 'killed')
    spare(monkeypatch)
    assert reports == train(tmp_path / 'whole')
    assert rows(tmp_path / 'killed') == rows(tmp_path / 'whole')


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, train, monkeypatch):
    save = torch.save

    def fill(content, path):
        if content.get('global_step', 0) >= 10:
            path.write_bytes(b'half of it')
            raise OSError(errno.ENOSPC, 'No space left on device')
        save(content, path)

    with monkeypatch.context() as full:
        full.setattr(torch, 'save', fill)
        with pytest.raises(CacheError, match='No space left'):
            train(tmp_path / 'full')
    found = Progress.find(tmp_path / 'full')
    assert found is not None
    assert found.step == 5
    assert {file.name for file in (tmp_path / 'full').iterdir()} == {
        'checkpoint.ckpt',
        'training.csv',
    }
    assert train(tmp_path / 'full') == train(tmp_path / 'whole')


@pytest.mark.parametrize('file', ['manifest.jsonl', 'report.json', 'NOTICE'])
def test_a_full_disk_leaves_no_half_results(tmp_path, train, monkeypatch, file):
    write_text = Path.write_text

    def fill(path, text, **kwargs):
        if path.name.startswith(file):
            path.write_bytes(text.encode()[:10])
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write_text(path, text, **kwargs)

    with monkeypatch.context() as full:
        full.setattr(Path, 'write_text', fill)
        with pytest.raises(CacheError, match=rf'cannot write .*{file}.*No space left'):
            train(tmp_path / 'full')
    left = {path.name for path in (tmp_path / 'full').iterdir()}
    assert {'checkpoint.ckpt', 'training.csv'} <= left
    assert left <= {'checkpoint.ckpt', 'training.csv', 'manifest.jsonl', 'report.json'} - {file}
    assert train(tmp_path / 'full') == train(tmp_path / 'whole')
    assert (tmp_path / 'full' / 'foundry.safetensors').exists()


def test_an_output_that_cannot_be_a_folder(tmp_path, train):
    (tmp_path / 'file').write_text('')
    with pytest.raises(CacheError, match=r'cannot write .*training\.csv'):
        train(tmp_path / 'file')


def test_another_configuration_is_named(killed, train):
    before = (killed / 'checkpoint.ckpt').read_bytes(), (killed / 'training.csv').read_text()
    with pytest.raises(FoundryError, match=r'optimisation\.seed: 0, not 1.*another output folder'):
        train(killed, seed=1)
    assert before == (
        (killed / 'checkpoint.ckpt').read_bytes(),
        (killed / 'training.csv').read_text(),
    )


def test_another_collection_is_named(killed, foundry, collection, optimisation):
    fewer = dataclasses.replace(collection, held_out=())
    with pytest.raises(FoundryError, match=r'collection toy/c: held_out.*, not trained'):
        train_foundry(foundry, fewer, optimisation, killed, progress=False)


def test_a_finished_training_is_not_overwritten(tmp_path, train):
    train(tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    with pytest.raises(FoundryError, match='holds a finished training'):
        train(tmp_path)
    assert before == {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}


@pytest.mark.parametrize('content', [b'', b'half of a checkpoint'])
def test_a_damaged_checkpoint(killed, train, content):
    (killed / 'checkpoint.ckpt').write_bytes(content)
    with pytest.raises(FoundryError, match='Delete it to begin anew'):
        train(killed)


def test_the_checkpoint_of_something_else(killed, train):
    torch.save({'weights': torch.zeros(3)}, killed / 'checkpoint.ckpt')
    with pytest.raises(FoundryError, match='not a checkpoint of a foundry in training'):
        train(killed)
