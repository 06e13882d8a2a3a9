"""The figures of a ranking: scores with intervals, and which weights are alike."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchgeo_geosane.callbacks.probe import PROBES
from torchgeo_geosane.compare.figures import COLOURS
from torchgeo_geosane.rank.mixing import Pair
from torchgeo_geosane.rank.ranking import Ranking

_MOST_ROWS = 40
_LONGEST = 46


def draw_scores(ranking: Ranking) -> Figure:
    """Every score with its 95 % interval, the best on top."""
    shown = ranking.ranked[:_MOST_ROWS]
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(shown)), layout='constrained')
    axes = figure.add_subplot()
    for at, probe in enumerate(PROBES):
        means = [each.scores[probe].mean for each in shown]
        reaches = [each.scores[probe].reach for each in shown]
        rows = np.arange(len(shown)) + (at - 0.5) * 0.25
        axes.errorbar(means, rows, xerr=reaches, fmt='o', ms=4, color=COLOURS[at], label=probe)
    names = [_short(each.contender.name) for each in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlabel(f'{ranking.measure}, {ranking.wanted.splits} splits of the training images')
    axes.grid(axis='x', alpha=0.3)
    axes.legend(loc='lower left', bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return figure


def draw_pairs(pairs: Sequence[Pair]) -> Figure:
    """How alike features are, and values: two matrices."""
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.first, pair.second)))
    features, values = (np.full((len(names), len(names)), np.nan) for _ in range(2))
    for pair in pairs:
        at = names.index(pair.first), names.index(pair.second)
        for matrix, value in ((features, pair.features), (values, pair.after)):
            matrix[at] = matrix[at[::-1]] = np.nan if value is None else value
    side = 2.2 + 0.42 * len(names)
    figure = Figure(figsize=(2 * side + 2.5, side + 0.8), layout='constrained')
    left, right = figure.subplots(1, 2, sharey=True)
    _matrix(left, features, names, 'features: linear CKA')
    _matrix(right, values, names, 'values, once units are in one order: cosine')
    return figure


def _matrix(axes: Axes, matrix: np.ndarray, names: Sequence[str], title: str) -> None:
    axes.imshow(matrix, cmap='Blues', vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            colour = 'white' if value > 0.6 else 'black'
            place = {'ha': 'center', 'va': 'center'}
            axes.text(column, row, f'{value:.2f}', fontsize=7, color=colour, **place)  # type: ignore[arg-type]
    short = [_short(name, 30) for name in names]
    axes.set_xticks(range(len(names)), short, rotation=60, ha='right', fontsize=7)
    axes.set_yticks(range(len(names)), short, fontsize=7)
    axes.set_title(title, fontsize=9)


def _short(name: str, longest: int = _LONGEST) -> str:
    return name if len(name) <= longest else f'{name[: longest - 1]}…'
