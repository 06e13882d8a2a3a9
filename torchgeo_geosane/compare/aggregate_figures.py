"""Figures of an aggregate: a panel a group of tasks, a row an initialisation, settings by colour."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from torchgeo_geosane.compare.aggregate import Aggregate, Score
from torchgeo_geosane.compare.figures import COLOURS, Drawing, draw_bar, name_rows, to_svg
from torchgeo_geosane.compare.groups import ALL, Group
from torchgeo_geosane.compare.results import Setting

_STYLE: Any = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': 0.25,
}
_COLUMNS = 2

_Scores = Mapping[str, Mapping[str, Score]]


@dataclass(frozen=True)
class Chart:
    """What a figure of an aggregate shows.

    Attributes:
        title: For a caption.
        label: Of the horizontal axis.
        groups: One panel each.
        scores: By setting, initialisation and name of the group.
        zero: Whether zero is marked, as for differences.
    """

    title: str
    label: str
    groups: tuple[Group, ...]
    scores: Mapping[Setting, _Scores]
    zero: bool = False

    @property
    def alt(self) -> str:
        """What one sees in the figure, for those who do not see it."""
        sign = '+' if self.zero else ''
        return '; '.join(
            f'{setting.title}: '
            + ', '.join(f'{name} {each[ALL].mean:{sign}.3f}' for name, each in scores.items())
            for setting, scores in self.scores.items()
        )

    @property
    def names(self) -> list[str]:
        """Initialisations, one row each."""
        return list(dict.fromkeys(name for scores in self.scores.values() for name in scores))

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        rows, columns = self._shape
        height = 0.6 + 0.3 * len(self.names) * max(1, len(self.scores) / 2)
        return 4.2 * columns, 0.6 + height * rows

    @property
    def _shape(self) -> tuple[int, int]:
        columns = min(_COLUMNS, len(self.groups))
        return math.ceil(len(self.groups) / columns), columns

    def draw(self, figure: Figure) -> None:
        """Draw into a figure of that size."""
        rows, columns = self._shape
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
        for axes, group in zip(panels, self.groups, strict=False):
            self._draw_group(axes, group)
        for axes in list(panels)[len(self.groups) :]:
            axes.remove()
        for axes in figure.axes[-columns:]:  # Also above a place that stays empty.
            axes.tick_params(labelbottom=True)
        figure.supxlabel(self.label, size='medium')
        if len(self.scores) > 1:
            handles = [
                Line2D([], [], marker='D', color=COLOURS[index % len(COLOURS)], label=setting.title)
                for index, setting in enumerate(self.scores)
            ]
            figure.legend(handles=handles, loc='outside upper left')

    def _draw_group(self, axes: Axes, group: Group) -> None:
        names, count = self.names, len(self.scores)
        for index, scores in enumerate(self.scores.values()):
            for name, each in scores.items():
                row = names.index(name) + 0.6 * ((index + 0.5) / count - 0.5)
                score, colour = each[group.name], COLOURS[index % len(COLOURS)]
                draw_bar(axes, row, score.mean, score.low, score.high, colour)
        if self.zero:
            axes.axvline(0, color=mpl.rcParams['text.color'], lw=0.8)
        name_rows(axes, names)
        axes.set_title(group.title, size='medium')


def chart_scores(aggregate: Aggregate) -> Chart:
    """Interquartile means of all initialisations."""
    return Chart(
        'Interquartile means of normalised values, with 95 % intervals',
        'interquartile mean of normalised values, with 95 % interval',
        aggregate.groups,
        aggregate.scores,
    )


def chart_gains(aggregate: Aggregate) -> Iterator[tuple[str, Chart]]:
    """What the initialisations have over each reference that one of them is compared with."""
    for second in aggregate.references:
        scores = {
            setting: {first: each for (first, other), each in gains.items() if other == second}
            for setting, gains in aggregate.gains.items()
        }
        if any(scores.values()):
            chart = Chart(
                f'Paired differences to {second}: interquartile means, with 95 % intervals',
                f'better than {second} by: interquartile mean of paired differences',
                aggregate.groups,
                {setting: each for setting, each in scores.items() if each},
                zero=True,
            )
            yield second, chart


def draw_png(chart: Chart, path: Path) -> None:
    """Draw on white, for other documents."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=chart.size, layout='constrained', dpi=150)
        chart.draw(figure)
        figure.savefig(path, format='png', facecolor='white')


def draw_svg(chart: Chart) -> Drawing:
    """Draw for a page."""
    return Drawing(
        chart.title, f'{chart.title}: {chart.alt}.', to_svg(chart.draw, chart.size, chart.title)
    )
