"""What an aggregate says: a page that opens without network, and tables with figures in Markdown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.compare.aggregate import Aggregate, Score
from torchgeo_geosane.compare.aggregate_figures import (
    Chart,
    chart_gains,
    chart_scores,
    draw_png,
    draw_svg,
)
from torchgeo_geosane.compare.groups import Group
from torchgeo_geosane.compare.results import Setting
from torchgeo_geosane.compare.table import Cell, Row, markdown_table
from torchgeo_geosane.compare.verdict import format_estimate
from torchgeo_geosane.pages import render_page

_TEMPLATE = Path(__file__).with_name('aggregate.html.jinja')
_SCALES = {
    'geobench2': 'the normalisation of GEO-Bench-2 (arXiv 2511.15658): values below 0 and above 1 are worse '
    'and better than all that it saw',
    'runs': 'the worst and the best run of each task given here: with other runs it is another scale',
}
_MARKS = {'better': '**', 'worse': '*', '': ''}


@dataclass(frozen=True)
class AggregateReport:
    """What was written.

    Attributes:
        page: ``aggregate.html``: figures and tables, all in one file.
        tables: ``aggregate.md``.
        figures: What the tables show: ``aggregate.png``, and ``minus_NAME.png`` for each reference.
        text: The tables, for a terminal.
    """

    page: Path
    tables: Path
    figures: tuple[Path, ...]
    text: str


@dataclass(frozen=True)
class _Table:
    title: str
    header: list[str]
    rows: list[Row]

    @property
    def markdown(self) -> str:
        rows = [[row.name, *map(_marked, row.cells)] for row in self.rows]
        return f'{self.title}:\n\n{markdown_table(self.header, rows)}\n'


def write_aggregate(aggregate: Aggregate, output: Path) -> AggregateReport:
    """Write ``aggregate.html``, ``aggregate.md`` and the figures beside it; older ones are replaced.

    Raises:
        CacheError: If the disk refuses.
    """
    charts = {output / 'aggregate.png': chart_scores(aggregate)} | {
        output / f'minus_{_plain(name)}.png': chart for name, chart in chart_gains(aggregate)
    }
    text = '\n'.join(_lines(aggregate))
    report = AggregateReport(
        output / 'aggregate.html', output / 'aggregate.md', tuple(charts), text
    )
    page = _render(aggregate, list(charts.values()))
    for path, chart in charts.items():
        with replacing(path) as provisional:
            draw_png(chart, provisional)
    shown = '\n\n'.join(f'![{chart.alt}]({path.name})' for path, chart in charts.items())
    for path, content in {report.tables: f'{text}\n{shown}\n', report.page: page}.items():
        with replacing(path) as provisional:
            provisional.write_text(content, encoding='utf-8')
    return report


def _plain(name: str) -> str:
    return ''.join(letter if letter.isalnum() or letter in '._-' else '_' for letter in name)


def _render(aggregate: Aggregate, charts: list[Chart]) -> str:
    return render_page(
        _TEMPLATE,
        title=f'{len(aggregate.tasks)} tasks on one scale',
        scale=_SCALES[aggregate.scale],
        drawings=[draw_svg(chart) for chart in charts],
        tables=[*_tables(aggregate), *_facts(aggregate)],
        notes=aggregate.notes,
    )


def _lines(aggregate: Aggregate) -> Iterator[str]:
    for table in _tables(aggregate):
        yield table.markdown
    yield f'The scale is {_SCALES[aggregate.scale]}.\n'
    for table in _facts(aggregate):
        yield table.markdown
    for note in aggregate.notes:
        yield f'{note}\n'


def _tables(aggregate: Aggregate) -> Iterator[_Table]:
    """Interquartile means, and what they are above each reference."""
    header = ['Initialisation', *(group.title for group in aggregate.groups)]
    for setting, scores in aggregate.scores.items():
        title = _title(aggregate, setting)
        rows = [_row(name, each, aggregate.groups) for name, each in scores.items()]
        yield _Table(f'Interquartile mean [95 %], {title}', header, rows)
        for second in aggregate.references:
            compared = [
                _row(first, each, aggregate.groups, differences=True)
                for (first, other), each in aggregate.gains[setting].items()
                if other == second
            ]
            if compared:
                what = f'Interquartile mean of paired differences to {second} [95 %], {title}'
                yield _Table(what, header, compared)


def _facts(aggregate: Aggregate) -> Iterator[_Table]:
    """What the scale is made of, and the groups."""
    scaled = [
        (task.name, (task.results.metric, f'{scale.zero:.4g}', f'{scale.one:.4g}'))
        for task in aggregate.tasks
        for scale in [aggregate.scales[task.name]]
    ]
    yield _plain_table('Scale', ['Task', 'Metric', 'becomes 0', 'becomes 1'], dict(scaled))
    if len(aggregate.groups) > 1:
        members = {group.title: (', '.join(group.tasks),) for group in aggregate.groups}
        yield _plain_table('Groups', ['Group', 'Tasks'], members)


def _plain_table(title: str, header: list[str], rows: Mapping[str, tuple[str, ...]]) -> _Table:
    made = [Row(name, tuple(Cell(text) for text in texts)) for name, texts in rows.items()]
    return _Table(title, header, made)


def _row(
    name: str, scores: Mapping[str, Score], groups: tuple[Group, ...], differences: bool = False
) -> Row:
    cells = []
    for group in groups:
        score = scores[group.name]
        text = format_estimate(score.mean, score.low, score.high, sign=differences)
        cells.append(Cell(text, _outcome(score) if differences else ''))
    return Row(name, tuple(cells))


def _outcome(score: Score) -> str:
    """Better or worse where the interval is on one side of zero."""
    return 'better' if score.low > 0 else 'worse' if score.high < 0 else ''


def _marked(cell: Cell) -> str:
    return f'{_MARKS[cell.outcome]}{cell.text}{_MARKS[cell.outcome]}'


def _title(aggregate: Aggregate, setting: Setting) -> str:
    count = aggregate.seeds[setting]
    seeds = 'one seed, so without intervals' if count == 1 else f'{count} seeds'
    return f'{setting.title}, {seeds}'
