"""The report of the zoo: figures first, tables below, the verdict in a few sentences."""

import csv
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from measure import machine
from zoo_material import TOKEN, Plan

Rows = Sequence[dict[str, str]]
_CODES = ('linear, all tokens alike', 'linear, by place', 'foundry')
_RATE = '0.001'
_AIM_MEAN, _AIM_DRAWN, _AIM_R2 = 0.69, 0.5, 0.9


def write(out: Path, codes: Rows, few: Rows, told: Rows, plans: Sequence[Plan]) -> None:
    """Write ``zoo.md``, ``zoo_codes.png``, ``zoo_few_labels.png`` and the tables into a folder."""
    for name, rows in (('codes', codes), ('few_labels', few), ('properties', told)):
        with (out / f'zoo_{name}.csv').open('w', newline='') as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    first = [row for row in codes if row['architecture'] == plans[0].architecture]
    draw_codes(first, out / 'zoo_codes.png')
    by_network = {
        plan.architecture: [row for row in few if row['architecture'] == plan.architecture]
        for plan in plans
    }
    few_of_first = by_network[plans[0].architecture]
    draw_few_labels(few_of_first, out / 'zoo_few_labels.png')
    parts = [
        '![Codes of the zoo](benchmarks/zoo_codes.png)\n\n'
        '![Few labels](benchmarks/zoo_few_labels.png)',
        verdict(first, few_of_first, told),
        f'{machine()} {_made(plans)} Regenerate: `python benchmarks/zoo.py`.',
        'Test networks through a code, means over trainings with 95 % intervals (bootstrap):',
        _code_table(codes),
        f'Few labels ({few[0]["seeds"]} paired seeds, balanced accuracy of four classes):',
        *(f'`{name}`:\n\n{_few_table(rows)}' for name, rows in by_network.items()),
        'Told of test trainings at every checkpoint:',
        _told_table(told),
    ]
    (out / 'zoo.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')


def verdict(codes: Rows, few: Rows, told: Rows) -> str:
    """What was aimed at, and what was found; at most five sentences."""
    of = {(r['code'], r['latent'], r['aligned']): r for r in codes}
    sizes = sorted({r['latent'] for r in codes if r['code'] == 'foundry'}, key=int)
    better = [
        (
            float(of['foundry', size, 'True']['error'])
            < float(of['linear, by place', size, 'True']['error']),
            float(of['foundry', size, 'True']['accuracy'])
            > float(of['linear, by place', size, 'True']['accuracy']),
        )
        for size in sizes
    ]
    last = sizes[-1]
    mean, drawn = (
        of['mean of finished latents', last, 'True'],
        of['drawn, spread 0.25', last, 'True'],
    )
    ten = {r['start']: r for r in few if (r['rate'], r['step']) == ('best', '10')}
    best = max(ten.values(), key=lambda row: float(row['mean']))
    average = ten['average of finished latents']
    r2 = max((r for r in told if r['what'] == 'accuracy'), key=lambda row: float(row['r2']))
    originals = of['original', '', 'True']['accuracy']
    smaller, higher = (sum(each[i] for each in better) for i in (0, 1))
    return ' '.join(
        [
            f'The foundry has a smaller error than the linear code by place at {smaller} of {len(sizes)} '
            f'sizes, and a higher accuracy at {higher}: it starts as that code, and what ships is the best '
            'on held-out trainings of what it became.',
            f'The decoded average of the latents of finished networks ({last} of {TOKEN} numbers) has an '
            f'accuracy of {mean["accuracy"]} without finetuning, the networks themselves {originals} (aim: '
            f'at least {_AIM_MEAN}).',
            f'Networks drawn without a prompt, at a quarter of the spread, come to {drawn["accuracy"]}, the worst '
            f'to {drawn["worst"]} (aim: all above {_AIM_DRAWN}).',
            'With few labels, at the learning rate that suits each best, the best start after ten steps is: '
            f'{best["start"]}, {best["mean"]}; minus a trained member '
            f'{_interval(best, "minus_member")}. The decoded average minus a trained member: '
            f'{_interval(average, "minus_member")} (aim: above zero).',
            f'Accuracy is told from {r2["features"]} with R² {r2["r2"]} [{r2["low"]}, {r2["high"]}] (aim: '
            f'at least {_AIM_R2}).',
        ]
    )


