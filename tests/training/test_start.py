"""A training that starts from another."""

import dataclasses

import pytest
import torch

from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.training import train_foundry
from torchgeo_geosane.training.checkpoints import Progress, read_start


@pytest.fixture
def general(tmp_path, foundry, collection, optimisation):
    """The first phase."""
    folder = tmp_path / 'general'
    options = dataclasses.replace(optimisation, steps=4)
    train_foundry(foundry, collection, options, folder, progress=False)
    return folder


def test_the_second_phase_starts_where_the_first_ended(
    tmp_path, general, foundry, collection, optimisation
):
    options = dataclasses.replace(
        optimisation, steps=2, seed=5, learning_rate=1e-12, weight_decay=0.0
    )
    second = tmp_path / 'second'
    train_foundry(foundry, collection, options, second, start_from=str(general), progress=False)
    before, after = (read_start(str(folder), foundry) for folder in (general, second))
    assert any(name.startswith('projection_head') for name in before)
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-8)
    found = Progress.find(second)
    assert found is not None
    assert found.run['start_from'] == str(general)
    first, last = ((f / 'training.csv').read_text().splitlines() for f in (second, general))
    name = 'relative_error/held_out'
    start = first[1].split(',')[first[0].split(',').index(name)]
    column = last[0].split(',').index(name)
    end = [row.split(',')[column] for row in last[1:] if row.split(',')[column]][-1]
    assert start == end


def test_from_a_shipped_foundry_the_head_starts_anew(general, foundry):
    weights = read_start(str(general / 'foundry.safetensors'), foundry)
    assert weights
    assert not any(name.startswith('projection_head') for name in weights)


def test_from_the_official_layout(tmp_path, foundry):
    official = dataclasses.replace(foundry, tokenisation='dense', row_scale='none')
    model = WeightAutoencoder(official)
    checkpoint.save_official(tmp_path, model)
    weights = read_start(str(tmp_path), official)
    assert all(weights[name].equal(tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    'change', [{'latent_dim': 4}, {'row_scale': 'none'}, {'nhead': 4}, {'num_layers': 2}]
)
@pytest.mark.parametrize('file', ['checkpoint.ckpt', 'foundry.safetensors'])
def test_another_configuration_is_named(general, foundry, change, file):
    (field,) = change
    with pytest.raises(FoundryError, match=f'its {field} is .*, the one of the foundry to train'):
        read_start(str(general / file), dataclasses.replace(foundry, **change))


def test_a_start_that_is_not_there_leaves_nothing(tmp_path, foundry, collection, optimisation):
    with pytest.raises(FoundryError, match="unknown foundry 'nowhere'"):
        train_foundry(foundry, collection, optimisation, tmp_path / 'out', start_from='nowhere')
    assert not (tmp_path / 'out').exists()
