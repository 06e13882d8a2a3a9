"""What the tests share: tiny foundries, specs that generate in a blink, a cache of their own."""

import multiprocessing
import os
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from specs import MakeSpec

from torchgeo_geosane import cache
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.checkpoint import save
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.spec import Spec

# One thread a worker, in child processes too: two workers with two threads each on two cores spend
# most of their time waiting for each other.
os.environ.setdefault('OMP_NUM_THREADS', '1')
torch.set_num_threads(1)

# No test asserts wall-clock times, and hypothesis would: machines are noisy, first calls are slow.
settings.register_profile('no deadline', deadline=None)
settings.load_profile('no deadline')


@pytest.fixture(autouse=True)
def cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test begins with an empty cache; the folder does not exist yet."""
    directory = tmp_path / 'geosane-cache'
    monkeypatch.setenv(cache.ENVIRONMENT, str(directory))
    return directory


@pytest.fixture(scope='session')
def foundries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Untrained foundries by their tokenisation: small ones of the official format and of ours."""
    folder = tmp_path_factory.mktemp('foundries')
    kinds: dict[str, dict[str, Any]] = {
        'dense': {'tokenisation': 'dense', 'row_scale': 'none'},
        'matrices': {'tokenisation': 'matrices', 'row_scale': 'rms'},
    }
    for name, kind in kinds.items():
        config = FoundryConfig(
            d_model=32, nhead=2, num_layers=1, latent_dim=16, window=64, halo=8, **kind
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            save(folder / f'{name}.safetensors', WeightAutoencoder(config), {'licence': 'MIT'})
    return {name: str(folder / f'{name}.safetensors') for name in kinds}


@pytest.fixture
def make_spec(foundries: dict[str, str]) -> MakeSpec:
    """Specs that a tiny foundry generates in a blink, without network."""

    def make(
        architecture: str = 'test_resnet',
        sensor: str = 'sentinel2_6',
        prompt: str = 'random',
        foundry: str = 'dense',
        **fields: Any,
    ) -> Spec:
        return Spec(
            architecture,
            sensor,
            prompts=(prompt,),
            foundry=foundries.get(foundry, foundry),
            **fields,
        )

    return make


@pytest.fixture(scope='session')
def processes() -> ForkServerContext:
    """Other processes, cheap to start: they are forked from one that has imported the package."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['torchgeo_geosane'])
    return context


@pytest.fixture(scope='session')
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('shared-cache')


@pytest.fixture
def shared_cache(
    shared_folder: Path, cache_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A cache that tests share, for what takes seconds to generate."""
    monkeypatch.setenv(cache.ENVIRONMENT, str(shared_folder))
    return shared_folder


@pytest.fixture
def efficientnet(shared_cache: Path, make_spec: MakeSpec) -> Spec:
    """A real model around a real prompt."""
    return make_spec('tf_efficientnet_b4', 'sentinel2_all', 'ukis:6b_l1c')
