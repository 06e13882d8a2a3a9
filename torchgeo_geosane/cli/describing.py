"""``torchgeo-geosane describe``: what would be read of imagery, as a command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from torchgeo_geosane.cli.tables import format_table
from torchgeo_geosane.describe import describe
from torchgeo_geosane.describe.sensors import fitting
from torchgeo_geosane.errors import DataError

_SHOWN = 20


def describe_imagery(arguments: Sequence[str]) -> None:
    """Parse the arguments, look, and print what would be read.

    Raises:
        DataError: If neither files nor a config of one's own imagery are named, or they contradict.
    """
    parsed = _parser().parse_args(list(arguments))
    if bool(parsed.paths) == bool(parsed.config):
        raise DataError('name either files, a folder or STAC items, or a config by --config')
    guessed: list[str] = []
    settings = _from_config(parsed.config) if parsed.config else _from_paths(parsed, guessed)
    found = describe(settings, parsed.out, guessed)
    for table in found.tables:
        print(f'\n{table.title}\n{format_table(table.header, table.rows[:_SHOWN])}')
        if len(table.rows) > _SHOWN:
            print(f'and {len(table.rows) - _SHOWN} more, see the page')
        if table.note:
            print(table.note)
    print('\nguessed or left open: is it right?' if found.guesses else '\nnothing was guessed')
    for text in found.guesses:
        print(f'  {text}')
    print(f'\n{found.page}')


def _from_config(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        data = content.get('fit', content)['data']
        name, settings = data['class_path'], dict(data['init_args'])
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f'{path} is no config of a training with data of your own ({error}): it needs data: '
            'with class_path and init_args'
        ) from error
    if name.rpartition('.')[2] != 'ImageryDataModule':
        raise DataError(f'{path} has the data module {name}: only ImageryDataModule is described')
    return settings


def _from_paths(parsed: Any, guessed: list[str]) -> dict[str, Any]:
    paths = parsed.paths[0] if len(parsed.paths) == 1 else list(parsed.paths)
    sensor = parsed.sensor
    if sensor is None:
        fits = fitting(paths)
        sensor = fits[0].sensor.name
        others = ', '.join(fit.sensor.name.partition('[')[0] for fit in fits[1:])
        guessed.append(
            f'the sensor is {sensor}'
            + (f'; it could be {others}' if others else '')
            + ': say it by --sensor'
        )
    settings: dict[str, Any] = {'images': {sensor: paths}}
    for name in ('labels', 'classes', 'attribute'):
        if getattr(parsed, name):
            settings[name] = getattr(parsed, name)
    return settings


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog='torchgeo-geosane describe',
        description='Show what would be read of your imagery: bands, dates, labels, parts.',
    )
    parser.add_argument('paths', nargs='*', help='a folder, a glob, files, or STAC items')
    parser.add_argument('--config', type=Path, help='instead: a config for `fit`, whose data it is')
    parser.add_argument('--sensor', help='of the files, as sentinel2_all[B4,B3,B2]; else guessed')
    parser.add_argument('--labels', help='rasters, or a file of polygons')
    parser.add_argument(
        '--classes', type=list[str] | dict[str, int | str], help='names, or name to value'
    )
    parser.add_argument('--attribute', help="column of the polygons' values")
    parser.add_argument(
        '--out', type=Path, default=Path('output/describe.html'), help='the page to write'
    )
    return parser
