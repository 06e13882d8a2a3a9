import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import safetensors.torch
import torch
from hubs import FakeHub
from huggingface_hub import constants
from safetensors.torch import save_file
from toy_weights import SaveModel, weights


@pytest.fixture
def save_model(tmp_path: Path) -> SaveModel:
    """Writes tensors into a file of the folder ``models``, in the format that its suffix says."""

    def save(name: str, tensors: object) -> Path:
        path = tmp_path / 'models' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == '.safetensors':
            save_file(tensors, path)
        else:
            torch.save(tensors, path)
        return path

    return save


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers, and the Hub's cache is empty."""

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise socket.gaierror(-2, 'Name or service not known')

    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hf'))
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    monkeypatch.setattr(socket.socket, 'connect', refuse)


@pytest.fixture
def fake_hub(no_network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """A Hub that can be asked; what is not in its cache cannot be downloaded."""
    hub = FakeHub(tmp_path / 'hf')
    monkeypatch.setattr('huggingface_hub.HfApi', lambda: hub)
    monkeypatch.setattr('torchgeo_geosane.collection.hub._answers', lambda endpoint: None)
    return hub


@pytest.fixture
def content() -> Callable[[int], bytes]:
    """A safetensors file with the weights of a seed."""
    return lambda seed: safetensors.torch.save(weights(seed))
