"""Figures of the measurement pages, drawn when the site is built from what benchmarks have left."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tables
from matplotlib.axes import Axes

from torchgeo_geosane.compare.figures import (
    COLOURS,
    Drawing,
    draw_bar,
    draw_differences,
    name_rows,
    to_svg,
)

TASKS = tables.SCENES | tables.TILES | tables.FEW
Row = dict[str, str]
_NUMBER = r'[-+]?[\d,]*\.?\d+'


def drawings(name: str) -> list[Drawing]:
    """The figures of a benchmark's report; none where it has no figures, or was not run."""
    draw = FIGURES.get(name)
    return [] if draw is None or not (tables.MEASURED / f'{name}.md').exists() else draw(name)


def read(report: Path) -> list[list[Row]]:
    """The tables of a report in Markdown."""
    found = []
    for block in re.findall(r'(?:^\|.*\n?)+', report.read_text(), re.MULTILINE):
        header, _, *rows = [
            [cell.strip() for cell in line.strip()[1:-1].split('|')] for line in block.splitlines()
        ]
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def numbers(cell: str) -> list[float]:
    """The numbers in a cell: a mean with its interval has three, a mean with its spread two."""
    return [float(number.replace(',', '')) for number in re.findall(_NUMBER, cell)]


def _forest(name: str) -> list[Drawing]:
    """Every start against two others, paired over seeds."""
    task = name.removeprefix('compare_')
    results = tables.results(task)
    (setting,) = results.settings
    (title,) = (title for title, found in TASKS.items() if found == task)
    metric = results.metric.removeprefix('test_')
    drawn = []
    for reference in ('prompt', 'scratch'):
        found = [results.find(setting, start, reference) for start in tables.STARTS]
        drawing = draw_differences([one for one in found if one is not None])
        caption = (
            f'{title}, {metric} of the test minus that of {reference}: mean with 95 % interval, and '
            'every seed'
        )
        drawn.append(dataclasses.replace(drawing, title=caption))
    return drawn


def _ensembles(name: str) -> list[Drawing]:
    """Ensembles and a small model, paired over seeds."""
    references = ('generated', 'two')
    results = tables.results(name.removeprefix('compare_'), references)
    (setting,) = results.settings
    drawn = []
    for reference in references:
        found = [
            results.find(setting, one, reference)
            for one in ('two', 'three', 'distilled')
            if one != reference
        ]
        drawing = draw_differences([one for one in found if one is not None])
        caption = f'Test mIoU minus that of {reference}: mean with 95 % interval, and every seed'
        drawn.append(dataclasses.replace(drawing, title=caption))
    return drawn


def _foundry(name: str) -> list[Drawing]:
    """Mean error over the latent's width, for each way to make tokens."""
    text = (tables.MEASURED / f'{name}.md').read_text()
    titles = re.findall(r'^\*\*(.*)\*\*$', text, re.MULTILINE)
    means = [table[-1] for table in read(tables.MEASURED / f'{name}.md')]

    def draw(axes: Axes) -> None:
        for index, (title, mean) in enumerate(zip(titles, means, strict=True)):
            widths = [numbers(key) for key in list(mean)[1:]]
            errors = [numbers(cell)[0] for cell in list(mean.values())[1:]]
            shares = [100 * kept / size for kept, size in widths]
            axes.plot(shares, errors, 'o-', color=COLOURS[index], label=title.lower(), ms=4)
        axes.set(xlabel='numbers kept of a token, %', ylabel='relative error', ylim=(0, None))
        axes.legend()

    told = '; '.join(
        f'{title}: {numbers(mean[list(mean)[1]])[0]:.2f} …'
        for title, mean in zip(titles, means, strict=True)
    )
    return [
        Drawing(
            'Error of the best linear code, mean over models whose lineage was left out',
            told,
            _svg(draw, 3, name),
        )
    ]


def _foundry_function(name: str) -> list[Drawing]:
    """What networks do over the error of their tokens, for two tasks."""
    (rows,) = read(tables.MEASURED / f'{name}.md')
    return [
        _function(rows, column, title, name)
        for column, title in (
            ('cloud masks: correlation', 'Correlation of the scores of cloud masks'),
            ('super-resolution: PSNR, dB', 'PSNR of super-resolution, dB'),
        )
    ]