def draw_codes(codes: Rows, path: Path) -> None:
    """Error and accuracy by size of the latent."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    colours = dict(zip(_CODES, ('tab:grey', 'tab:blue', 'tab:red'), strict=True))
    for axis, what in zip(axes, ('error', 'accuracy'), strict=True):
        for code in _CODES:
            for aligned, style in (('True', 'o-'), ('False', 'x--')):
                rows = [r for r in codes if r['code'] == code and r['aligned'] == aligned]
                if not rows:
                    continue
                values = [[float(r[what + end]) for r in rows] for end in ('', '_low', '_high')]
                axis.errorbar(
                    [int(r['latent']) for r in rows],
                    values[0],
                    [
                        [m - low for m, low in zip(values[0], values[1], strict=True)],
                        [high - m for m, high in zip(values[0], values[2], strict=True)],
                    ],
                    fmt=style,
                    color=colours[code],
                    capsize=2,
                    label=f'{code}{"" if aligned == "True" else ", unaligned"}',
                )
        axis.set(xlabel=f'numbers kept of {TOKEN}', ylabel=what)
    lines = {
        'original': 'black',
        'mean of finished weights': 'tab:olive',
        'mean of finished latents': 'tab:green',
    }
    for code, colour in lines.items():
        rows = [r for r in codes if r['code'] == code and r['aligned'] == 'True']
        axes[1].axhline(float(rows[-1]['accuracy']), color=colour, linewidth=1, label=code)
    axes[1].legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_few_labels(few: Rows, path: Path) -> None:
    """Differences to the trained member after every number of steps, as a forest plot."""
    few = [row for row in few if row['rate'] == 'best']
    steps = sorted({row['step'] for row in few}, key=int)
    starts = [row['start'] for row in few if row['step'] == steps[0]]
    starts = [start for start in starts if start not in ('trained member', 'scratch')]
    figure, axes = plt.subplots(1, len(steps), figsize=(10, 4.2), sharey=True, layout='constrained')
    for axis, step in zip(axes, steps, strict=True):
        rows = {row['start']: row for row in few if row['step'] == step}
        for place, start in enumerate(reversed(starts)):
            row = rows[start]
            low, high = (float(row[f'minus_member_{end}']) for end in ('low', 'high'))
            axis.plot([low, high], [place, place], color='tab:blue')
            axis.plot(float(row['minus_member']), place, 'o', color='tab:blue', markersize=4)
        axis.axvline(0, color='black', linewidth=0.8)
        member = float(rows['trained member']['mean'])
        axis.set(title=f'after {step} steps', xlabel=f'minus a trained member ({member:.3f})')
    axes[0].set_yticks(range(len(starts)), list(reversed(starts)))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _made(plans: Sequence[Plan]) -> str:
    said = ' and '.join(
        f'{plan.trainings} trainings of `{plan.architecture}` ({plan.test} of them for the test)'
        for plan in plans
    )
    steps = ', '.join(map(str, plans[0].checkpoints))
    return f'{said}, kept after {steps} steps; accuracy on 2,000 patches of the unseen east.'


def _code_table(codes: Rows) -> str:
    rows = [
        [
            f'`{r["architecture"]}`',
            'yes' if r['aligned'] == 'True' else 'no',
            r['code'],
            r['latent'],
            _interval(r, 'error'),
            _interval(r, 'accuracy'),
            r['worst'],
        ]
        for r in codes
    ]
    return _table(
        ['network', 'aligned', 'code', 'latent', 'error', 'accuracy', 'worst network'], rows
    )


def _few_table(few: Rows) -> str:
    """Balanced accuracy at one learning rate, and at the best of three for every start."""
    starts = list(dict.fromkeys(row['start'] for row in few))
    cells = {(row['start'], row['rate'], row['step']): row for row in few}
    shown = [('best', '0'), *((rate, step) for rate in (_RATE, 'best') for step in ('10', '50'))]
    rows = [
        [start, *(_range(cells[start, rate, step]) for rate, step in shown)] for start in starts
    ]
    header = ['0 steps', *(f'{step} steps, rate {rate}' for rate, step in shown[1:])]
    return _table(['start', *header], rows)


def _range(row: dict[str, str]) -> str:
    return f'{row["mean"]} [{row["low"]}, {row["high"]}]'


def _told_table(told: Rows) -> str:
    rows = [
        [
            row['what'],
            row['features'],
            row['by'],
            row['r2'] + (f' [{row["low"]}, {row["high"]}]' if row['low'] else ''),
        ]
        for row in told
    ]
    return _table(['what', 'from', 'by', 'R², or share'], rows)


def _interval(row: dict[str, str], what: str) -> str:
    return f'{row[what]} [{row[f"{what}_low"]}, {row[f"{what}_high"]}]'


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
