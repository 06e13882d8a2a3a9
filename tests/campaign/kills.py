"""Processes are killed while they write; what they leave behind must be whole, and found."""

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from scene import Scene, enter, expect, fork, wait

from torchgeo_geosane import cache
from torchgeo_geosane.collection.mapped import map_weights, open_mapped
from torchgeo_geosane.export import FORMATS, export, provenance_of
from torchgeo_geosane.foundry.pickles import read_pickle
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import read_weights
from torchgeo_geosane.training.checkpoints import AtomicCheckpoints

# What Python tells of before it asks the system for it.
_EVENTS = {
    'open',
    'os.mkdir',
    'os.rename',
    'os.remove',
    'os.rmdir',
    'os.chmod',
    'os.scandir',
    'os.listdir',
    'shutil.rmtree',
    'fcntl.flock',
}
_BYTES = 1_700_000  # No file of the trials has more.


@dataclass(frozen=True)
class Action:
    """What is killed.

    Attributes:
        prepare: Done before, in peace.
        act: Done until the kill.
        check: Raises a fault if what is there then is not right.
    """

    prepare: Callable[[Scene, Path], None]
    act: Callable[[Scene, Path], None]
    check: Callable[[Scene, Path], None]


def trial(scene: Scene, seed: int, folder: Path) -> str:
    """Kill one process in one way, and look at what it has left.

    Returns:
        What was killed, and how.

    Raises:
        FaultError: If something is not right.
    """
    rng = random.Random(seed)
    name, how = rng.choice(list(ACTIONS)), rng.choice(list(_KILLERS))
    action = ACTIONS[name]
    enter(folder)
    assert scene.right  # Before the fork, once for all.
    action.prepare(scene, folder)
    child = fork(partial(_die, _KILLERS[how](rng), action, scene, folder), folder / 'report')
    if how == 'after a while':
        time.sleep(rng.uniform(0, 0.12))
        os.kill(child, signal.SIGKILL)
    wait(child, folder / 'report')
    action.check(scene, folder)
    return f'{name}, killed {how}'


def _die(arm: Callable[[], None], action: Action, scene: Scene, folder: Path) -> None:
    arm()
    action.act(scene, folder)


def _before_an_operation(rng: random.Random) -> Callable[[], None]:
    left = [rng.randint(1, 40)]

    def count(event: str, arguments: object) -> None:
        if event in _EVENTS:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.addaudithook(count)


def _half_way_through_a_file(rng: random.Random) -> Callable[[], None]:
    size = rng.randint(1, _BYTES)

    def arm() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return arm


def _from_outside(rng: random.Random) -> Callable[[], None]:
    return lambda: None


_KILLERS: Mapping[str, Callable[[random.Random], Callable[[], None]]] = {
    'before an operation': _before_an_operation,
    'half way through a file': _half_way_through_a_file,
    'after a while': _from_outside,
}


# What is killed.


def _nothing(scene: Scene, folder: Path) -> None:
    pass


def _generate(scene: Scene, folder: Path) -> None:
    generate(scene.spec(0))


def _clear(scene: Scene, folder: Path) -> None:
    cache.clear()


def _check_cache(scene: Scene, folder: Path) -> None:
    for entry in cache.entries():
        read_weights(entry.path)
    scene.check_generate(0)
    scene.check_generate(1)
    names = [path.name for path in cache.directory().iterdir() if path.suffix != '.lock']
    expect(len(names) == 2 and '.torchgeo-geosane' not in names, f'left in the cache: {names}')
    cache.clear()
    left = [path.name for path in cache.directory().iterdir()]
    expect(not left, f'left after clear: {left}')


def _path(form: str, folder: Path) -> Path:
    return folder / 'out' / f'w{FORMATS[form].suffix}'


def _export(made: int, form: str, scene: Scene, folder: Path) -> None:
    export(scene.made[made], _path(form, folder), form)


def _check_export(form: str, scene: Scene, folder: Path) -> None:
    path = _path(form, folder)
    expect(path.exists(), 'the old version is gone, the new one is not there')
    found = provenance_of(path)
    made = next((one for one in scene.made[:2] if one.provenance.key == found.key), None)
    expect(made is not None, 'what is there is neither the old version nor the new one')
    if made is not None:
        before = {p.name: p.read_bytes() for p in (path.rglob('*') if path.is_dir() else [path])}
        export(made, path, form)
        after = {p.name: p.read_bytes() for p in (path.rglob('*') if path.is_dir() else [path])}
        expect(before == after, 'what is there is not whole')
    left = [p.name for p in path.parent.iterdir()]
    expect(left == [path.name], f'left beside it: {left}')


def _copy(scene: Scene, folder: Path) -> None:
    map_weights(scene.model, scene.model_hash)


def _check_copy(scene: Scene, folder: Path) -> None:
    source = open_mapped(map_weights(scene.model, scene.model_hash))
    expect(source.names() == [f'layer{n}.weight' for n in range(30)], 'other tensors in a copy')
    for number, name in enumerate(source.names()):
        expect(bool((source.read(name) == number).all()), 'other values in a copy')
    cache.clear()
    left = [path.name for path in (cache.directory() / 'collection').iterdir()]
    expect(not left, f'left after clear: {left}')


def _checkpoint(number: int, scene: Scene, folder: Path) -> None:
    content = {'step': number, 'weights': torch.full((500, 500), float(number))}
    AtomicCheckpoints().save_checkpoint(content, folder / 'run' / 'checkpoint.ckpt')


def _check_checkpoint(scene: Scene, folder: Path) -> None:
    path = folder / 'run' / 'checkpoint.ckpt'
    content = torch.load(path, weights_only=True)
    expect(bool((content['weights'] == content['step']).all()), 'half a checkpoint')
    expect(isinstance(read_pickle(path), dict), 'a checkpoint that cannot be read')
    _checkpoint(3, scene, folder)
    left = [p.name for p in path.parent.iterdir()]
    expect(left == [path.name], f'left beside it: {left}')


ACTIONS: Mapping[str, Action] = {
    'generating': Action(_nothing, _generate, _check_cache),
    'reading the cache': Action(_generate, _generate, _check_cache),
    'clearing the cache': Action(_generate, _clear, _check_cache),
    **{
        f'exporting {form}': Action(
            partial(_export, 0, form), partial(_export, 1, form), partial(_check_export, form)
        )
        for form in FORMATS
    },
    'copying a model': Action(_nothing, _copy, _check_copy),
    'writing a checkpoint': Action(
        partial(_checkpoint, 1), partial(_checkpoint, 2), _check_checkpoint
    ),
}
