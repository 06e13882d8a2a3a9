"""``torchgeo-geosane compare``: a comparison as a command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser
from jsonargparse.typing import Path_fr

from torchgeo_geosane.compare.compare import Backend, compare, report
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.initialisations import INITIALISATIONS
from torchgeo_geosane.compare.schedule import plan
from torchgeo_geosane.errors import ComparisonError


def run_comparison(arguments: Sequence[str]) -> None:
    """Parse the arguments, do the runs, write the report, and print its verdict."""
    parsed = _parser().parse_args(list(arguments))
    fit = parsed.pop('fit')
    values = vars(_parser().instantiate_classes(parsed))
    chosen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    del chosen['config']
    output = Path(chosen.pop('output'))
    jobs, backend = chosen.pop('jobs'), chosen.pop('backend')
    report_only = chosen.pop('report_only')
    comparison = ComparisonConfig(fit=fit, **chosen)
    failure = None if report_only else _run(comparison, output, jobs, backend)
    if failure and not plan(comparison, output).done:
        raise failure
    written = report(comparison, output)
    print(f'\n{written.verdict}\n\n{written.page}\n{written.tables}\n{written.runs}')
    if failure:
        raise failure


def _run(
    comparison: ComparisonConfig, output: Path, jobs: int, backend: Backend
) -> ComparisonError | None:
    """Do the runs; those that fail do not keep the others from being reported."""
    try:
        compare(comparison, output, jobs, backend)
    except ComparisonError as error:
        return error
    return None


def _read_fit(value: Any) -> dict[str, Any]:
    """The content of a fit, given as a path or inline; untouched, since classes come later."""
    if isinstance(value, dict):
        return value
    # Beside the config, where one is being read.
    path = Path_fr(value).absolute
    return yaml.safe_load(Path(path).read_text(encoding='utf-8'))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog='torchgeo-geosane compare',
        description='Train one task from several initialisations, over seeds. '
        '`torchgeo-geosane compare aggregate --help` tells how several tasks come on one scale.',
    )
    parser.add_argument('--config', action='config', help='a YAML file with the options below')
    parser.add_argument(
        '--fit',
        type=_read_fit,
        required=True,
        # No type is shown: this one's is a function with its address.
        help='task, data and trainer as for `fit`: a YAML file (relative to the config), or inline'
        '%(type).0s',
    )
    parser.add_argument(
        *('--initialisations', '--init'),
        nargs='+',
        default=['scratch', 'prompt', 'generated'],
        help=f'what trainings start from: {", ".join(INITIALISATIONS)}, and names of the variants',
    )
    parser.add_class_arguments(ComparisonConfig, skip={'fit', 'initialisations'})
    parser.add_argument('--output', type=Path, default=Path('output/compare'), help='a folder')
    parser.add_argument('--jobs', type=int, default=1, help='processes at once; 0 for this one')
    parser.add_argument(
        '--backend', type=Backend, default='local', help='processes here, or a cluster of Ray'
    )
    parser.add_argument(
        '--report-only', action='store_true', help='write the report of the records there are'
    )
    return parser
