import dataclasses
import json

import pytest
import torch
from jsonargparse import ArgumentParser

from torchgeo_geosane.collection import UKIS_CSMASK, read_manifest
from torchgeo_geosane.foundry.foundry import EMBEDDED, Foundry
from torchgeo_geosane.training import (
    CollectionConfig,
    OpenedModel,
    OptimisationConfig,
    train_foundry,
)
from torchgeo_geosane.training.report import report

FOLDER = EMBEDDED.parent


@pytest.fixture(scope='module')
def foundry() -> Foundry:
    return Foundry.load('embedded')


@pytest.fixture(scope='module')
def reported() -> dict[str, dict]:
    content = json.loads((FOLDER / 'report.json').read_text())
    return {model['name']: model for model in content['models']}


def test_fits_in_the_wheel_with_its_files_beside_it():
    assert EMBEDDED.stat().st_size <= 16_000_000
    names = {'README.md', 'train.yaml', 'training.csv', 'manifest.jsonl', 'report.json', 'NOTICE'}
    assert names <= {file.name for file in FOLDER.iterdir()}


def test_is_what_its_configuration_says(foundry):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(train_foundry)
    parser.add_argument('--config', action='config')
    config = parser.parse_args(['--config', str(FOLDER / 'train.yaml'), '--output', 'out'])
    stated = parser.instantiate(config)
    assert foundry.config == dataclasses.replace(stated.foundry, projection_dim=0)
    assert isinstance(stated.collection, CollectionConfig)
    assert isinstance(stated.optimisation, OptimisationConfig)
    entries = read_manifest(FOLDER / 'manifest.jsonl')
    held_out = {entry.name for entry in entries if entry.split == 'held_out'}
    assert held_out == set(stated.collection.held_out)


def test_every_model_it_learned_from_has_an_open_licence():
    for entry in read_manifest(FOLDER / 'manifest.jsonl'):
        assert entry.licence in {'Apache-2.0', 'BSD-3-Clause', 'MIT'}
    notice = (FOLDER / 'NOTICE').read_text()
    assert 'Apache License' in notice
    assert 'deepdespeckling' in notice


def test_info_names_licence_and_collection(foundry):
    assert foundry.info['licence'] == 'MIT'
    assert 'ukis-csmask' in foundry.info['collection']


@pytest.mark.parametrize('name', ['ukis-csmask/6b_l1c', 'ukis-csmask/4b_l1c'])
def test_gives_encoders_back_as_reported(foundry, reported, name):
    model = next(m for m in UKIS_CSMASK.models() if m.name == name)
    opened = OpenedModel.open(model, foundry.config, held_out=False)
    (found,) = report(foundry.model, [opened], windows=3)
    assert found.reconstruction == pytest.approx(reported[name]['reconstruction'], abs=0.0005)
    assert found.reconstruction < 0.001  # Nothing of a prompt is lost.
    assert found.generation == pytest.approx(reported[name]['generation'], abs=0.05)


def test_latents_have_the_unit_that_bandwidths_assume(foundry):
    model = next(iter(UKIS_CSMASK.models()))
    opened = OpenedModel.open(model, foundry.config, held_out=False)
    window = opened.window(30_000, foundry.config)
    latents = foundry.model.encode(window['tokens'][None], window['positions'][None])
    assert latents.std() == pytest.approx(1, abs=0.1)
    assert latents.mean().abs() < 0.1
    assert torch.isfinite(latents).all()
