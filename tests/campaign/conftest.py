"""One scene for all trials."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from scene import Scene


@pytest.fixture(scope='session')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.build(tmp_path_factory.mktemp('scene'))


@pytest.fixture(autouse=True)
def _loud_again(cache_directory: Path) -> Iterator[None]:
    """Trials silence the log, and move the cache; the latter is set back by ``cache_directory``."""
    yield
    logging.disable(logging.NOTSET)
