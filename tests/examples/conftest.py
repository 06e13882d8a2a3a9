"""What runs of examples share: no network, one hub and cache, a tiny foundry."""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from torchgeo_geosane import cache
from torchgeo_geosane.foundry import foundry


@pytest.fixture(scope='module')
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where prompts lie, and the weights generated from them; hundreds of megabytes."""
    folder = tmp_path_factory.mktemp('hub')
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def offline(
    cache_directory: Path,
    hub_folder: Path,
    foundries: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No network, hub and cache of our own, and a tiny foundry in the place of the embedded one."""

    def no_network(*args: object) -> NoReturn:
        raise AssertionError('an example wants the network')

    monkeypatch.setattr(socket.socket, 'connect', no_network)
    monkeypatch.setattr(foundry, 'EMBEDDED', Path(foundries['matrices']))
    monkeypatch.delenv(cache.ENVIRONMENT)  # So that the examples share a cache, in the hub.
    # Not set_dir(): it cannot put back that none was set.
    monkeypatch.setattr(torch.hub, '_hub_dir', str(hub_folder))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For data and checkpoints, which are large."""
    yield tmp_path
    shutil.rmtree(tmp_path)
