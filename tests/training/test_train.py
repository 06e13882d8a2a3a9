import csv
import dataclasses
import json

import pytest
import torch

from torchgeo_geosane.collection import read_manifest
from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.training import FoundryTask, train_foundry
from torchgeo_geosane.training.report import report


def losses(path) -> list[float]:
    rows = csv.DictReader(path.read_text().splitlines())
    return [float(row['train/reconstruction']) for row in rows if row['train/reconstruction']]


@pytest.fixture
def trained(tmp_path, foundry, collection, optimisation):
    reports = train_foundry(foundry, collection, optimisation, tmp_path, progress=False)
    return tmp_path, reports


def test_training_from_random_weights_learns(tmp_path, foundry, collection, optimisation):
    options = dataclasses.replace(optimisation, linear_start=False, steps=120)
    train_foundry(foundry, collection, options, tmp_path, progress=False)
    found = losses(tmp_path / 'training.csv')
    assert sum(found[-5:]) < 0.7 * sum(found[:5])


def test_writes_everything(trained, foundry):
    folder, reports = trained
    assert {file.name for file in folder.iterdir()} == {
        'foundry.safetensors',
        'training.csv',
        'manifest.jsonl',
        'report.json',
        'NOTICE',
        'checkpoint.ckpt',
    }
    shipped = Foundry.load(str(folder))
    assert shipped.config == dataclasses.replace(foundry, projection_dim=0)
    assert shipped.info['held_out'] == 'toy/c'
    entries = read_manifest(folder / 'manifest.jsonl')
    assert [(e.name, e.split) for e in entries] == [(r.name, r.split) for r in reports]
    content = json.loads((folder / 'report.json').read_text())
    assert content['models'] == [dataclasses.asdict(r) for r in reports]
    assert set(reports[0].kinds) == {'conv2d', 'linear'}
    assert all(r.generation > r.reconstruction > 0 for r in reports)


def test_stored_foundry_has_the_reported_errors(trained, models):
    folder, reports = trained
    shipped = Foundry.load(str(folder))
    again = report(shipped.model, models, windows=32)
    assert [r.reconstruction for r in again] == pytest.approx([r.reconstruction for r in reports])


def test_same_seed_same_foundry(tmp_path, foundry, collection, optimisation):
    for name in 'ab':
        torch.manual_seed(ord(name))
        train_foundry(foundry, collection, optimisation, tmp_path / name, progress=False)
    first, second = (Foundry.load(str(tmp_path / name)).model.state_dict() for name in 'ab')
    assert all(first[key].equal(second[key]) for key in first)


def test_contrast_needs_a_projection_head(foundry, optimisation):
    with pytest.raises(FoundryError, match='projection_dim'):
        FoundryTask(dataclasses.replace(foundry, projection_dim=0), optimisation)
