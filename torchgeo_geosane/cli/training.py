"""``torchgeo-geosane foundry train``: the signature of ``train_foundry`` as a command line."""

import itertools
from collections.abc import Sequence

from jsonargparse import ArgumentParser

from torchgeo_geosane.cli.tables import format_table
from torchgeo_geosane.training.configs import CONFIGS, find_config
from torchgeo_geosane.training.train import train_foundry

_OPTION = '--config'


def train(arguments: Sequence[str]) -> None:
    """Parse the arguments, train, and print the errors on every model."""
    parser = ArgumentParser(
        prog='torchgeo-geosane foundry train',
        description='Train a foundry on a collection of models, and write everything that tells how. '
        'The same command goes on with a training that was interrupted.',
    )
    parser.add_argument(
        _OPTION,
        action='config',
        help=f'a YAML file with the options below, or one that ships: {", ".join(CONFIGS)}',
    )
    parser.add_function_arguments(train_foundry)
    parsed = parser.instantiate_classes(parser.parse_args(_with_files(arguments)))
    del parsed['config']
    reports = train_foundry(**vars(parsed))
    if not reports:
        return  # Another process reports.
    rows = [(r.name, r.split, f'{r.reconstruction:.3f}', f'{r.generation:.3f}') for r in reports]
    print(format_table(('model', 'split', 'reconstruction error', 'generation error'), rows))


def _with_files(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the file of each configuration instead of its name."""
    found = []
    for before, argument in itertools.pairwise(['', *arguments]):
        if before == _OPTION:
            found.append(str(find_config(argument)))
        elif argument.startswith(f'{_OPTION}='):
            found.append(f'{_OPTION}={find_config(argument.partition("=")[2])}')
        else:
            found.append(argument)
    return found
