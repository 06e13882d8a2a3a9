"""Which timm architectures can be aligned wholly, which partly, which not?

    python benchmarks/alignment.py --budget 3000

The groups of each are traced and proven in float64 by `find_groups`. A small member of every family
comes first, then all others in an order drawn once, as far as the budget of seconds goes.
Architectures that `output` has are not tried again. Writes docs/benchmarks/alignment.md.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import re
import resource
import statistics
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import timm
import torch
from measure import machine

from torchgeo_geosane.alignment import find_groups
from torchgeo_geosane.architectures import get_architecture, list_architectures
from torchgeo_geosane.errors import ArchitectureError

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks' / 'alignment.md'
# Larger ones would take the memory of a workstation in float64.
LARGEST = 120_000_000
TOO_LARGE = 'not tried: more than 120 million values'
SMALL = (
    *('atto', 'femto', 'pico', 'nano', 'xxxs', 'xxs', 'xxt', 'xs', 'extra', 'x', 't', 'tiny'),
    *('mini', 'little', 's', 'small', 'lite0', 'b0', 'm0', 's0', 'f0', 'mi'),
)
LARGE = ('base', 'large', 'huge', 'giant', 'so400m', 'l', 'xl', 'b', 'h', 'enormous', 'gigantic')

Result = dict[str, Any]

EMPTY: Result = {'values': 0, 'seconds': 0, 'groups': 0, 'units': 0, 'share': 0.0}


def try_architecture(name: str) -> Result:
    """What moves in an architecture, what does not and why, and how long that took to find."""
    try:
        shapes = {key: spec.shape for key, spec in get_architecture(name).shapes.items()}
    except ArchitectureError as error:
        return EMPTY | {'left_out': {'': f'without a head: {error}'}}
    values = sum(map(math.prod, shapes.values()))
    if values > LARGEST:
        return EMPTY | {'values': values, 'left_out': {'': TOO_LARGE}}
    started = time.process_time()
    groups = find_groups(name)
    seconds = time.process_time() - started
    matrices = {key: math.prod(shape) for key, shape in shapes.items() if len(shape) > 1}
    moving = sum(size for key, size in matrices.items() if groups.touch(key))
    return {
        'values': values,
        'seconds': round(seconds, 1),
        'groups': len(groups.groups),
        'units': groups.count,
        'share': moving / max(sum(matrices.values()), 1),
        'left_out': dict(groups.left_out),
    }


def try_apart(name: str, patience: int) -> Result:
    """The same in a process of its own, which ends once it has used its share of the processor."""
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe()

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (patience, patience))
        theirs.send(try_architecture(name))

    process = context.Process(target=work)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        reason = f'not within {patience} s of the processor, or not in memory'
        return EMPTY | {'seconds': patience, 'left_out': {'': reason}}
    finally:
        process.join()


def families() -> dict[str, list[str]]:
    """The architectures of each of timm's modules, a small one first."""
    ours = set(list_architectures())
    found = {}
    for module in timm.list_modules():
        members = [name for name in timm.list_models(module=module) if name in ours]
        if members:
            found[module] = sorted(members, key=rank)
    return found


def rank(name: str) -> tuple[bool, bool, int, int, str]:
    """What orders architectures by size, as far as names tell; those for tests of timm come last."""
    parts = re.split(r'[_.]', name)
    small = [index for index, word in enumerate(SMALL) if word in parts]
    numbers = [int(number) for number in re.findall(r'\d+', name)]
    is_large = any(word in parts for word in LARGE)
    return (
        name.startswith('test_'),
        is_large,
        min(small, default=len(SMALL)),
        min(numbers, default=0),
        name,
    )


def is_too_large(result: Result) -> bool:
    """Whether an architecture was not tried."""
    return TOO_LARGE in result['left_out'].values()


def verdict(result: Result) -> str:
    """Whether an architecture aligns wholly, partly or not."""
    if not result['groups']:
        return 'not'
    return 'partly' if result['left_out'] or result['share'] < 0.95 else 'wholly'


