"""A zoo of tiny networks on the Landsat-7 scene: what a foundry learns from it, and what that is worth.

    python benchmarks/zoo.py
    python benchmarks/zoo.py --small

Trains the networks, collects and aligns them, trains foundries, and measures: codes at several sizes,
networks drawn without a prompt, few labels on unseen ground, properties told from latents. What is
there already is not made again; all of it takes some seven minutes of one core. Writes
docs/benchmarks/zoo.md, its figures and tables.
"""

import argparse
import csv
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import zoo_codes
import zoo_few_labels
import zoo_properties
import zoo_report
from zoo_codes import Coded
from zoo_material import (
    SMALL,
    LoadedFoundry,
    Material,
    Plan,
    collect_zoo,
    foundry_config,
    make_zoo,
    read_material,
)
from zoo_properties import Told

from torchgeo_geosane.compare.statistics import Mean
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.known import FunctionKept
from torchgeo_geosane.training import CollectionConfig, OptimisationConfig, train_foundry

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks'
PLANS = (Plan('zoo_cnn', 448, 64), Plan('zoo_cnn_bn', 160, 32))
LATENTS = (4, 8, 12)
T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class Zoo:
    """A zoo that has been made, in a folder.

    Attributes:
        folder: The folder.
        plan: What was made.
        aligned: Its tokens, every network in one order.
        unaligned: Its tokens as they are.
    """

    folder: Path
    plan: Plan
    aligned: Material
    unaligned: Material


def prepare(folder: Path, plan: Plan) -> Zoo:
    """Train, collect, align and read a zoo."""
    members = make_zoo(folder, plan)
    read = [
        read_material(folder, members, collect_zoo(folder, plan, align)) for align in (True, False)
    ]
    return Zoo(folder, plan, *read)


def find_foundry(zoo: Zoo, latent: int, align: bool, steps: int) -> LoadedFoundry:
    """A foundry of so many numbers a token: trained, or found in the zoo's folder."""
    material = zoo.aligned if align else zoo.unaligned
    folder = zoo.folder / f'foundry_{latent}{"" if align else "_unaligned"}'
    if not (folder / 'foundry.safetensors').exists():
        options = OptimisationConfig(
            steps=steps,
            batch_size=16,
            learning_rate=5e-4,
            noise=0.2,
            gamma=0.0,
            precision='32-true',
            validations=1,
            validation_windows=1,
            keep_best=True,
            checkpoint_every=50,
        )
        train_foundry(
            foundry_config(latent, material.layout),
            CollectionConfig(
                manifest=collect_zoo(zoo.folder, zoo.plan, align),
                drawn_like=(f'*_{zoo.plan.checkpoints[-1]:04d}.safetensors',),
            ),
            options,
            folder,
            progress=False,
        )
    return LoadedFoundry(Foundry.load(str(folder)), material.layout)


def say_function(loaded: LoadedFoundry, codes: Sequence[Coded]) -> None:
    """Write into a foundry's file what its networks do: ``foundry info`` shows it."""
    by_name = {each.code: each.accuracy.mean for each in codes}
    drawn = by_name.get('drawn, spread 0.25')
    kept = FunctionKept('accuracy', by_name['original'], by_name['foundry'], drawn)
    foundry = loaded.foundry
    known = [
        dataclasses.replace(each, record=dataclasses.replace(each.record, function=kept))
        for each in foundry.known
    ]
    path = Path(foundry.name) / 'foundry.safetensors'
    finished = path.with_suffix('.new')
    checkpoint.save(finished, foundry.model, dict(foundry.info), torch.float16, known)
    finished.replace(path)


def measure_codes(zoo: Zoo, latents: Sequence[int], steps: int) -> list[tuple[bool, Coded]]:
    """All codes, of the aligned zoo and of the zoo as it is."""
    found = [(True, each) for each in zoo_codes.controls(zoo.aligned)]
    found += [
        (False, each) for each in zoo_codes.controls(zoo.unaligned) if each.code.startswith('mean')
    ]
    for align in (True, False):
        material = zoo.aligned if align else zoo.unaligned
        for latent in latents:
            found += [(align, each) for each in zoo_codes.linear_codes(material, latent)]
            if align or latent == latents[-1]:
                loaded = find_foundry(zoo, latent, align, steps)
                own = list(zoo_codes.foundry_codes(material, loaded))
                found += [(align, each) for each in own]
                if align:
                    say_function(loaded, [found[0][1], *own])
    last = find_foundry(zoo, latents[-1], True, steps)
    return [*found, (True, zoo_codes.scaled_average(zoo.aligned, last))]


