import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from torchgeo_geosane.providers.when_imported import when_imported


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package ``heavy`` with a module ``heavy.registry``, not imported yet."""
    (tmp_path / 'heavy').mkdir()
    (tmp_path / 'heavy' / '__init__.py').write_text('from heavy.registry import SOURCES\n')
    (tmp_path / 'heavy' / 'registry.py').write_text("SOURCES = ['own']\n")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    yield
    assert sys.meta_path == finders, 'nothing is left waiting'
    for name in ('heavy', 'heavy.registry'):
        sys.modules.pop(name, None)


def append(registry: ModuleType) -> None:
    registry.SOURCES.append('ours')


def test_before_it_is_imported() -> None:
    when_imported('heavy.registry', append)
    assert 'heavy' not in sys.modules
    heavy = importlib.import_module('heavy')
    assert heavy.SOURCES == ['own', 'ours']
    assert heavy.registry.__spec__.origin == heavy.registry.__file__
    # Once.
    assert importlib.reload(heavy.registry).SOURCES == ['own']


def test_after_it_is_imported() -> None:
    heavy = importlib.import_module('heavy')
    when_imported('heavy.registry', append)
    assert heavy.SOURCES == ['own', 'ours']


def test_two_that_wait() -> None:
    when_imported('heavy.registry', append)
    when_imported('heavy.registry', append)
    assert importlib.import_module('heavy').SOURCES == ['own', 'ours', 'ours']


def test_a_module_that_fails(tmp_path: Path) -> None:
    (tmp_path / 'heavy' / 'registry.py').write_text('1 / 0')
    when_imported('heavy.registry', append)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module('heavy')


def test_a_module_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / 'heavy' / '__init__.py').write_text('')
    when_imported('heavy.nothing', append)
    importlib.import_module('heavy')
    with pytest.raises(ModuleNotFoundError, match=r'heavy\.nothing'):
        importlib.import_module('heavy.nothing')
