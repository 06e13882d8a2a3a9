"""Which small foundry is best to finetune from? The question that decided the third embedded one.

    pip install -e ".[collection]"
    python benchmarks/foundry_choice.py --jobs 2

Trains each variant of the embedded foundry's third version by its recipe (foundry_third.yaml), then
finetunes weights generated from it around the four packaged prompts, on the Landsat-7 scene, as
examples/compare/landsat7.yaml says. Variants are chosen on *validation* data; the comparison's test data
stay unseen. Trainings and runs that ``output`` has are not repeated. Writes docs/benchmarks/foundry_choice.md.
"""

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from measure import machine

from torchgeo_geosane.collection import UKIS_CSMASK
from torchgeo_geosane.compare.compare import compare
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.statistics import Difference, Mean
from torchgeo_geosane.compare.verdict import format_estimate
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.sampling import MeanKDE
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.training import (
    CollectionConfig,
    OpenedModel,
    OptimisationConfig,
    train_foundry,
)
from torchgeo_geosane.training.report import report

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks' / 'foundry_choice.md'
COMPARISON = ROOT / 'examples' / 'compare' / 'landsat7.yaml'
RECIPE = ROOT / 'benchmarks' / 'foundry_third.yaml'
OUTPUT = ROOT / 'output' / 'foundry_choice'
REFERENCES = ROOT / 'output' / 'compare' / 'landsat7'
RADAR_ONLY = CollectionConfig(sources=('deepdespeckling',), held_out=('deepdespeckling/stripmap',))

Values = dict[int, float]  # Validation mIoU, by seed.


@dataclass(frozen=True)
class Variant:
    """A foundry, and the noise that is drawn around its latents.

    Attributes:
        latent_dim: Numbers in a latent, of 225 in a token.
        num_layers: Layers of the encoder, and of the decoder.
        bandwidth: Standard deviation of the noise.
        radar_only: Learns from the radar models alone: the prompts are foreign to it.
    """

    latent_dim: int
    num_layers: int = 1
    bandwidth: float = 0.2
    radar_only: bool = False

    @property
    def foundry(self) -> str:
        """A folder's name; variants that differ in their noise share a foundry."""
        taught = '_radar' if self.radar_only else ''
        return f'latent{self.latent_dim}_layers{self.num_layers}{taught}'


VARIANTS = (
    Variant(128),
    Variant(208),
    Variant(225),
    Variant(225, bandwidth=0.0),
    Variant(225, bandwidth=0.4),
    Variant(208, radar_only=True),
    Variant(208, num_layers=3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='runs at once')
    parser.add_argument('--seeds', type=int, default=5)
    arguments = parser.parse_args()
    references = {}
    for name in ('prompt', 'soup'):
        comparison = replace(_comparison(arguments.seeds), initialisations=(name,))
        references[name] = _values(comparison, REFERENCES, arguments.jobs)
    rows = [
        ['the prompt `ukis:6b_l1c`', *[''] * 5, *_figures(references['prompt'], references)],
        ['average of the four prompts', *[''] * 5, *_figures(references['soup'], references)],
    ]
    for variant in VARIANTS:
        foundry = _train(variant)
        values = _finetune(variant, foundry, arguments.seeds, arguments.jobs)
        rows.append([*_description(variant, foundry), *_figures(values, references)])
    _write(rows, arguments.seeds)


def _train(variant: Variant) -> Path:
    """Train a variant by the third version's recipe, unless that is done."""
    folder = OUTPUT / variant.foundry
    path = folder / 'foundry.safetensors'
    recipe = yaml.safe_load(RECIPE.read_text())
    sizes = {'latent_dim': variant.latent_dim, 'num_layers': variant.num_layers}
    if not path.exists():
        train_foundry(
            FoundryConfig(**recipe['foundry'] | sizes),
            RADAR_ONLY if variant.radar_only else CollectionConfig(**recipe['collection']),
            OptimisationConfig(**recipe['optimisation']),
            folder,
        )
    return path


def _finetune(variant: Variant, foundry: Path, seeds: int, jobs: int) -> Values:
    comparison = _comparison(seeds)
    spec = replace(
        Spec.parse(comparison.weights),
        foundry=str(foundry),
        sampler=MeanKDE(variant.bandwidth),
    )
    comparison = replace(comparison, weights=spec.url, initialisations=('generated',))
    runs = OUTPUT / f'{variant.foundry}_bandwidth{variant.bandwidth}'
    return _values(comparison, runs, jobs)


def _comparison(seeds: int) -> ComparisonConfig:
    values = yaml.safe_load(COMPARISON.read_text())
    return ComparisonConfig(fit=values['fit'], weights=values['weights'], seeds=seeds)


def _values(comparison: ComparisonConfig, output: Path, jobs: int) -> Values:
    records = compare(comparison, output, jobs)
    return {record.seed: record.validation[-1][1] for record in records}


def _description(variant: Variant, foundry: Path) -> list[str]:
    model = Foundry.load(str(foundry))
    prompt = next(each for each in UKIS_CSMASK.models() if each.name == 'ukis-csmask/6b_l1c')
    opened = OpenedModel.open(prompt, model.config, held_out=False)
    (errors,) = report(model.model, [opened], windows=32)
    return [
        'generated' + (', foundry of radar models' if variant.radar_only else ''),
        f'{variant.latent_dim} of 225',
        str(variant.num_layers),
        f'{foundry.stat().st_size / 1e6:.1f}',
        f'{errors.reconstruction:.3f}',
        f'{variant.bandwidth}',
    ]


def _figures(values: Values, references: dict[str, Values]) -> list[str]:
    """The mean, and the differences to the references, with their 95 % intervals."""
    mean = Mean.of(list(values.values()))
    figures = [format_estimate(mean.mean, mean.low, mean.high)]
    for reference in references.values():
        mean = Difference.between(values, reference).mean
        text = format_estimate(mean.mean, mean.low, mean.high, sign=True)
        figures.append('' if values == reference else text)
    return figures


def _write(rows: list[list[str]], seeds: int) -> None:
    columns = ['weights', 'latent', 'layers', 'MB', 'error on the prompt', 'bandwidth']
    columns += ['validation mIoU', 'minus the prompt', 'minus the average']
    lines = [columns, ['---'] * len(columns), *rows]
    table = '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
    origin = f'{machine()} {seeds} paired seeds. Regenerate: `python benchmarks/foundry_choice.py`.'
    OUT.write_text(f'{origin}\n\n{table}\n')
    print(OUT.read_text())


if __name__ == '__main__':
    main()
