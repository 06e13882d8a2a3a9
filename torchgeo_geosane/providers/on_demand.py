"""An entry for a table of weights whose members are made when somebody asks for them.

TorchGeo's ``get_weight`` compares the name that it is given with the ``str`` of every member of
every entry of a table, and hands the name to nobody. So an entry cannot be asked; but it can look
at what the function that goes through it was called with.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any


class OnDemand:
    """A collection of the one member that is asked for; an empty one for everybody else."""

    def __init__(self, asks: Callable[[str], Any], make: Callable[[str], Any | None]) -> None:
        """Make members for a function that looks for them.

        Args:
            asks: The function; its first argument is the name of the member that it looks for.
            make: Makes a member; returns None for names that are not its own.
        """
        asked = inspect.unwrap(asks)
        assert isinstance(asked, FunctionType)
        self._code, self._make = asked.__code__, make

    def __iter__(self) -> Iterator[Any]:
        """The member that is asked for, if there is one."""
        frame = sys._getframe(1)
        if frame.f_code != self._code:
            return iter(())
        name = frame.f_locals[self._code.co_varnames[0]]
        # The text itself: subclasses of str may print as something else.
        member = self._make(str.__str__(name)) if isinstance(name, str) else None
        return iter(() if member is None else (member,))
