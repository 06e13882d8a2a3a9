"""``torchgeo-geosane foundry map``: the signature of ``draw_map`` as a command line."""

from collections.abc import Sequence

from jsonargparse import ArgumentParser

from torchgeo_geosane.atlas import draw_map
from torchgeo_geosane.cli.tables import format_table


def map_collection(arguments: Sequence[str]) -> None:
    """Parse the arguments, draw the map, and print what it tells."""
    parser = ArgumentParser(
        prog='torchgeo-geosane foundry map',
        description='Draw where the models of a collection lie in the latent space of a foundry.',
    )
    parser.add_argument('--config', action='config', help='a YAML file with the options below')
    parser.add_function_arguments(draw_map)
    parsed = parser.instantiate_classes(parser.parse_args(list(arguments)))
    del parsed['config']
    drawn = draw_map(**vars(parsed))
    rows = [
        (p.what, _share(p.accuracy), _share(p.majority), str(p.models), ', '.join(p.coincides))
        for p in drawn.probed
    ]
    header = ('property', 'accuracy', 'most frequent class', 'models', 'cannot be told from')
    print(format_table(header, rows))
    if drawn.neighbours:
        near = [(n.name, f'{n.similarity:.2f}') for n in drawn.neighbours]
        print(f'\n{format_table((f"nearest to {parsed.nearest}", "similarity"), near)}')
    print(f'\n{drawn.picture}\n{drawn.page}')


def _share(value: float | None) -> str:
    return '–' if value is None else f'{value:.2f}'
