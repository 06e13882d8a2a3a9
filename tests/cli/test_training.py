"""``foundry train`` and the configurations it knows by name."""

import functools

import pytest
import torch

from torchgeo_geosane.cli import training
from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import train_foundry
from torchgeo_geosane.training.configs import CONFIGS, find_config
from torchgeo_geosane.training.report import ModelReport


@pytest.fixture
def called(monkeypatch) -> dict:
    """The arguments of a training that is not begun."""
    arguments: dict = {}

    # The command reads its options from the signature of the real one.
    @functools.wraps(train_foundry)
    def record(**given):
        arguments.update(given)
        return [ModelReport('toy/a', 'trained', 0.5, 0.625, {})]

    monkeypatch.setattr(training, 'train_foundry', record)
    return arguments


def parameters(config: FoundryConfig) -> int:
    with torch.device('meta'):
        model = WeightAutoencoder(config)
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize('form', [['--config', 'paper'], ['--config=paper']])
def test_the_paper(called, form, capsys):
    training.train([*form, '--output', 'out', '--start_from', 'general'])
    assert parameters(called['foundry']) == 909_138_274
    assert called['foundry'] == FoundryConfig(
        d_model=1536, nhead=16, num_layers=16, latent_dim=128, token_size=230, projection_dim=30
    )
    options = called['optimisation']
    assert (options.learning_rate, options.weight_decay) == (2e-5, 3e-9)
    assert (options.epochs, options.gamma, options.temperature) == (150, 0.05, 0.1)
    assert called['start_from'] == 'general'
    assert '0.625' in capsys.readouterr().out


def test_base_has_about_a_hundred_million_parameters(called):
    training.train(['--config', 'base', '--output', 'out'])
    assert parameters(called['foundry']) == pytest.approx(100e6, rel=0.03)


def test_hardware_and_single_options(called):
    training.train(
        [
            *('--config', 'embedded', '--output', 'out', '--optimisation.accumulate', '2'),
            *('--hardware.devices', '4', '--hardware.strategy', 'fsdp'),
        ]
    )
    assert called['optimisation'].accumulate == 2
    assert (called['hardware'].devices, called['hardware'].strategy) == (4, 'fsdp')


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'base').write_text('')
    assert find_config('base').read_text() == ''
    assert find_config('paper') == CONFIGS['paper']


def test_an_unknown_configuration():
    with pytest.raises(FoundryError, match=r"unknown configuration 'papr'.*did you mean 'paper'"):
        training.train(['--config', 'papr', '--output', 'out'])


def test_an_unknown_key(tmp_path, capsys):
    file = tmp_path / 'mine.yaml'
    file.write_text(CONFIGS['base'].read_text().replace('epochs:', 'epoch:'))
    with pytest.raises(SystemExit) as error:
        training.train(['--config', str(file), '--output', str(tmp_path / 'out')])
    assert error.value.code == 2
    message = capsys.readouterr().err
    print(message)
    assert 'optimisation.epoch' in message
    assert not (tmp_path / 'out').exists()
