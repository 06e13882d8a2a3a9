"""``torchgeo-geosane rank``: which weights suit one's own data, as a command line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from jsonargparse import ArgumentParser

from torchgeo_geosane.callbacks.probe import Probe
from torchgeo_geosane.cli.configs import read_fit
from torchgeo_geosane.cli.tables import format_table
from torchgeo_geosane.rank import Wanted, rank
from torchgeo_geosane.rank.report import header, row, write_report, yaml_lines

_NAMED = 5


def run_ranking(arguments: Sequence[str]) -> None:
    """Parse the arguments, rank, write the report, and print its table."""
    chosen = vars(_parser().parse_args(list(arguments)))
    fit, output = read_fit(chosen.pop('config')), chosen.pop('output')
    options: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in chosen.items()
    }
    ranking = rank(fit, Wanted(**options), lambda text: print(text, flush=True))
    report = write_report(ranking, output)
    print(f'\n{format_table(header(ranking), [row(each) for each in ranking.ranked])}')
    print('* the best are not better than these beyond doubt')
    for why, names in _by_reason(ranking.skipped).items():
        more = f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''
        print(f'not ranked: {", ".join(names[:_NAMED])}{more}: {why}')
    best = ranking.ranked[0]
    if best.contender.kind == 'random':
        print(
            'a random start scores best: these weights do not suit the data, or the images are few'
        )
    lines = yaml_lines(ranking, best).replace('\n', '\n  ')
    print(f'\nthe best, {best.contender.name}, in model: init_args:\n  {lines}')
    print(f'\n{ranking.seconds:.0f} s\n{report.page}\n{report.table}\n{report.pairs}')


def _by_reason(skipped: Mapping[str, str]) -> dict[str, list[str]]:
    """What could not be ranked, those with one reason together."""
    found: dict[str, list[str]] = {}
    for name, why in skipped.items():
        found.setdefault(why, []).append(name)
    return found


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog='torchgeo-geosane rank',
        description='Rank weights for your data by probes on frozen features of training images.',
    )
    add: Any = parser.add_argument
    add('--config', type=Path, required=True, help='task and data, as for `fit`')
    add(
        *('--names', '--name'),
        nargs='+',
        default=[],
        help='more weights: names and URLs of generated ones, prompts, files',
    )
    add('--only_names', action='store_true', help='rank the named ones alone')
    add(
        '--architecture',
        nargs='+',
        default=[],
        help='patterns of timm architectures, as resnet*; by default those of `list` and your own',
    )
    add('--licence', nargs='+', default=[], help='patterns of licences, as apache* mit')
    add(
        '--max_parameters',
        type=float | None,
        help="the largest encoder, as 3e7; by default twice the config's own",
    )
    add(*('--offline', '--downloaded'), action='store_true', help='only what is on this machine')
    add('--sensor', type=str | None, help='of the data, where they do not say')
    add('--probe', choices=get_args(Probe), default='linear', help='by which one ranks')
    add('--batches', type=int, default=20, help='training batches to draw at most')
    add('--splits', type=int, default=10, help='halvings of the images')
    add('--seed', type=int, default=0, help='which batches')
    add('--output', type=Path, default=Path('output/rank'), help='a folder')
    return parser
