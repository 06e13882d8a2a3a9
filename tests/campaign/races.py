"""Threads of several processes use one cache and one place of export at once; some are killed."""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from scene import FaultError, Scene, enter, expect, fork, wait

from torchgeo_geosane import cache
from torchgeo_geosane.collection.mapped import map_weights, open_mapped
from torchgeo_geosane.errors import CacheError, GeoSANEError
from torchgeo_geosane.export import FORMATS, export, provenance_of
from torchgeo_geosane.foundry.surroundings import isolated
from torchgeo_geosane.provenance import digest, read_weights

_SPECS = 3


def trial(
    scene: Scene, seed: int, folder: Path, processes: int = 3, threads: int = 4, steps: int = 6
) -> str:
    """Let processes with threads do random things at once.

    Args:
        scene: What is right.
        seed: Decides what is done, and who is killed; not the order in which it happens.
        folder: Of this trial alone.
        processes: How many.
        threads: In each of them.
        steps: Of each thread.

    Returns:
        What was tried.

    Raises:
        FaultError: If a result, a file or what is left is not right.
    """
    rng = random.Random(seed)
    killed = rng.random() < 0.5
    enter(folder)
    assert scene.right  # Before the fork, once for all.
    (folder / 'out').mkdir()
    reports = [folder / f'report {number}' for number in range(processes)]
    children = [
        fork(partial(_process, scene, rng.randrange(2**32), folder, threads, steps), report)
        for report in reports
    ]
    if killed:
        time.sleep(rng.uniform(0, 1))
        os.kill(children[0], signal.SIGKILL)
    faults = []
    for child, report in zip(children, reports, strict=True):
        try:
            wait(child, report)
        except FaultError as fault:
            faults.append(fault)
    if faults:
        raise faults[0]
    _check(scene, folder)
    return f'{threads} threads × {processes} processes' + (', one killed' if killed else '')


def _process(scene: Scene, seed: int, folder: Path, threads: int, steps: int) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(threads) as pool:
        seeds = range(seed, seed + threads)
        list(pool.map(partial(_thread, scene, folder=folder, steps=steps), seeds))
    expect(torch.equal(before, torch.get_rng_state()), 'the global random state was changed')


def _thread(scene: Scene, seed: int, folder: Path, steps: int) -> None:
    rng = random.Random(seed)
    for _ in range(steps):
        rng.choices([_generate, _export, _copy, _clear, _look], [6, 3, 1, 1, 1])[0](
            scene, rng, folder
        )


def _generate(scene: Scene, rng: random.Random, folder: Path) -> None:
    scene.check_generate(rng.randrange(_SPECS))


def _export(scene: Scene, rng: random.Random, folder: Path) -> None:
    form = rng.choice(list(FORMATS))
    made = scene.made[rng.randrange(_SPECS)]
    path = folder / 'out' / f'{form}{FORMATS[form].suffix}'
    export(made, path, form)
    if form == 'safetensors':
        _check_file(scene, path)


def _check_file(scene: Scene, path: Path) -> None:
    try:
        tensors = read_weights(path)[0]
    except CacheError as error:  # Another writer has replaced it: that is told, not mixed.
        expect('has changed' in str(error), str(error))
    else:
        expect(digest(tensors) in scene.right, 'an exported file of nobody')


def _copy(scene: Scene, rng: random.Random, folder: Path) -> None:
    try:
        values = open_mapped(map_weights(scene.model, scene.model_hash)).read('layer7.weight')
    except GeoSANEError as error:  # Another thread has cleared the cache: that is told.
        expect('has changed' in str(error) or 'no such file' in str(error), str(error))
    else:
        expect(bool((values == 7).all()), 'other values in a copy')


def _clear(scene: Scene, rng: random.Random, folder: Path) -> None:
    cache.clear()


def _look(scene: Scene, rng: random.Random, folder: Path) -> None:
    cache.entries()


@isolated
def _check(scene: Scene, folder: Path) -> None:
    """Look at what is left when all have ended."""
    for seed in range(_SPECS):
        scene.check_generate(seed)
    for path in cache.directory().glob('*.damaged'):
        raise FaultError(f'a file was found damaged: {path.name}')
    for form, known in FORMATS.items():
        path = folder / 'out' / f'{form}{known.suffix}'
        if path.exists():
            key = provenance_of(path).key
            expect(key in {made.provenance.key for made in scene.made}, 'an export of nobody')
        export(scene.made[0], path, form)
    left = {path.name for path in (folder / 'out').iterdir()}
    wanted = {f'{form}{known.suffix}' for form, known in FORMATS.items()}
    expect(left == wanted, f'left beside the exports: {left - wanted}')
    cache.clear()
    files = [path.name for path in cache.directory().rglob('*') if not path.is_dir()]
    expect(not files, f'left after clear: {files}')
