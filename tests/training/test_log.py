"""The log, and the errors in it."""

import csv
import dataclasses
import errno
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.training import FoundryDataModule, train_foundry
from torchgeo_geosane.training.log import TrainingLog
from torchgeo_geosane.training.metrics import ErrorSums, relative_errors


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_columns_come_as_they_are_needed(tmp_path):
    log = TrainingLog(tmp_path / 'training.csv')
    log.log_metrics({'a': 0.1}, step=1)
    log.log_metrics({'b': 0.2, 'a': 0.3}, step=2)
    assert read(log.path) == [
        {'step': '1', 'a': '0.1', 'b': ''},
        {'step': '2', 'a': '0.3', 'b': '0.2'},
    ]


def test_goes_on_after_a_step(tmp_path):
    log = TrainingLog(tmp_path / 'training.csv')
    for step in (5, 10, 15):
        log.log_metrics({'a': step / 3}, step=step)
    with log.path.open('a') as file:
        file.write('10,6.6')  # The process died here.
    again = TrainingLog(log.path, step=10)
    again.log_metrics({'a': 1 / 7}, step=15)
    assert read(log.path) == [
        {'step': '5', 'a': repr(5 / 3)},
        {'step': '10', 'a': repr(10 / 3)},
        {'step': '15', 'a': repr(1 / 7)},
    ]
    assert read(TrainingLog(log.path).path) == []


def test_a_full_disk(tmp_path, monkeypatch):
    log = TrainingLog(tmp_path / 'training.csv')
    log.log_metrics({'a': 1.0}, step=1)

    def refuse(*arguments, **keywords):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with monkeypatch.context() as full:
        full.setattr(Path, 'open', refuse)
        with pytest.raises(CacheError, match='No space left'):
            log.log_metrics({'a': 2.0}, step=2)
    assert [row['a'] for row in read(log.path)] == ['1.0']


def test_errors_by_split_kind_family_and_modality(foundry, collection, optimisation):
    data = FoundryDataModule(foundry, collection, optimisation)
    data.setup()
    names = [('ResNet50', 'sar'), ('vit_tiny', 'optical'), ('resnet18', 'optical')]
    entries = [
        dataclasses.replace(model.entry, architecture=architecture, modality=modality)
        for model, (architecture, modality) in zip(data.models, names, strict=True)
    ]
    sums = ErrorSums(3)
    for loader in data.val_dataloader():
        for batch in loader:
            # Model 0 is given back exactly, model 1 is wrong by half, model 2 is forgotten.
            share = 1 - 0.5 * batch['model'].view(-1, 1, 1)
            sums.add(batch['tokens'] * share, batch)
    found = relative_errors(sums, entries)
    assert found['relative_error/held_out'] == pytest.approx(1)
    assert found['relative_error/trained/family/resnet'] == 0
    assert found['relative_error/trained/family/vit'] == pytest.approx(0.5)
    assert found['relative_error/trained/modality/sar'] == 0
    assert found['relative_error/trained/modality/optical'] == pytest.approx(0.5)
    assert found['relative_error/held_out/kind/conv2d'] == pytest.approx(1)
    assert 0.3 < found['relative_error/trained/kind/linear'] < 0.4
    assert not any('embedding' in name for name in found), 'there is none in the collection'


def test_padding_counts_nothing(foundry, models):
    batch = torch.utils.data.default_collate([models[0].window(0, foundry)])
    batch['mask'][:, 5:] = False
    batch['size'] = (batch['tokens'] * batch['mask']).square().sum(-1)
    sums = ErrorSums(1)
    sums.add(torch.zeros_like(batch['tokens']), batch)
    assert sums.errors.equal(sums.sizes)
    assert sums.sizes.sum() == pytest.approx(float(batch['tokens'][:, :5].square().sum()))


def test_what_a_training_logs(tmp_path, foundry, collection, optimisation):
    options = dataclasses.replace(optimisation, steps=6, log_every=2, accumulate=2)
    other = CSVLogger(tmp_path, name='other', version='')
    train_foundry(foundry, collection, options, tmp_path / 'out', logger=other, progress=False)
    rows = read(tmp_path / 'out' / 'training.csv')
    steps = [int(row['step']) for row in rows if row['train/loss']]
    assert steps == [2, 4, 6]
    measured = [int(row['step']) for row in rows if row['relative_error/held_out']]
    assert measured == [0, 3, 6]
    for row in rows:
        if row['train/loss']:
            assert float(row['throughput/tokens']) > float(row['throughput/windows']) > 0
            assert 0 <= float(row['train/contrast_accuracy']) <= 1
            assert float(row['learning_rate']) > 0
    assert len(read(tmp_path / 'other' / 'metrics.csv')) == len(rows)


def test_a_step_is_the_mean_of_its_micro_batches(tmp_path, foundry, collection, optimisation):
    curves = []
    for accumulate in (1, 2):
        options = dataclasses.replace(
            optimisation,
            steps=3,
            accumulate=accumulate,
            gamma=0.0,
            noise=0.0,
            normalisation='token',
            linear_start=False,
        )
        output = tmp_path / str(accumulate)
        train_foundry(foundry, collection, options, output, progress=False)
        rows = read(output / 'training.csv')
        curves.append([float(row['train/loss']) for row in rows if row['train/loss']])
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
