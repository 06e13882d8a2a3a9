"""An entry for a table of weights whose members are made when somebody asks for them.

TorchGeo's ``get_weight`` compares the name that it is given with the ``str`` of every member of
every entry of a table, and hands the name to nobody. So an entry cannot be asked; but it can
listen to what its first member is compared with, and make the second to order.
"""

from collections.abc import Callable, Iterator
from typing import Any, Self


class OnDemand:
    """A collection of the one member that is asked for."""

    def __init__(self, make: Callable[[str], Any | None]) -> None:
        """Make members with ``make``, which returns None for names that are not its own."""
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        """Yield a member that only listens, and then the one it has heard of, if there is one."""
        listener = _Listener()
        yield listener
        member = self._make(listener.heard)
        if member is not None:
            yield member


class _Listener:
    """Remembers what its ``str`` was compared with."""

    heard = ''

    def __str__(self) -> str:
        return _Overheard(self)


class _Overheard(str):
    """A text that is equal to none, and tells its listener what it was compared with."""

    # Python asks the right side of `name == text` first, where its type is a subclass of the left's.
    def __new__(cls, listener: _Listener) -> Self:
        return super().__new__(cls)

    def __init__(self, listener: _Listener) -> None:
        self._listener = listener

    def __eq__(self, other: object) -> bool:
        self._listener.heard = str(other)
        return False

    __hash__ = str.__hash__