def _function(rows: Sequence[Row], column: str, title: str, salt: str) -> Drawing:
    points: dict[str, list[list[float]]] = {}
    for row in rows:
        if row[column] and row['code'] != 'as it is':
            points.setdefault(row['code'], []).append(numbers(row[column]))

    def draw(axes: Axes) -> None:
        for index, (code, found) in enumerate(points.items()):
            values, errors = zip(*sorted(found, key=lambda each: each[1]), strict=True)
            style = {'ls': '--', 'marker': 'x'} if code.startswith('white') else {'marker': 'o'}
            axes.plot(
                errors, values, color=COLOURS[index % len(COLOURS)], label=code, ms=4, **style
            )
        axes.set(xlabel='relative error of the tokens', ylabel=title)
        axes.legend(fontsize=6)

    told = '; '.join(
        f'{code}: {found[0][0]:g} at an error of {found[0][1]:g}' for code, found in points.items()
    )
    return Drawing(f'{title}, after a code', told, _svg(draw, 3.6, salt + column))


def _alignment(name: str) -> list[Drawing]:
    """How much of the networks moves that do not align wholly."""
    rows = [row for row in read(tables.MEASURED / f'{name}.md')[0] if row['aligns'] != 'wholly']
    labels = [_plain(row['architecture']) for row in rows]
    values = [numbers(row['weights that move']) for row in rows]
    return [_bars('weights that move where not all groups do, %', labels, values, name)]


def _tasks(name: str) -> list[Drawing]:
    """Of how many models a task takes weights, by the way to ask for them."""
    rows = read(tables.MEASURED / f'{name}.md')[0]
    ways = ('by name', 'by timm name', 'by file', 'our task')
    tasks = list(dict.fromkeys(row['task'] for row in rows))
    tried = {
        (task, way): [row[way] for row in rows if row['task'] == task and row[way] != '–']
        for task in tasks
        for way in ways
    }
    taken = {key: sum(cell == 'yes' for cell in cells) for key, cells in tried.items()}

    def draw(axes: Axes) -> None:
        shares = [
            [taken[task, way] / max(len(tried[task, way]), 1) for way in ways] for task in tasks
        ]
        axes.imshow(shares, cmap='Blues', vmin=0, vmax=1.3, aspect='auto')
        for row, task in enumerate(tasks):
            for column, way in enumerate(ways):
                count = len(tried[task, way])
                told = f'{taken[task, way]} of {count}' if count else '–'
                axes.text(column, row, told, ha='center', va='center', color='black')
        axes.set_xticks(range(len(ways)), ways)
        axes.set_yticks(range(len(tasks)), tasks)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    told = '; '.join(f'{task} {way}: {taken[task, way]}' for task, way in tried if taken[task, way])
    title = 'Models that start from the generated weights, by task and by how one asks for them'
    return [Drawing(title, told, _svg(draw, 0.6 + 0.32 * len(tasks), name))]


def _generate(name: str) -> list[Drawing]:
    rows = read(tables.MEASURED / f'{name}.md')[0]
    return [
        _bars(
            'CPU seconds',
            [f'{r["architecture"]}, {r["precision"]}' for r in rows],
            [numbers(r['CPU s (wall s)']) for r in rows],
            name,
        )
    ]


def _imagery(name: str) -> list[Drawing]:
    text = (tables.MEASURED / f'{name}.md').read_text()
    titles = re.findall(r'^\*\*(.*?)\*\*, GDAL’s block cache (.*?);', text, re.MULTILINE)
    bars = [
        (
            f'{row["case"]}: {kind}, {size.replace("as it is by default", "default")}',
            numbers(row['× CPU']),
        )
        for (kind, size), table in zip(titles, read(tables.MEASURED / f'{name}.md'), strict=True)
        for row in table
        if row['case'] in {'ours, later', 'ours, block cache, later'}
    ]
    return [
        _bars(
            'times fewer CPU seconds a chip than TorchGeo',
            [bar[0] for bar in bars],
            [bar[1] for bar in bars],
            name,
        )
    ]


def _predict(name: str) -> list[Drawing]:
    """Speed, memory and seams, of the parts that have been measured."""
    drawn = []
    for rows in read(tables.MEASURED / f'{name}.md'):
        if 'way' in rows[0]:
            values = [numbers(row['CPU s']) for row in rows]
            drawn.append(_bars('CPU seconds for a map', [r['way'] for r in rows], values, name))
        elif 'rows' in rows[0]:
            values = [numbers(row['memory of predict --scene, MB']) for row in rows]
            title = 'memory of a map, MB, by the rows of a scene of 30,000 columns'
            drawn.append(_bars(title, [row['rows'] for row in rows], values, name))
        elif 'by one look at the whole' in rows[0]:
            labels = [f'{row["windows"]}, {row["shared"]} shared' for row in rows]
            values = [numbers(row['by one look at the whole']) for row in rows]
            title = 'pixels whose class is another by one look at the whole, %'
            drawn.append(_bars(title, labels, values, name))
    return drawn


