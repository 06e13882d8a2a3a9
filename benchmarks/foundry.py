"""How much of a model that it has never seen does a small foundry give back?

    pip install -e ".[collection]"
    python benchmarks/foundry.py              # with the wheels of docs/collection.md, Packages

Weight tokens are almost white, so a small foundry is above all a linear code, and the best linear
code is known: the principal components of the tokens it was made from. For each model of the embedded
foundry's collection it is made from all that are no relatives of it (leave one lineage out), and
again from all models; at several widths of the latent, and for several ways to cut tokens. Errors
are ``|y - x| / |x|``. Writes docs/benchmarks/foundry.md.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import yaml
from measure import machine
from torch import Tensor

from torchgeo_geosane.collection import collect
from torchgeo_geosane.collection.order import put_in_order
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import CollectionConfig
from torchgeo_geosane.training.linear import Moments
from torchgeo_geosane.training.store import OpenedModel

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks' / 'foundry.md'
RECIPE = ROOT / 'torchgeo_geosane' / 'foundry' / 'embedded' / 'train.yaml'
WIDTHS = (64, 96, 128, 160, 192, 208, 216)


@dataclass(frozen=True)
class Row:
    """A model's errors at each width: by a code made from all others, and from all."""

    model: str
    left_out: list[float]
    included: list[float]


def main() -> None:
    foundry, collection = recipe()
    variants = {
        'the embedded foundry’s tokens: matrices, rows of one scale': foundry,
        'the same, 230 numbers a token': replace(foundry, token_size=230),
        'the official tokens: with norms and biases, rows as they are': replace(
            foundry, token_size=230, tokenisation='dense', row_scale='none'
        ),
    }
    parts = [f'{machine()} Regenerate: `python benchmarks/foundry.py`.']
    for name, config in variants.items():
        parts += [f'**{name.capitalize()}**', table(errors(config, collection), config.token_size)]
    OUT.write_text('\n\n'.join(parts) + '\n')
    print(OUT.read_text())


def recipe() -> tuple[FoundryConfig, CollectionConfig]:
    """The embedded foundry's sizes and collection."""
    values = yaml.safe_load(RECIPE.read_text())
    return FoundryConfig(**values['foundry']), CollectionConfig(**values['collection'])


def errors(foundry: FoundryConfig, collection: CollectionConfig) -> list[Row]:
    models = [
        OpenedModel.open(model, foundry, held_out=False)
        for model in put_in_order(collect(collection.sources))
    ]
    moments = [moments_of(model, foundry.token_size) for model in models]
    rows = []
    for number, model in enumerate(models):
        others = [
            moments[other]
            for other, one in enumerate(models)
            if one.entry.lineage != model.entry.lineage
        ]
        left_out = linear_errors(others, moments[number])
        rows.append(Row(model.entry.name, left_out, linear_errors(moments, moments[number])))
    return rows


def moments_of(model: OpenedModel, size: int) -> Moments:
    moments = Moments(size)
    for run in model.runs():
        moments.add(run)
    return moments


def linear_errors(made_from: Sequence[Moments], judged: Moments) -> list[float]:
    """Errors on one model of the principal components of others' tokens, at each width."""
    whole = Moments(len(judged.mean))
    for part in made_from:
        whole.merge(part)
    components = torch.linalg.eigh(whole.covariance)[1].flip(1)
    shift = judged.mean - whole.mean
    centred = judged.covariance + torch.outer(shift, shift)
    # What each component carries of the judged model's tokens; the rest is lost.
    carried: Tensor = (components * (centred @ components)).sum(0)
    lost = centred.trace() - carried.cumsum(0)
    size = (judged.covariance + torch.outer(judged.mean, judged.mean)).trace()
    return [float((lost[width - 1] / size).clamp(min=0).sqrt()) for width in WIDTHS]


def table(rows: Sequence[Row], token_size: int) -> str:
    """One row a model, one column a width: left out, and in brackets included."""
    means = [
        [statistics.mean(column) for column in zip(*parts, strict=True)]
        for parts in ([row.left_out for row in rows], [row.included for row in rows])
    ]
    lines = [
        f'| model | {" | ".join(f"{width} of {token_size}" for width in WIDTHS)} |',
        f'|---|{"---|" * len(WIDTHS)}',
    ]
    for row in (*rows, Row('mean', *means)):
        pairs = zip(row.left_out, row.included, strict=True)
        cells = ' | '.join(f'{out:.3f} ({included:.3f})' for out, included in pairs)
        lines.append(f'| {row.model} | {cells} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
