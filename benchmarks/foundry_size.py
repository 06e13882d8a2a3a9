"""Does a larger foundry learn more than the best linear code?

    pip install -e ".[collection]"
    python benchmarks/foundry_size.py         # with the wheels of docs/collection.md, Packages

Trains foundries of several sizes with a latent that cannot hold a token (128 of 225 numbers), where
there is something to learn: from the linear start, and from random weights; on the five models of the
third embedded foundry, and on the fourth's collection. Trainings that ``output`` has are not
repeated. Writes docs/benchmarks/foundry_size.md.
"""

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from measure import machine

from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.foundry import EMBEDDED
from torchgeo_geosane.training import CollectionConfig, OptimisationConfig, train_foundry

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks' / 'foundry_size.md'
OUTPUT = ROOT / 'output' / 'foundry_size'
LATENT = 128
RECIPES = {
    'third version': ROOT / 'benchmarks' / 'foundry_third.yaml',
    'fourth version': EMBEDDED.parent / 'train.yaml',
}
ERRORS = ('relative_error/trained', 'relative_error/held_out')


@dataclass(frozen=True)
class Size:
    """A foundry's size and how its training begins and goes on."""

    d_model: int
    num_layers: int
    learning_rate: float
    linear_start: bool = True
    steps: int = 200
    collection: str = 'third version'

    @property
    def name(self) -> str:
        """A folder's name."""
        start = 'linear' if self.linear_start else 'random'
        grown = '' if self.collection == 'third version' else '_grown'
        return f'd{self.d_model}_layers{self.num_layers}_{start}{grown}'

    @property
    def recipe(self) -> dict[str, Any]:
        """Of the foundry whose collection it is."""
        return yaml.safe_load(RECIPES[self.collection].read_text())


SIZES = (
    Size(256, 3, 5e-4),
    Size(512, 6, 2e-4),
    Size(256, 3, 5e-4, linear_start=False),
    Size(256, 1, 3e-4, steps=150, collection='fourth version'),
)


def main() -> None:
    lines = [
        '| collection | d_model | layers | parameters | start | trained: start → end | '
        'held out: start → end |',
        '|---|---|---|---|---|---|---|',
    ]
    for size in SIZES:
        recipe = size.recipe
        # Reconstruction alone: all steps go where the errors are measured.
        changed = {'steps': size.steps, 'gamma': 0.0, 'noise': 0.02, 'log_every': 25}
        changed |= {'learning_rate': size.learning_rate, 'linear_start': size.linear_start}
        foundry = FoundryConfig(
            **recipe['foundry']
            | {'d_model': size.d_model, 'num_layers': size.num_layers, 'latent_dim': LATENT}
        )
        folder = OUTPUT / size.name
        if not (folder / 'foundry.safetensors').exists():
            options = OptimisationConfig(**recipe['optimisation'] | changed)
            collection = CollectionConfig(**recipe['collection'])
            train_foundry(foundry, collection, options, folder)
        lines.append(_row(size, foundry, folder))
    bound = math.sqrt(1 - LATENT / recipe['foundry']['token_size'])
    note = (
        f'{SIZES[0].steps} steps of 4 windows (the fourth version: {SIZES[-1].steps}), latent {LATENT} of '
        f'{recipe["foundry"]["token_size"]}; of white tokens a linear code would lose {bound:.3f}.'
    )
    origin = f'{machine()} Regenerate: `python benchmarks/foundry_size.py`.'
    OUT.write_text('\n\n'.join([origin, note, '\n'.join(lines)]) + '\n')
    print(OUT.read_text())


def _row(size: Size, foundry: FoundryConfig, folder: Path) -> str:
    with (folder / 'training.csv').open() as file:
        validations = [row for row in csv.DictReader(file) if row[ERRORS[0]]]
    spans = [
        f'{float(validations[0][error]):.3f} → {float(validations[-1][error]):.3f}'
        for error in ERRORS
    ]
    model = WeightAutoencoder(replace(foundry, projection_dim=0))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    start = 'linear' if size.linear_start else 'random'
    cells = [size.collection, size.d_model, size.num_layers, f'{millions:.1f} M', start, *spans]
    return f'| {" | ".join(map(str, cells))} |'


if __name__ == '__main__':
    main()
