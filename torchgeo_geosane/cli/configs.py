"""Files that are named on the command line, looked at before any parser opens them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.foundry.files import ContentError, printable, read_text, telling

_YAML = {'.yaml', '.yml', '.json'}
_OPTIONS = ('--config', '-c', '--fit', '--data', '--model', '--trainer', '--sources', '--rules')
# What a configuration names once is copied wherever an alias stands for it.
_MOST_NODES = 1_000_000
_DEEPEST = 200


class ConfigError(GeoSANEError):
    """A configuration file cannot be read, or unfolds without end."""


def check_configs(arguments: Sequence[str]) -> None:
    """Make sure that the configurations among some arguments are files that can be parsed.

    Raises:
        ConfigError: If one is no file, or its aliases stand for more than anybody could have written.
    """
    for name in _configs(arguments):
        path = Path(name)
        with telling(ConfigError, f'the configuration {printable(name)} cannot be read'):
            text = read_text(path)
            try:
                count_nodes(text)
            except yaml.YAMLError as error:
                raise ContentError(' '.join(str(error).split())) from error


def read_fit(path: Path) -> dict[str, Any]:
    """Task, data and trainer out of a config for ``fit``, or out of one for ``compare``.

    Raises:
        ConfigError: If it is no config of a training.
    """
    with telling(ConfigError, f'the configuration {printable(path)} cannot be read'):
        content = yaml.safe_load(read_text(path))
    fit = content.get('fit', content) if isinstance(content, dict) else None
    if isinstance(fit, str):  # A comparison's, relative to it.
        return read_fit(path.parent / fit)
    if not isinstance(fit, dict):
        raise ConfigError(
            f'{printable(path)} is no config of a training: it needs model: and data:'
        )
    return fit


def count_nodes(text: str) -> int:
    """How many values a YAML text stands for, those of aliases counted each time.

    Raises:
        ContentError: If there are too many, too deep in each other, or an alias stands for something
            that it is inside of.
        yaml.YAMLError: If it is no YAML.
    """
    sizes: dict[str, int | None] = {}
    # For each open list or mapping its anchor and what is in it so far.
    open_ones: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        size = 0
        if isinstance(event, yaml.CollectionStartEvent):
            if event.anchor:
                sizes[event.anchor] = None
            open_ones.append((event.anchor, 1))
            # A parser takes time with the square of the depth, and then runs out of stack.
            if len(open_ones) > _DEEPEST:
                raise ContentError(f'it is nested more than {_DEEPEST} deep')
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_ones.pop()
            if anchor:
                sizes[anchor] = size
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            known = sizes.get(event.anchor, 1)
            if known is None:
                raise ContentError(f'*{event.anchor} stands for something that it is inside of')
            size = known
        anchor, before = open_ones[-1]
        open_ones[-1] = (anchor, before + size)
        if before + size > _MOST_NODES:
            raise ContentError('its aliases (*name) stand for millions of values')
    return open_ones[0][1]


def _configs(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments that a parser would read as files."""
    for before, argument in zip(['', *arguments], arguments, strict=False):
        option, _, value = argument.partition('=')
        if option in _OPTIONS and value:
            yield from _files(value)
        elif before in _OPTIONS and not argument.startswith('-'):
            yield from _files(argument)


def _files(value: str) -> Iterator[str]:
    """A value, where it is a file's name and not a name of ours, a class or YAML itself."""
    try:
        exists = Path(value).exists()
    except (OSError, ValueError):
        exists = True  # It is told why it cannot be read.
    if exists or Path(value).suffix in _YAML:
        yield value
