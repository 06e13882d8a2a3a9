import json
from pathlib import Path

import pytest
import torch
from golden import DATA, Golden, MakeModel
from safetensors.torch import load_file

from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.foundry import Foundry


@pytest.fixture(scope='session')
def official() -> Path:
    return DATA / 'resnet'


@pytest.fixture(scope='session')
def golden(official: Path) -> Golden:
    tensors = load_file(official / 'prompt.safetensors')
    order = json.loads((official / 'exact.json').read_text())['shapes']
    return Golden(
        Foundry.load(str(official)),
        {name: tensors[name] for name in order},
        load_file(official / 'golden.safetensors'),
    )


@pytest.fixture
def make_model() -> MakeModel:
    """Makes small autoencoders whose output is of the size of weights."""

    def make(**changes: object) -> WeightAutoencoder:
        sizes = {'d_model': 32, 'nhead': 2, 'num_layers': 1, 'latent_dim': 8, 'token_size': 16}
        values = {**sizes, 'window': 12, 'halo': 3, **changes}
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            model = WeightAutoencoder(FoundryConfig(**values))  # type: ignore[arg-type]
        return model.eval().requires_grad_(False)

    return make
