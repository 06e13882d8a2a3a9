"""What an aggregate says: tables in Markdown, and a figure beside them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.compare.aggregate import Aggregate, Score
from torchgeo_geosane.compare.figures import COLOURS, draw_bar, name_rows
from torchgeo_geosane.compare.groups import ALL, Group
from torchgeo_geosane.compare.results import Setting
from torchgeo_geosane.compare.table import markdown_table
from torchgeo_geosane.compare.verdict import format_estimate

_STYLE: Any = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': 0.25,
}
_COLUMNS = 2
_SCALES = {
    'geobench2': 'the normalisation of GEO-Bench-2 (arXiv 2511.15658): values below 0 and above 1 are worse '
    'and better than all that it saw',
    'runs': 'the worst and the best run of each task given here: with other runs it is another scale',
}


@dataclass(frozen=True)
class AggregateReport:
    """What was written.

    Attributes:
        tables: ``aggregate.md``.
        figure: ``aggregate.png``, which the tables show.
        text: The tables, for a terminal.
    """

    tables: Path
    figure: Path
    text: str


def write_aggregate(aggregate: Aggregate, output: Path) -> AggregateReport:
    """Write ``aggregate.md`` and ``aggregate.png``; older ones are replaced.

    Raises:
        CacheError: If the disk refuses.
    """
    report = AggregateReport(
        output / 'aggregate.md', output / 'aggregate.png', '\n'.join(_lines(aggregate))
    )
    figure = f'![{_describe(aggregate)}]({report.figure.name})'
    with replacing(report.figure) as provisional:
        _draw(aggregate, provisional)
    with replacing(report.tables) as provisional:
        provisional.write_text(f'{report.text}\n{figure}\n', encoding='utf-8')
    return report


def _lines(aggregate: Aggregate) -> Iterator[str]:
    names = [group.title for group in aggregate.groups]
    for setting, scores in aggregate.scores.items():
        yield f'Interquartile mean [95 %], {_title(aggregate, setting)}:\n'
        rows = [
            [name, *(_cell(scores[name], group) for group in aggregate.groups)] for name in scores
        ]
        yield from [markdown_table(['Initialisation', *names], rows), '']
    yield f'The scale is {_SCALES[aggregate.scale]}.\n'
    scaled = [
        [task.name, task.results.metric, f'{scale.zero:.4g}', f'{scale.one:.4g}']
        for task in aggregate.tasks
        for scale in [aggregate.scales[task.name]]
    ]
    yield from [markdown_table(['Task', 'Metric', 'becomes 0', 'becomes 1'], scaled), '']
    if aggregate.scale == 'geobench2':
        members = [[group.title, ', '.join(group.tasks)] for group in aggregate.groups]
        yield from [markdown_table(['Group', 'Tasks'], members), '']
    for note in aggregate.notes:
        yield f'{note}\n'


def _title(aggregate: Aggregate, setting: Setting) -> str:
    count = aggregate.seeds[setting]
    seeds = 'one seed, so without intervals' if count == 1 else f'{count} seeds'
    return f'{setting.title}, {seeds}'


def _cell(scores: Mapping[str, Score], group: Group) -> str:
    score = scores[group.name]
    return format_estimate(score.mean, score.low, score.high)


def _describe(aggregate: Aggregate) -> str:
    """What one sees in the figure, for those who do not see it."""
    return '; '.join(
        f'{setting.title}: '
        + ', '.join(f'{name} {each[ALL].mean:.3f}' for name, each in scores.items())
        for setting, scores in aggregate.scores.items()
    )


def _draw(aggregate: Aggregate, path: Path) -> None:
    """One panel a group, one row an initialisation; settings are told apart by colour."""
    groups, settings = aggregate.groups, list(aggregate.scores)
    names = list(dict.fromkeys(name for scores in aggregate.scores.values() for name in scores))
    columns = min(_COLUMNS, len(groups))
    rows = math.ceil(len(groups) / columns)
    height = 0.6 + 0.3 * len(names) * max(1, len(settings) / 2)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.2 * columns, 0.6 + height * rows), layout='constrained', dpi=150)
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
        for axes, group in zip(panels, groups, strict=False):
            _draw_group(axes, aggregate, group, names)
        for axes in list(panels)[len(groups) :]:
            axes.remove()
        for axes in figure.axes[-columns:]:  # Also above a place that stays empty.
            axes.tick_params(labelbottom=True)
        figure.supxlabel(
            'interquartile mean of normalised values, with 95 % interval', size='medium'
        )
        if len(settings) > 1:
            handles = [
                Line2D([], [], marker='D', color=COLOURS[index % len(COLOURS)], label=setting.title)
                for index, setting in enumerate(settings)
            ]
            figure.legend(handles=handles, loc='outside upper left')
        figure.savefig(path, format='png', facecolor='white')


def _draw_group(axes: Axes, aggregate: Aggregate, group: Group, names: list[str]) -> None:
    count = len(aggregate.scores)
    for index, scores in enumerate(aggregate.scores.values()):
        for name, each in scores.items():
            row = names.index(name) + 0.6 * ((index + 0.5) / count - 0.5)
            score = each[group.name]
            draw_bar(axes, row, score.mean, score.low, score.high, COLOURS[index % len(COLOURS)])
    name_rows(axes, names)
    axes.set_title(group.title, size='medium')