def _geo_alignment(name: str) -> list[Drawing]:
    """What the other variants lack, of two recalls, for held-out places in between."""
    rows = read(tables.MEASURED / f'{name}.md')[1]
    labels = [row['variant'] for row in rows]
    return [
        _intervals(
            f'{recall}, both objectives with local interpolation minus another',
            labels,
            [numbers(row[recall]) for row in rows],
            f'{name} {recall}',
        )
        for recall in ('photo to image R@10', 'image to location R@10')
    ]


def _geo_away(name: str) -> list[Drawing]:
    """What local interpolation is ahead of other ways to read an image, for photos far from its middle."""
    rows = read(tables.MEASURED / f'{name}.md')[1]
    recall = 'outer photo to image R@10'
    means = [numbers(row[recall]) for row in rows]
    title = 'R@10 of photos in the outer half of their image, local interpolation minus another'
    return [_intervals(title, [row['way'] for row in rows], means, name)]


def _geo_climate(name: str) -> list[Drawing]:
    """Accuracy over the share of the labels, for what is used."""
    rows = read(tables.MEASURED / f'{name}.md')[0]
    shares = [numbers(column)[0] for column in list(rows[0])[1:]]

    def draw(axes: Axes) -> None:
        for row, colour in zip(rows, COLOURS, strict=False):
            used, *cells = row.values()
            mean, low, high = np.transpose([numbers(cell) for cell in cells])
            axes.fill_between(shares, low, high, color=colour, alpha=0.2, lw=0)
            axes.plot(shares, mean, 'o-', color=colour, label=used, ms=4)
        axes.set(xlabel='labels, %', ylabel='accuracy', xscale='log')
        axes.set_xticks(shares, [f'{share:g}' for share in shares])
        axes.minorticks_off()
        axes.legend()

    told = '; '.join(f'{row["what is used"]}: {list(row.values())[-1]}' for row in rows)
    return [
        Drawing('Accuracy of climate zones, mean with 95 % interval', told, _svg(draw, 3, name))
    ]


def _intervals(
    title: str, labels: Sequence[str], means: Sequence[Sequence[float]], salt: str
) -> Drawing:
    """A forest plot of means with their intervals."""

    def draw(axes: Axes) -> None:
        for row, (mean, low, high) in enumerate(means):
            draw_bar(axes, row, mean, low, high)
        axes.axvline(0, color=COLOURS[1], lw=0.8)
        name_rows(axes, labels)
        axes.set_xlabel(title)

    told = '; '.join(f'{label} {mean[0]:+.3f}' for label, mean in zip(labels, means, strict=True))
    return Drawing(
        f'{title}: mean with 95 % interval', told, _svg(draw, 1 + 0.36 * len(labels), salt)
    )


def _bars(
    title: str, labels: Sequence[str], values: Sequence[Sequence[float]], salt: str
) -> Drawing:
    """Bars with a number beside each."""

    def draw(axes: Axes) -> None:
        bars = axes.barh(
            np.arange(len(labels)), [value[0] for value in values], color=COLOURS[0], height=0.6
        )
        axes.bar_label(bars, fmt='{:.4g}', padding=3)
        name_rows(axes, labels)
        axes.set_xlabel(title)

    told = '; '.join(f'{label} {value[0]:g}' for label, value in zip(labels, values, strict=True))
    return Drawing(title[0].upper() + title[1:], told, _svg(draw, 1 + 0.3 * len(labels), salt))


def _svg(draw: Callable[[Axes], None], height: float, salt: str) -> str:
    return to_svg(lambda figure: draw(figure.add_subplot()), (7.2, height), salt)


def _plain(text: str) -> str:
    return text.replace('`', '')


FIGURES: dict[str, Callable[[str], list[Drawing]]] = {
    'alignment': _alignment,
    **{f'compare_{name}': _forest for name in TASKS.values()},
    'compare_ensemble': _ensembles,
    'foundry': _foundry,
    'foundry_function': _foundry_function,
    'generate': _generate,
    'geo_alignment': _geo_alignment,
    'geo_away': _geo_away,
    'geo_climate': _geo_climate,
    'imagery': _imagery,
    'predict': _predict,
    'tasks_0.8': _tasks,
    'tasks_0.10': _tasks,
}
