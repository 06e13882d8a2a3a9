"""``torchgeo-geosane collect``: the signature of ``gather`` as a command line."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from torchgeo_geosane.cli.tables import format_table
from torchgeo_geosane.collection.gather import gather


def collect(arguments: Sequence[str]) -> None:
    """Parse the arguments, put the collection together, and print what is in it and what is not."""
    parser = ArgumentParser(
        prog='torchgeo-geosane collect',
        description='Put a collection of trained models together, and write its manifest.',
    )
    parser.add_argument('--config', action='config', help='a YAML file with the options below')
    parser.add_function_arguments(gather)
    parsed = parser.instantiate_classes(parser.parse_args(list(arguments)))
    del parsed['config']
    entries = gather(**vars(parsed))
    kept = [entry for entry in entries if not entry.skipped]
    rows = [
        (e.name, e.modality, e.licence or 'not stated', f'{e.parameters:,}', f'{e.tokens:,}')
        for e in kept
    ]
    print(format_table(('model', 'modality', 'licence', 'parameters', 'tokens'), rows))
    print(f'\n{len(kept)} models, {sum(entry.tokens for entry in kept):,} tokens: {parsed.output}')
    skipped = [(entry.name, entry.skipped) for entry in entries if entry.skipped]
    if skipped:
        print(f'\n{format_table(("left out", "because"), skipped)}')
