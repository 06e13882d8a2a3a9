"""Tables of a comparison: one line a run, and one line an initialisation."""

import csv
import dataclasses
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, median

from torchgeo_geosane.compare.record import RunKey, RunRecord
from torchgeo_geosane.compare.results import Comparison, Results, Setting
from torchgeo_geosane.compare.verdict import format_difference, format_estimate


@dataclass(frozen=True)
class Cell:
    """A cell of a table; ``outcome`` is empty where nothing is compared."""

    text: str
    outcome: str = ''


@dataclass(frozen=True)
class Row:
    """What is known of one initialisation."""

    name: str
    cells: tuple[Cell, ...]


def header(results: Results, setting: Setting) -> list[str]:
    """Titles of the columns of :func:`rows`."""
    columns = ['Initialisation', f'{results.metric} [95 %]', 'Std', 'Seeds']
    for reference in references(results, setting):
        columns += [f'minus {reference} [95 %]', 'Wins', 'p']
    return columns


def rows(results: Results, setting: Setting) -> list[Row]:
    """One row for each initialisation with a value in a setting."""
    return [
        Row(name, tuple(_cells(results, setting, name)))
        for name in results.initialisations
        if (setting, name) in results.values
    ]


def references(results: Results, setting: Setting) -> list[str]:
    """Initialisations that others are compared with in a setting."""
    return list(dict.fromkeys(c.second for c in results.comparisons if c.setting == setting))


COST_HEADER = [
    'Initialisation or model',
    'Parameters (million)',
    'trained (million)',
    'ms an image',
    'Training (s)',
]


def costs(records: Sequence[RunRecord], setting: Setting) -> list[list[str]]:
    """What each start takes in a setting, in the columns of ``COST_HEADER``.

    Milliseconds are the median over the runs, seconds the mean. A number that no record has, because
    an older version made it, is left out.
    """
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        if Setting.of(record) == setting:
            found.setdefault(record.initialisation, []).append(record)
    return [
        [
            name,
            _number(runs[0].parameters / 1e6, '.2f'),
            _number(runs[0].trained / 1e6, '.2f'),
            _number(median(run.image_ms for run in runs), '.3g'),
            _number(mean(run.training_seconds for run in runs), '.3g'),
        ]
        for name, runs in found.items()
    ]


def markdown(results: Results, records: Sequence[RunRecord]) -> str:
    """All tables, as Markdown."""
    return '\n'.join(_markdown(results, records, setting) for setting in results.settings)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without a line break at its end."""
    return '\n'.join(map(_line, [header, ['---'] * len(header), *rows]))


def runs_csv(records: Sequence[RunRecord]) -> str:
    """One line a run: its key, its metrics, parameters and seconds."""
    keys = [field.name for field in dataclasses.fields(RunKey)]
    others = [
        *('parameters', 'trained', 'seconds', 'training_seconds', 'image_ms'),
        'configuration',
    ]
    metrics = sorted({name for record in records for name in record.metrics})
    written = io.StringIO()
    writer = csv.writer(written, lineterminator='\n')
    writer.writerow([*keys, *metrics, *others])
    for record in records:
        fields = [getattr(record, name) for name in keys]
        measured = [record.metrics.get(name, '') for name in metrics]
        writer.writerow([*fields, *measured, *(getattr(record, name) for name in others)])
    return written.getvalue()


def _cells(results: Results, setting: Setting, name: str) -> Iterator[Cell]:
    mean = results.mean(setting, name)
    yield Cell(format_estimate(mean.mean, mean.low, mean.high))
    yield Cell(f'{mean.std:.3f}' if mean.count > 1 else '')
    yield Cell(str(mean.count))
    for reference in references(results, setting):
        yield from _compared(results.find(setting, name, reference))


def _compared(comparison: Comparison | None) -> Iterator[Cell]:
    if comparison is None or not comparison.difference.by_seed:
        yield from [Cell('')] * 3
        return
    difference, outcome = comparison.difference, comparison.outcome
    style = outcome if outcome in {'better', 'worse'} else ''
    count = len(difference.by_seed)
    left_out = f' ({difference.unpaired} unpaired)' if difference.unpaired else ''
    yield Cell(format_difference(comparison), style)
    yield Cell(f'{difference.wins * count:g} of {count}{left_out}', style)
    yield Cell(f'{comparison.p_adjusted:.2g}', style)


def _number(value: float, form: str) -> str:
    return f'{value:{form}}' if value else ''


def _markdown(results: Results, records: Sequence[RunRecord], setting: Setting) -> str:
    columns = header(results, setting)
    marks = {'better': '**', 'worse': '*', '': ''}
    lines = [
        [
            row.name,
            *(f'{marks[cell.outcome]}{cell.text}{marks[cell.outcome]}' for cell in row.cells),
        ]
        for row in rows(results, setting)
    ]
    title = f'{setting.title[0].upper()}{setting.title[1:]}'
    cost = markdown_table(COST_HEADER, costs(records, setting))
    return f'{title}:\n\n{markdown_table(columns, lines)}\n\nWhat it takes:\n\n{cost}\n'


def _line(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cell.replace("|", "/") for cell in cells)} |'
