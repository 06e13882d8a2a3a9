"""``torchgeo-geosane foundry train``: the signature of ``train_foundry`` as a command line."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from torchgeo_geosane.cli.tables import format_table
from torchgeo_geosane.training.train import train_foundry


def train(arguments: Sequence[str]) -> None:
    """Parse the arguments, train, and print the errors on every model."""
    parser = ArgumentParser(
        prog='torchgeo-geosane foundry train',
        description='Train a foundry on a collection of models, and write everything that tells how.',
    )
    parser.add_argument('--config', action='config', help='a YAML file with the options below')
    parser.add_function_arguments(train_foundry)
    parsed = parser.instantiate_classes(parser.parse_args(list(arguments)))
    del parsed['config']
    reports = train_foundry(**vars(parsed))
    rows = [(r.name, r.split, f'{r.reconstruction:.3f}', f'{r.generation:.3f}') for r in reports]
    print(format_table(('model', 'split', 'reconstruction error', 'generation error'), rows))
