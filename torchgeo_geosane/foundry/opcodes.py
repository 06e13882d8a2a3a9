"""A pickle read as data: its opcodes are followed, but no function or class that it names is ever called.

The standard library's unpickler and ``torch.load(weights_only=True)`` call constructors that the file chooses,
so that a few bytes can ask for gigabytes (``bytearray(2**31)``) or for hours (the hash of nested tuples).
Here everything that is built is a list, a tuple, a dict or a scalar, and how much is built is bounded by the
pickle's length. What a pickle names is given to :class:`Objects`, which says what stands for it.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from torchgeo_geosane.foundry.files import ContentError

# Of the opcodes, those that push their own argument.
_LITERALS = frozenset(
    {
        *('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT', 'BINFLOAT'),
        *('STRING', 'BINSTRING', 'SHORT_BINSTRING', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8'),
        *('BYTEARRAY8', 'UNICODE', 'BINUNICODE', 'SHORT_BINUNICODE', 'BINUNICODE8'),
    }
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
    'EMPTY_LIST': list,
    'EMPTY_TUPLE': tuple,
    'EMPTY_DICT': dict,
    'EMPTY_SET': list,
}
# Copies of what was built before could grow without end; so many items in all are more than any checkpoint has.
_MOST_COPIED = 20_000_000
_MOST_OPCODES = 5_000_000


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        """Module and name, joined by a dot."""
        return f'{self.module}.{self.name}'[:200]


@dataclass(frozen=True)
class Inert:
    """Something harmless that no weights are read from: the settings of a run, say."""

    what: str


class Objects(Protocol):
    """What stands for the things that a pickle names."""

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """What stands for the result of a call.

        Raises:
            ContentError: If there is nothing that could: the call would run code.
        """

    def stored(self, identity: Any) -> Any:
        """What stands for an object that is kept outside of the pickle."""


@dataclass
class _Machine:
    objects: Objects
    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    copied: int = 0

    def step(self, name: str, argument: Any) -> None:
        """Do what one opcode says."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name not in ('PROTO', 'FRAME'):
            getattr(self, f'_{name.lower()}', self._unknown)(argument)

    def _unknown(self, _: Any) -> None:
        raise ContentError('it is no pickle of weights')

    def _mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._since_mark()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _binput = _long_binput = _put

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _binget = _long_binget = _get

    def _tuple(self, _: Any) -> None:
        items = tuple(self._since_mark())
        self.stack.append(items)

    def _tuple1(self, _: Any) -> None:
        self.stack[-1:] = [tuple(self.stack[-1:])]

    def _tuple2(self, _: Any) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def _tuple3(self, _: Any) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def _list(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append(items)

    _frozenset = _list

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    _additems = _appends

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Inert):
            raise ContentError('it appends to what is no list')

    def _dict(self, _: Any) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._update(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._since_mark())

    def _update(self, items: list[Any]) -> None:
        """Set pairs; other keys than names and small numbers are left out: hashing them can take for ever."""
        target = self.stack[-1]
        pairs = zip(items[::2], items[1::2], strict=True)
        if isinstance(target, dict):
            target.update((key, value) for key, value in pairs if is_key(key))
        elif not isinstance(target, Inert):
            raise ContentError('it sets items of what is no dict')

    def _global(self, argument: str) -> None:
        self.stack.append(Name(*argument.split(' ', 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ContentError('it names something by what is no text')
        self.stack.append(Name(module, name))

    def _reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._call(function, arguments)

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()  # The keyword arguments.
        self._reduce(None)

    def _inst(self, argument: str) -> None:
        self._call(Name(*argument.split(' ', 1)), tuple(self._since_mark()))

    def _obj(self, _: Any) -> None:
        function, *arguments = self._since_mark()
        self._call(function, tuple(arguments))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise ContentError('it calls what is no function')
        self.copied += sum(len(item) for item in arguments if isinstance(item, list | dict | tuple))
        if self.copied > _MOST_COPIED:
            raise ContentError('it copies more than any checkpoint holds')
        self.stack.append(self.objects.call(function, arguments))

    def _build(self, _: Any) -> None:
        self.stack.pop()  # Attributes: none of ours counts.

    def _binpersid(self, _: Any) -> None:
        self.stack.append(self.objects.stored(self.stack.pop()))


def read_opcodes(content: bytes | memoryview, objects: Objects) -> tuple[Any, int]:
    """What a pickle describes.

    Args:
        content: Bytes that begin with the pickle.
        objects: What stands for the things that it names.

    Returns:
        What it describes, and how many bytes it has.

    Raises:
        ContentError: If it is damaged, or holds what only running code could restore.
    """
    machine, stream = _Machine(objects), io.BytesIO(content)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if opcode.name == 'STOP':
                return machine.stack.pop(), stream.tell()
            if count > _MOST_OPCODES:
                raise ContentError('it holds more objects than any checkpoint')
            machine.step(opcode.name, argument)
    except (IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ContentError(f'it is truncated or damaged: {error}') from error
    raise ContentError('it is truncated')


def is_key(key: Any) -> bool:
    """Whether something is hashed in no time: a name, or a small number."""
    return isinstance(key, str) or (isinstance(key, int) and key.bit_length() <= 64)
