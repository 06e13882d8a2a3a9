import pytest
from toy_states import ToySource

from torchgeo_geosane.collection.collect import SOURCES
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import CollectionConfig, OpenedModel, OptimisationConfig


@pytest.fixture
def foundry() -> FoundryConfig:
    return FoundryConfig(
        d_model=32,
        nhead=2,
        num_layers=1,
        latent_dim=8,
        token_size=16,
        window=24,
        halo=4,
        projection_dim=6,
        tokenisation='matrices',
        row_scale='rms',
    )


@pytest.fixture
def toys(tmp_path_factory) -> ToySource:
    return ToySource(tmp_path_factory.mktemp('toys'))


@pytest.fixture
def collection(monkeypatch, toys) -> CollectionConfig:
    monkeypatch.setitem(SOURCES, 'toy', toys)
    return CollectionConfig(sources=('toy',), held_out=('toy/c',))


@pytest.fixture
def optimisation() -> OptimisationConfig:
    return OptimisationConfig(
        steps=20,
        batch_size=4,
        learning_rate=3e-3,
        precision='32-true',
        log_every=1,
        validations=2,
        validation_windows=2,
    )


@pytest.fixture
def models(foundry, toys) -> list[OpenedModel]:
    return [OpenedModel.open(model, foundry, held_out=False) for model in toys.models()]
