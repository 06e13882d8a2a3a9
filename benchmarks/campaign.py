"""The campaign of ``tests/campaign`` for as long as wanted: what was tried, how often, and what failed.

    python benchmarks/campaign.py --minutes 60

A fault is printed with the seed that makes it again; the exit status is 1 then. Figures: ``docs/reliability.md``.
"""

import argparse
import itertools
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))
sys.path.insert(0, str(Path(__file__).parents[1] / 'tests' / 'campaign'))

import kills
import mutations
import names
import races
from scene import Scene


def trials(scene: Scene, seed: int) -> Iterator[tuple[str, str, Counter[str]]]:
    """One round: part, what was tried, and how it went."""
    for number in range(40 * seed, 40 * (seed + 1)):
        with tempfile.TemporaryDirectory() as folder:
            yield 'kills', 'processes', _tried_once('kill', kills.trial, scene, number, folder)
    for number in range(4 * seed, 4 * (seed + 1)):
        with tempfile.TemporaryDirectory() as folder:
            yield 'races', '4 × 3', _tried_once('race', races.trial, scene, number, folder)
    with tempfile.TemporaryDirectory() as folder:
        many = partial(races.trial, processes=8, threads=8, steps=3)
        yield 'races', '8 × 8', _tried_once('race of 8 × 8', many, scene, seed, folder)
    for kind in mutations.KINDS:
        with tempfile.TemporaryDirectory() as folder:
            yield (
                'damaged files',
                kind.name,
                _tried(lambda f=folder, k=kind: mutations.trial(k, seed, Path(f), times=40)),
            )
    for use in names.USES:
        yield 'odd names', use, _tried(lambda u=use: names.trial(u, seed, times=40))


def _tried_once(
    what: str, trial: Callable[[Scene, int, Path], str], scene: Scene, seed: int, folder: str
) -> Counter[str]:
    try:
        trial(scene, seed, Path(folder))
    except AssertionError as fault:
        print(f'FAULT {what}, seed {seed}: {fault}', flush=True)
        return Counter(faults=1)
    return Counter(right=1)


def _tried(trial) -> Counter[str]:
    try:
        return Counter(trial())
    except AssertionError as fault:
        print(f'FAULT {fault}', flush=True)
        return Counter(faults=1)


def main() -> int:
    """Try until the time is over; print how often each thing was tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--seed', type=int, default=0, help='of the first round')
    chosen = parser.parse_args()
    os.environ['HF_HUB_OFFLINE'] = '1'
    logging.disable(logging.CRITICAL)
    counts: dict[tuple[str, str], Counter[str]] = {}
    end = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as built:
        scene = Scene.build(Path(built))
        os.environ['TORCHGEO_GEOSANE_CACHE'] = f'{place}/cache'
        os.chdir(place)
        for seed in itertools.count(chosen.seed):
            for part, what, outcome in trials(scene, seed):
                counts.setdefault((part, what), Counter()).update(outcome)
                if time.monotonic() > end:
                    break
            if time.monotonic() > end:
                break
        os.chdir('/')
    for (part, what), outcome in counts.items():
        print(f'{part}: {what}: ' + ', '.join(f'{n:,} {how}' for how, n in outcome.items()))
    total = sum(map(Counter.total, counts.values()))
    faults = sum(outcome['faults'] for outcome in counts.values())
    print(f'{total:,} tried, {faults} faults')
    return int(faults > 0)


if __name__ == '__main__':
    sys.exit(main())
