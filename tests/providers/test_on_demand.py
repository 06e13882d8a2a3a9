from enum import Enum
from typing import Any

import numpy as np
import pytest

from torchgeo_geosane.providers.on_demand import OnDemand

TABLE: dict[str, Any] = {}


def find(name: str) -> object:
    """How TorchGeo's get_weight looks."""
    for entry in TABLE.values():
        for member in entry:
            if name == str(member):
                return member
    return None


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = OnDemand(find, lambda name: name if name.startswith('ours:') else None)
    monkeypatch.setitem(TABLE, 'geosane', ours)


def test_what_is_asked_for_is_made() -> None:
    assert find('ours:a') == 'ours:a'
    assert find('ours:b') == 'ours:b'
    assert find('theirs') is None


class Name(str):
    __slots__ = ()

    def __str__(self) -> str:
        return 'something else'


class Choice(str, Enum):  # noqa: UP042 - what prints as Choice.A
    A = 'ours:a'


@pytest.mark.parametrize('name', [Name('ours:a'), np.str_('ours:a'), Choice.A])
def test_subclasses_of_str_are_heard(name: str) -> None:
    found = find(name)
    assert found == 'ours:a'
    assert type(found) is str


@pytest.mark.parametrize('name', [None, 7, b'ours:a'])
def test_what_is_no_name_is_not(name: Any) -> None:
    assert find(name) is None


def test_for_everybody_else_it_is_empty() -> None:
    name = 'ours:a'
    assert [member for entry in TABLE.values() for member in entry] == [], name
    assert list(TABLE['geosane']) == []
