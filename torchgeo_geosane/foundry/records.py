"""Values of files of others, checked against types: a text where a list is due is told, not iterated."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torchgeo_geosane.foundry.files import ContentError


def parse(kind: Any, value: Any, where: str = '') -> Any:
    """A value of a type, from what a JSON text says.

    Args:
        kind: A dataclass, a scalar, ``Literal``, ``tuple[X, ...]``, ``Mapping[str, X]`` or ``X | None``.
        value: What was read.
        where: What it is called, for messages.

    Raises:
        ContentError: If it is something else; the field is named.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where)
    if origin is Literal:
        fits = isinstance(value, str) and value in arguments
    elif origin is tuple and isinstance(value, list | tuple):
        return tuple(parse(arguments[0], item, where) for item in value)
    elif origin is Mapping and isinstance(value, dict):
        return {name: parse(arguments[1], item, where) for name, item in value.items()}
    elif origin is types.UnionType:
        return None if value is None else parse(arguments[0], value, where)
    elif kind is float:
        fits = type(value) in (int, float)
    else:
        # A bool is an int to Python alone.
        fits = isinstance(kind, type) and type(value) is kind
    if not fits:
        shown = repr(value)[:60] if isinstance(value, str | int | float | None) else _name(value)
        raise ContentError(f'{where or "it"} is {shown}, not {_name_of_type(kind)}')
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ContentError(f'{where or "it"} is no object')
    hints = get_type_hints(kind)
    inner = {name: f'{where}.{name}' if where else name for name in hints}
    for field in dataclasses.fields(kind):
        given = (field.default, field.default_factory)
        if field.name not in value and given == (dataclasses.MISSING, dataclasses.MISSING):
            raise ContentError(f'it lacks {inner[field.name]!r}')
    for name in value.keys() - hints.keys():
        raise ContentError(f'it has an unknown field {name[:60]!r}')
    return kind(**{name: parse(hints[name], item, inner[name]) for name, item in value.items()})


def _name(value: Any) -> str:
    return f'a {type(value).__name__}'


def _name_of_type(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return 'one of ' + ', '.join(map(repr, get_args(kind)))
    return str(getattr(kind, '__name__', kind))
