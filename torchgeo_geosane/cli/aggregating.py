"""``torchgeo-geosane compare aggregate``: several comparisons on one scale, as a command line."""

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from torchgeo_geosane.compare.aggregate import aggregate
from torchgeo_geosane.compare.aggregate_report import write_aggregate
from torchgeo_geosane.compare.scales import ScaleName
from torchgeo_geosane.compare.tasks import read_tasks


def aggregate_comparisons(arguments: Sequence[str]) -> None:
    """Parse the arguments, write page, tables and figures, and print the tables."""
    parsed = _parser().parse_args(list(arguments))
    found = aggregate(
        read_tasks(parsed.runs),
        parsed.scale,
        parsed.groups,
        parsed.initialisations,
        parsed.references,
    )
    written = write_aggregate(found, parsed.output)
    print(written.text, written.page, written.tables, *written.figures, sep='\n')


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog='torchgeo-geosane compare aggregate',
        description='Put the results of several tasks on one scale: interquartile means by group.',
    )
    parser.add_argument(
        'runs',
        type=str,
        nargs='+',
        help='output folders of `compare`, one a task, or NAME=FOLDER; the names of GEO-Bench-2 have its scale',
    )
    parser.add_argument(
        '--scale',
        type=ScaleName | None,
        help="GEO-Bench-2's, or the worst and best run of each task; by default, the names say",
    )
    parser.add_argument(
        '--groups',
        type=str,
        nargs='+',
        default=[],
        help="capability groups of GEO-Bench-2, or your own as NAME=TASK+TASK; by default the benchmark's",
    )
    parser.add_argument(
        *('--initialisations', '--init'),
        type=str,
        nargs='+',
        default=[],
        help='those to aggregate; by default all, which every task must have',
    )
    parser.add_argument(
        '--references',
        type=str,
        nargs='+',
        default=[],
        help='those that the others are compared with; by default scratch, prompt, pruned and distilled where '
        'they are, or else the first',
    )
    parser.add_argument('--output', type=Path, default=Path('output/aggregate'), help='a folder')
    return parser
