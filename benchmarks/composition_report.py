"""The tables and the figure of ``composition.py``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from measure import machine

from torchgeo_geosane.compare.figures import COLOURS, draw_bar, name_rows
from torchgeo_geosane.compare.statistics import Difference, Mean, holm
from torchgeo_geosane.compare.table import markdown_table
from torchgeo_geosane.compare.verdict import format_estimate

OUT = Path(__file__).parents[1] / 'docs' / 'benchmarks'
TITLES = {
    'six': 'EfficientNet-B4, six bands',
    'four': 'EfficientNet-B4, four bands',
    'colour': 'MobileNetV3, three bands',
    'average': 'average of both EfficientNets',
    'two': 'two: both EfficientNets',
    'three': 'three: and MobileNetV3',
    'student': 'student: MobileNetV3, trained whole',
    'taught': 'the same, taught by three',
}
PAIRS = (
    *(('two', 'six'), ('two', 'four'), ('two', 'average')),
    *(('three', 'six'), ('three', 'colour'), ('three', 'two')),
    *(('taught', 'student'), ('taught', 'three')),
)


def write(records: Sequence[Mapping[str, float]], costs: Mapping[str, list[str]]) -> None:
    """Write the tables and the figure."""
    values = {name: {seed: each[name] for seed, each in enumerate(records)} for name in TITLES}
    differences = [Difference.between(values[one], values[other]) for one, other in PAIRS]
    adjusted = holm([difference.p_value for difference in differences])
    lines = []
    for name, title in TITLES.items():
        mean = Mean.of(list(values[name].values()))
        lines.append([title, format_estimate(mean.mean, mean.low, mean.high), *costs[name]])
    header = [
        *('', 'test mIoU [95 %]', 'parameters (M)', 'trained (M)'),
        'CPU ms an image of 256 × 256, one thread',
    ]
    compared = [
        [
            f'{one} minus {other}',
            format_estimate(each.mean.mean, each.mean.low, each.mean.high, sign=True),
            f'{each.wins * len(each.by_seed):g} of {len(each.by_seed)}',
            f'{p:.2g}',
        ]
        for (one, other), each, p in zip(PAIRS, differences, adjusted, strict=True)
    ]
    text = (
        f'{machine()} {len(records)} seeds. Regenerate: `python benchmarks/composition.py`.\n\n'
        f'{markdown_table(header, lines)}\n\n'
        f'{markdown_table(["Paired difference", "mIoU [95 %]", "Wins", "p (Holm)"], compared)}\n'
    )
    (OUT / 'composition.md').write_text(text)
    draw(differences, OUT / 'composition.png')
    print(text)


def draw(differences: Sequence[Difference], path: Path) -> None:
    """A forest plot: every seed's difference, and the mean with its interval."""
    style: Any = {'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False}
    with mpl.rc_context(style):
        figure = Figure(figsize=(7.2, 3.4), layout='constrained', dpi=120)
        axes = figure.add_subplot()
        for row, each in enumerate(differences):
            seeds = list(each.by_seed.values())
            axes.plot(seeds, [row + 0.2] * len(seeds), '|', ms=6, color=COLOURS[1], alpha=0.7)
            draw_bar(axes, row - 0.1, each.mean.mean, each.mean.low, each.mean.high)
        axes.axvline(0, color='black', lw=0.8)
        name_rows(axes, [f'{one} − {other}' for one, other in PAIRS])
        axes.set_xlabel('difference of the test mIoU: mean with 95 % interval, and every seed')
        figure.savefig(path, facecolor='white')
