"""Figures of a comparison, as SVG that takes its text colour from the page around it."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchgeo_geosane.compare.record import Curve, RunRecord
from torchgeo_geosane.compare.results import Comparison, Results, Setting

# Okabe and Ito's colours that stand out on white and on black, for every kind of colour vision.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')
_DASHES = ('-', '--', ':', '-.')
INK = '#010203'  # Stands for the page's text colour; replaced in the SVG.
_STYLE = {
    'svg.fonttype': 'none',
    'font.family': 'sans-serif',
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.alpha': 0.25,
    **dict.fromkeys(
        (
            'text.color',
            'axes.labelcolor',
            'axes.edgecolor',
            'grid.color',
            'xtick.color',
            'ytick.color',
        ),
        INK,
    ),
    'axes.facecolor': 'none',
    'figure.facecolor': 'none',
    'legend.frameon': False,
    'savefig.facecolor': 'none',
}


@dataclass(frozen=True)
class Drawing:
    """A figure to be put into a page.

    Attributes:
        title: What it shows, for the caption.
        alt: What one sees in it, for those who do not see it.
        svg: The ``<svg>`` element.
    """

    title: str
    alt: str
    svg: str


def draw_values(results: Results, setting: Setting) -> Drawing:
    """The metric of every initialisation: mean with interval, and one dot a seed."""
    names = [name for name in results.initialisations if (setting, name) in results.values]

    def draw(axes: Axes) -> None:
        for row, name in enumerate(names):
            values = list(results.values[setting, name].values())
            jitter = row + 0.16 + 0.16 * np.linspace(-1, 1, len(values)) * (len(values) > 1)
            axes.plot(values, jitter, 'o', ms=3.5, mew=0, alpha=0.45, color=COLOURS[1])
            mean = results.mean(setting, name)
            draw_bar(axes, row - 0.15, mean.mean, mean.low, mean.high)
        name_rows(axes, names)
        axes.set_xlabel(results.metric)

    told = '; '.join(
        f'{name} {results.mean(setting, name).mean:.3f}'
        f' over {results.mean(setting, name).count} seeds'
        for name in names
    )
    return Drawing(
        f'{results.metric}, {setting.title}: mean with 95 % interval, and every seed',
        f'Mean {results.metric}: {told}.',
        _to_svg(draw, 1 + 0.36 * len(names), f'values {setting.title}'),
    )


def draw_differences(comparisons: Sequence[Comparison]) -> Drawing:
    """A forest plot: what others have over one reference, in one setting."""
    setting, reference = comparisons[0].setting, comparisons[0].second

    def draw(axes: Axes) -> None:
        for row, comparison in enumerate(comparisons):
            difference = comparison.difference
            axes.plot(
                list(difference.by_seed.values()),
                np.full(len(difference.by_seed), row + 0.2),
                '|',
                ms=5,
                alpha=0.6,
                color=COLOURS[1],
            )
            mean = difference.mean
            draw_bar(axes, row - 0.1, mean.mean, mean.low, mean.high)
        axes.axvline(0, color=INK, lw=0.8)
        name_rows(axes, [comparison.first for comparison in comparisons])
        axes.set_xlabel(f'better than {reference} by')

    told = '; '.join(f'{c.first} {c.difference.mean.mean:+.3f}, {c.outcome}' for c in comparisons)
    return Drawing(
        f'Paired differences to {reference}, {setting.title}: mean with 95 % interval, and every seed',
        f'Mean difference to {reference}: {told}.',
        _to_svg(draw, 1 + 0.36 * len(comparisons), f'differences {reference} {setting.title}'),
    )


def draw_curves(records: Sequence[RunRecord], setting: Setting, what: str) -> Drawing | None:
    """Learning curves: mean over the seeds, with a band of one standard deviation.

    Args:
        records: All records.
        setting: Whose curves.
        what: ``curve``, the training loss, or ``validation``.

    Returns:
        The figure; None where no runs of the setting have such curves, of two points or more.
    """
    curves: dict[str, list[Curve]] = {}
    for record in records:
        if Setting.of(record) == setting and getattr(record, what):
            curves.setdefault(record.initialisation, []).append(getattr(record, what))
    curves = {name: runs for name, runs in curves.items() if len(_average(runs)[0]) > 1}
    if not curves:
        return None

    def draw(axes: Axes) -> None:
        for index, (name, runs) in enumerate(curves.items()):
            steps, mean, std = _average(runs)
            colour = COLOURS[index % len(COLOURS)]
            dash = _DASHES[index // len(COLOURS) % len(_DASHES)]
            axes.plot(steps, mean, dash, color=colour, label=name, lw=1.4)
            axes.fill_between(steps, mean - std, mean + std, color=colour, alpha=0.15, lw=0)
        axes.set_xlabel('step')
        axes.set_ylabel(label)
        axes.legend(loc='center left', bbox_to_anchor=(1, 0.5))

    label = {'curve': 'training loss', 'validation': 'validation'}[what]
    ends = '; '.join(f'{name} {_average(runs)[1][-1]:.3f}' for name, runs in curves.items())
    return Drawing(
        f'{label.capitalize()}, {setting.title}: mean and one standard deviation over the seeds',
        f'Mean {label} at the last step: {ends}.',
        _to_svg(draw, 3.2, f'{what} {setting.title}'),
    )


def draw_fractions(results: Results) -> list[Drawing]:
    """The metric over the fraction of the training data, where there are several."""
    drawings = []
    for first in dict.fromkeys((s.method, s.conditioned) for s in results.settings):
        settings = [s for s in results.settings if (s.method, s.conditioned) == first]
        if len(settings) > 1:
            drawings.append(_draw_fractions(results, sorted(settings, key=lambda s: s.fraction)))
    return drawings


def _draw_fractions(results: Results, settings: Sequence[Setting]) -> Drawing:
    def draw(axes: Axes) -> None:
        for index, name in enumerate(results.initialisations):
            points = [
                (100 * s.fraction, results.mean(s, name))
                for s in settings
                if (s, name) in results.values
            ]
            if points:
                axes.errorbar(
                    [share * 1.03**index for share, _ in points],
                    [mean.mean for _, mean in points],
                    yerr=np.array(
                        [(mean.mean - mean.low, mean.high - mean.mean) for _, mean in points]
                    ).T,
                    fmt='o' + _DASHES[index // len(COLOURS) % len(_DASHES)],
                    color=COLOURS[index % len(COLOURS)],
                    label=name,
                    ms=4,
                    lw=1.2,
                )
        axes.set_xscale('log')
        axes.set_xticks(shares, [f'{share:g}' for share in shares])
        axes.set_xlabel('% of the training data')
        axes.set_ylabel(results.metric)
        axes.legend(loc='center left', bbox_to_anchor=(1, 0.5))

    shares = [100 * setting.fraction for setting in settings]
    title = settings[-1].title
    told = '; '.join(
        f'{name} ' + ', '.join(f'{results.mean(s, name).mean:.3f}' for s in settings)
        for name in results.initialisations
    )
    return Drawing(
        f'{results.metric} over the fraction of the training data ({title.split(",")[0]})',
        f'Mean {results.metric} at {", ".join(f"{share:g} %" for share in shares)}: {told}.',
        _to_svg(draw, 3.4, f'fractions {title}'),
    )


def draw_bar(
    axes: Axes, row: float, mean: float, low: float, high: float, colour: str = COLOURS[0]
) -> None:
    """A mean with its interval, in a row."""
    axes.plot([low, high], [row, row], '-', lw=2.2, color=colour, solid_capstyle='butt')
    axes.plot([mean], [row], 'D', ms=5, mew=0, color=colour)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Names instead of numbers, from the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis='y')


def _average(runs: Sequence[Curve]) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Steps that all runs have; mean and standard deviation there."""
    values = [dict(run) for run in runs]
    steps = sorted(set.intersection(*(set(value) for value in values)))
    table = np.array([[value[step] for step in steps] for value in values])
    return steps, table.mean(0), table.std(0)


def _to_svg(draw: Callable[[Axes], None], height: float, salt: str) -> str:
    return to_svg(lambda figure: draw(figure.add_subplot()), (7.2, height), salt)


def to_svg(draw: Callable[[Figure], None], size: tuple[float, float], salt: str) -> str:
    """Draw a figure; no other figure of the page has its ids, and it is the same every time.

    Args:
        draw: Draws into the figure that it is given.
        size: Width and height in inches; on the page the figure is as wide as the text.
        salt: Other for each figure of a page.
    """
    style: Any = {**_STYLE, 'svg.hashsalt': salt}
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout='constrained')
        draw(figure)
        written = io.StringIO()
        figure.savefig(written, format='svg', metadata={'Date': None})
    svg = written.getvalue()
    svg = svg[svg.index('<svg') :].replace(INK, 'currentColor')
    return re.sub(
        r' width="[^"]*pt" height="[^"]*pt"|<metadata>.*?</metadata>', '', svg, flags=re.S
    )
