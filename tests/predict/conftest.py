"""What tests of maps share: a fit."""

import pytest
from fits import Fit, scene_values, write_fit


@pytest.fixture(scope='session')
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """A fit of three classes; tests only read it."""
    return write_fit(tmp_path_factory.mktemp('fit'), scene_values(64, 64))
