import math
from pathlib import Path
from typing import Any

import pytest
import torch

from torchgeo_geosane.atlas.latents import CollectionLatents, encode_collection
from torchgeo_geosane.collection import TrainedModel
from torchgeo_geosane.collection.collect import SOURCES
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.checkpoint import save
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import OpenedModel


class Waves:
    """Six models: rows of small slow waves in optical ones, of large fast waves in SAR ones."""

    name = 'waves'

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for number in range(6):
            generator = torch.Generator().manual_seed(number)
            phases = torch.rand(48, 1, generator=generator) * 2 * math.pi
            # An untrained encoder listens to places more than to values, unless these are large.
            pace, height = (0.2, 1.0) if number % 2 else (1.3, 50.0)
            rows = height * torch.sin(torch.arange(36) * pace + phases)
            state = {
                'stem.weight': rows[:24].reshape(24, 4, 3, 3),
                'middle.weight': rows[24:36],
                'head.weight': rows[36:] * 3,
            }
            torch.save(state, folder / f'{number}.pt')

    def models(self) -> Any:
        for number in range(6):
            yield TrainedModel(
                name=f'waves/{number}',
                package='waves',
                version='1',
                file=f'{number}.pt',
                sha256=None,
                modality='optical' if number % 2 else 'sar',
                task='<b>',
                licence='MIT',
                architecture='odd' if number in {0, 1} else f'single{number}',
                fetch=lambda number=number: self._folder / f'{number}.pt',
            )


@pytest.fixture(scope='session')
def waves(tmp_path_factory: pytest.TempPathFactory) -> Waves:
    return Waves(tmp_path_factory.mktemp('waves'))


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, waves: Waves) -> str:
    monkeypatch.setitem(SOURCES, waves.name, waves)
    return waves.name


@pytest.fixture(scope='session')
def config() -> FoundryConfig:
    return FoundryConfig(
        d_model=32, nhead=2, num_layers=1, latent_dim=8, token_size=18, window=24, halo=4
    )


@pytest.fixture(scope='session')
def autoencoder(config: FoundryConfig) -> WeightAutoencoder:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return WeightAutoencoder(config).eval()


@pytest.fixture(scope='session')
def tiny_foundry(autoencoder: WeightAutoencoder, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('foundry') / 'tiny.safetensors'
    save(path, autoencoder, {'licence': 'MIT'})
    return str(path)


@pytest.fixture(scope='session')
def opened(waves: Waves, config: FoundryConfig) -> list[OpenedModel]:
    return [OpenedModel.open(model, config, held_out=False) for model in waves.models()]


@pytest.fixture(scope='session')
def latents(autoencoder: WeightAutoencoder, opened: list[OpenedModel]) -> CollectionLatents:
    return encode_collection(autoencoder, opened, windows=5)
