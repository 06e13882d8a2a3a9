"""``torchgeo-geosane foundry info``: what a foundry knows, told from the header of its file."""

import json
import math
from collections.abc import Mapping, Sequence

from jsonargparse import ArgumentParser

from torchgeo_geosane.cli.tables import format_table
from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.files import telling
from torchgeo_geosane.foundry.foundry import licence_of, locate
from torchgeo_geosane.foundry.known import FunctionKept, Known
from torchgeo_geosane.foundry.records import parse

_NOTHING = '–'


def show_foundry(arguments: Sequence[str]) -> None:
    """Parse the arguments, and print what the foundry knows.

    Raises:
        FoundryError: If there is no such foundry, or it is damaged.
    """
    parser = ArgumentParser(
        prog='torchgeo-geosane foundry info',
        description='Show what a foundry knows: of every architecture on how many models it was '
        'trained, its errors, and whether it can draw networks without a prompt.',
    )
    parser.add_argument('name', help="'embedded', a Hub repository, or a path")
    print(describe(parser.parse_args(list(arguments)).name))


def describe(name: str) -> str:
    """What a foundry knows, for a person to read; no tensor is read.

    Args:
        name: ``embedded``, a Hub repository, or a path.

    Raises:
        FoundryError: If there is no such foundry, or it is damaged.
    """
    found = checkpoint.read_checkpoint(locate(name))
    config = found.config
    lines = [
        ('foundry', name),
        ('licence', licence_of(name)),
        (
            'size',
            f'{sum(math.prod(tensor.shape) for tensor in found.tensors.values()):,} parameters',
        ),
        (
            'code',
            f'{config.latent_dim} numbers for a token of {config.token_size}, '
            f'{"in the components of its place, " if config.place_code else ""}'
            f'seen in windows of {config.window}',
        ),
    ]
    head = '\n'.join(f'{title:<13}{text}' for title, text in lines)
    if found.known:
        return f'{head}\n\n{_architectures(found.known)}'
    return (
        f'{head}\n\nIt has no architecture of its own: it draws around prompts alone.'
        f'{_models(found.info)}'
    )


def _architectures(known: Sequence[Known]) -> str:
    header = (
        *('architecture', 'trained', 'held out', 'lineages', 'error', 'held-out error'),
        *('held-out function', 'without a prompt', 'reference'),
    )
    rows = [
        (
            each.record.architecture,
            str(each.record.trained),
            str(each.record.held_out),
            str(each.record.lineages),
            _error(each.record.error),
            _error(each.record.held_out_error),
            _function(each.record.function),
            'no' if each.record.draws_not else 'yes',
            _reference(each),
        )
        for each in known
    ]
    # Networks of one architecture that differ in their stems or heads have a row each.
    reasons = dict.fromkeys(
        f'{each.record.architecture} cannot be drawn without a prompt: {each.record.draws_not}.'
        for each in known
        if each.record.draws_not
    )
    return '\n'.join([format_table(header, rows), *(['', *reasons] if reasons else [])])


def _reference(known: Known) -> str:
    name = known.record.reference
    return _NOTHING if name is None else name if known.reference else f'{name} (not kept)'


def _function(kept: FunctionKept | None) -> str:
    if kept is None:
        return 'not measured'
    drawn = '' if kept.drawn is None else f', drawn {kept.drawn:.3f}'
    return f'{kept.measure}: {kept.decoded:.3f} of {kept.original:.3f}{drawn}'


def _models(info: Mapping[str, str]) -> str:
    """The errors on single models, as foundries say them that know no architectures."""
    if 'reconstruction' not in info:
        return ''
    with telling(FoundryError, 'what the foundry says of its errors cannot be read'):
        errors = parse(Mapping[str, float], json.loads(info['reconstruction']))
    held_out = info.get('held_out', '').split(', ')
    rows = [
        (model, 'held out' if model in held_out else 'trained', f'{error:.3f}')
        for model, error in errors.items()
    ]
    return f'\n\n{format_table(("model", "split", "error"), rows)}'


def _error(error: float | None) -> str:
    return _NOTHING if error is None else f'{error:.3f}'