def reason(result: Result) -> str:
    """Why not wholly, in a cell of a table."""
    left_out = result['left_out']
    if '' in left_out:
        return ' '.join(left_out[''].split())[:110].replace('|', '/')
    names = ', '.join(f'`{name}`' for name in list(left_out)[:2])
    more = f' and {len(left_out) - 2} more' if len(left_out) > 2 else ''
    why = '; '.join(dict.fromkeys(left_out.values()))
    return f'{names}{more}: {why}' if left_out else ''


def table(every: dict[str, Result]) -> str:
    """The page."""
    found = {name: result for name, result in every.items() if not is_too_large(result)}
    firsts = {
        family: next((name for name in names if name in found), None)
        for family, names in families().items()
    }
    tried = [(family, name) for family, name in firsts.items() if name]
    rows = [
        f'| {family} | `{name}` | {found[name]["values"] / 1e6:.1f} | {verdict(found[name])} | '
        f'{found[name]["groups"]} | {found[name]["units"]:,} | {found[name]["share"]:.0%} | '
        f'{found[name]["seconds"]} | {reason(found[name])} |'
        for family, name in tried
    ]
    counts = Counter(verdict(found[name]) for _, name in tried)
    everything = Counter(verdict(result) for result in found.values())
    seconds = statistics.median(result['seconds'] for result in found.values())
    why: dict[str, list[str]] = defaultdict(list)
    for name, result in sorted(found.items()):
        for text in dict.fromkeys(result['left_out'].values()):
            why[' '.join(text.split())[:160].replace('|', '/')].append(name)
    reasons = sorted(why.items(), key=lambda item: -len(item[1]))

    def said(counts: Counter[str]) -> str:
        return ', '.join(f'{kind} {counts[kind]}' for kind in ('wholly', 'partly', 'not'))

    return (
        f'{machine()} timm {timm.__version__}. Of {len(tried)} of its {len(firsts)} families a small member: '
        f'{said(counts)}. Of all {len(found)} architectures that were tried: {said(everything)}; '
        f'median {seconds} s of one core. Regenerate: `python benchmarks/alignment.py`.\n\n'
        '| family | architecture | M values | aligns | groups | units | weights that move | s | '
        'why not wholly |\n|---|---|---|---|---|---|---|---|---|\n' + '\n'.join(rows) + '\n\n'
        'Reasons over all that were tried:\n\n| reason | architectures | for instance |\n|---|---|---|\n'
        + '\n'.join(
            f'| {text} | {len(names)} | {", ".join(f"`{name}`" for name in names[:3])} |'
            for text, names in reasons[:25]
        )
        + '\n'
    )


def main() -> None:
    """Try what has not been tried, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--budget', type=float, default=3000, help='seconds to go on for')
    parser.add_argument('--patience', type=int, default=120, help='seconds of CPU for each')
    parser.add_argument('--output', type=Path, default=ROOT / 'output' / 'alignment.json')
    parser.add_argument('--again', nargs='*', default=[], help='reasons that are tried again')
    options = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    started = time.monotonic()
    found = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name, result in list(found.items()):
        texts = [*result['left_out'], *result['left_out'].values()]
        if any(part in text for part in options.again for text in texts):
            del found[name]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    own = families()
    first = [name for names in own.values() for name in names[:1]]
    rest = sorted(
        (name for names in own.values() for name in names[1:]),
        key=lambda name: hashlib.sha256(name.encode()).digest(),
    )
    for name in (*first, *rest):
        if time.monotonic() - started > options.budget:
            break
        if name not in found:
            found[name] = try_apart(name, options.patience)
            options.output.write_text(json.dumps(found))
            print(
                name, verdict(found[name]), found[name]['seconds'], reason(found[name]), flush=True
            )
    OUT.write_text(table(found))


if __name__ == '__main__':
    main()
