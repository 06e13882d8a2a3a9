"""Miniatures of the chip data sets: written once, read by tests of their data modules."""

from pathlib import Path

import pytest
from rasters import Miniature, write_miniature


@pytest.fixture(scope='session')
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """The folder of a data set's miniature; tests only read it."""
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            written[name] = write_miniature(name, tmp_path_factory.mktemp(name))
        return written[name]

    return folder