def stored(path: Path, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, str]]:
    """Rows of a table: made once, and read from there."""
    if not path.exists():
        rows = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('w', newline='') as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def _code_rows(zoo: Zoo, latents: Sequence[int], steps: int) -> list[dict[str, Any]]:
    return [
        {
            'architecture': zoo.plan.architecture,
            'aligned': align,
            'code': each.code,
            'latent': each.latent or '',
            'error': round(each.error.mean, 4),
            'error_low': round(each.error.low, 4),
            'error_high': round(each.error.high, 4),
            'accuracy': round(each.accuracy.mean, 4),
            'accuracy_low': round(each.accuracy.low, 4),
            'accuracy_high': round(each.accuracy.high, 4),
            'worst': round(each.worst, 4),
        }
        for align, each in measure_codes(zoo, latents, steps)
    ]


def _few_label_rows(zoo: Zoo, loaded: LoadedFoundry, seeds: int) -> list[dict[str, Any]]:
    found = {
        start: _with_best(by_rate)
        for start, by_rate in zoo_few_labels.measure(
            zoo.aligned, zoo.unaligned, loaded, seeds
        ).items()
    }
    member = found['trained member']
    rows = []
    for start, by_rate in found.items():
        for (rate, step), values in by_rate.items():
            mean = Mean.of(values.tolist())
            better = Mean.of((values - member[rate, step]).tolist())
            rows.append(
                {
                    'architecture': zoo.plan.architecture,
                    'start': start,
                    'rate': rate,
                    'step': step,
                    'seeds': mean.count,
                    **{name: round(getattr(mean, name), 4) for name in ('mean', 'low', 'high')},
                    'minus_member': round(better.mean, 4),
                    'minus_member_low': round(better.low, 4),
                    'minus_member_high': round(better.high, 4),
                }
            )
    return rows


def _with_best(found: zoo_few_labels.Found) -> dict[tuple[float | str, int], torch.Tensor]:
    """Beside all learning rates the one that is best after so many steps, the mean over seeds told."""
    best = {
        ('best', step): max(
            (values for (_, each), values in found.items() if each == step),
            key=lambda values: values.mean().item(),
        )
        for step in zoo_few_labels.STEPS
    }
    return {**found, **best}


def _property_rows(zoo: Zoo, loaded: LoadedFoundry) -> list[dict[str, Any]]:
    found: list[Told] = zoo_properties.measure(zoo.aligned, loaded)
    near = zoo_properties.find_neighbours(zoo.aligned, loaded)
    rows = [
        {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(told).items()
        }
        for told in found
    ]
    values = dataclasses.asdict(near).items()
    return rows + [
        {'what': 'nearest is of the same training', 'features': name, 'by': '', 'r2': round(v, 4)}
        | {'low': '', 'high': ''}
        for name, v in values
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        '--small', action='store_true', help='a small zoo, in half a minute of one core; no report'
    )
    parser.add_argument('--output', type=Path, default=ROOT / 'output' / 'zoo')
    parser.add_argument('--steps', type=int, default=200, help='of training a foundry')
    parser.add_argument('--seeds', type=int, default=16, help='of the few labels')
    names = [plan.architecture for plan in PLANS]
    parser.add_argument('--networks', nargs='+', default=names, choices=names)
    options = parser.parse_args()
    wanted = tuple(plan for plan in PLANS if plan.architecture in options.networks)
    plans = (SMALL,) if options.small else wanted
    steps, seeds = (20, 4) if options.small else (options.steps, options.seeds)
    latents = LATENTS[-1:] if options.small else LATENTS
    tables = options.output / 'tables'
    # Where a table is there, nothing of its zoo is made again.
    find = functools.cache(lambda plan: prepare(options.output / plan.architecture, plan))
    codes: list[dict[str, str]] = []
    few: list[dict[str, str]] = []

    def load(plan: Plan) -> tuple[Zoo, LoadedFoundry]:
        zoo = find(plan)
        return zoo, find_foundry(zoo, latents[-1], True, steps)

    for number, plan in enumerate(plans):
        own = latents if number == 0 else latents[-1:]
        make = lambda plan=plan, own=own: _code_rows(find(plan), own, steps)  # noqa: E731
        codes += stored(tables / f'codes_{plan.architecture}.csv', make)
        make = lambda plan=plan: _few_label_rows(*load(plan), seeds)  # noqa: E731
        few += stored(tables / f'few_labels_{plan.architecture}.csv', make)
    told = stored(tables / 'properties.csv', lambda: _property_rows(*load(plans[0])))
    zoo_report.write(options.output if options.small else OUT, codes, few, told, plans)


if __name__ == '__main__':
    main()
