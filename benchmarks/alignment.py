"""Which timm architectures can be aligned wholly, which partly, which not?

    python benchmarks/alignment.py --budget 3000

The groups of each are traced and proven in float64 by `find_groups`. The smallest member of every
family comes first, then all others by size, as far as the budget of seconds goes. Architectures that
`output` has are not tried again. Writes docs/benchmarks/alignment.md.
"""

import argparse
import json
import math
import multiprocessing
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
PATIENCE = 150

Result = dict[str, Any]


def try_architecture(name: str) -> Result:
    """What moves in an architecture, what does not and why, and how long that took to find."""
    started = time.process_time()
    groups = find_groups(name)
    seconds = time.process_time() - started
    shapes = {key: spec.shape for key, spec in get_architecture(name).shapes.items()}
    matrices = {key: math.prod(shape) for key, shape in shapes.items() if len(shape) > 1}
    moving = sum(size for key, size in matrices.items() if groups.touch(key))
    return {
        'seconds': round(seconds, 1),
        'groups': len(groups.groups),
        'units': groups.count,
        'share': moving / max(sum(matrices.values()), 1),
        'left_out': dict(groups.left_out),
    }


def try_apart(name: str) -> Result:
    """The same in a process of its own, which is ended if it takes too long."""
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe()
    process = context.Process(target=lambda: theirs.send(try_architecture(name)))
    process.start()
    theirs.close()
    failed: Result = {'seconds': PATIENCE, 'groups': 0, 'units': 0, 'share': 0.0}
    try:
        if ours.poll(4 * PATIENCE):
            return ours.recv()
        return failed | {'left_out': {'': 'it takes too long'}}
    except EOFError:
        return failed | {'left_out': {'': 'its process died'}}
    finally:
        process.kill()
        process.join()


def sizes(path: Path) -> dict[str, int]:
    """The number of values of every architecture; 0 where it cannot be built headless."""
    known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    for name in list_architectures():
        if name not in known:
            try:
                shapes = get_architecture(name).shapes.values()
                known[name] = sum(math.prod(spec.shape) for spec in shapes)
            except ArchitectureError:
                known[name] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known))
    return known


def families(known: dict[str, int]) -> dict[str, list[str]]:
    """The architectures of each of timm's modules, by size; those for tests of timm come last."""
    found = {}
    for module in timm.list_modules():
        members = [name for name in timm.list_models(module=module) if known.get(name)]
        ordered = sorted(members, key=lambda name: (name.startswith('test_'), known[name], name))
        if ordered:
            found[module] = ordered
    return found


def verdict(result: Result) -> str:
    """Whether an architecture aligns wholly, partly or not."""
    if not result['groups']:
        return 'not'
    return 'partly' if result['left_out'] or result['share'] < 0.95 else 'wholly'


def reason(result: Result) -> str:
    """Why not wholly, in a cell of a table."""
    left_out = result['left_out']
    if '' in left_out:
        return ' '.join(left_out[''].split())[:110].replace('|', '\\|').replace('\\|', '/')
    names = ', '.join(f'`{name}`' for name in list(left_out)[:2])
    more = f' and {len(left_out) - 2} more' if len(left_out) > 2 else ''
    why = '; '.join(dict.fromkeys(left_out.values()))
    return f'{names}{more}: {why}' if left_out else ''


def table(found: dict[str, Result], known: dict[str, int]) -> str:
    """The page."""
    tried = [(family, name) for family, names in families(known).items() for name in names[:1]]
    tried = [(family, name) for family, name in tried if name in found]
    rows = [
        f'| {family} | `{name}` | {known[name] / 1e6:.1f} | {verdict(found[name])} | '
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
        f'{machine()} timm {timm.__version__}. Of {len(tried)} families the smallest member: '
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
    parser.add_argument('--output', type=Path, default=ROOT / 'output' / 'alignment.json')
    parser.add_argument('--again', nargs='*', default=[], help='reasons that are tried again')
    options = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    started = time.monotonic()
    known = sizes(options.output.with_name('sizes.json'))
    found = json.loads(options.output.read_text()) if options.output.exists() else {}
    for name, result in list(found.items()):
        texts = [*result['left_out'], *result['left_out'].values()]
        if any(part in text for part in options.again for text in texts):
            del found[name]
    own = families(known)
    first = [names[0] for names in own.values()]
    rest = sorted((name for names in own.values() for name in names[1:]), key=known.__getitem__)
    for name in (*first, *rest):
        if time.monotonic() - started > options.budget:
            break
        if name not in found and known[name] <= LARGEST:
            found[name] = try_apart(name)
            options.output.write_text(json.dumps(found))
            print(
                name, verdict(found[name]), found[name]['seconds'], reason(found[name]), flush=True
            )
    OUT.write_text(table(found, known))


if __name__ == '__main__':
    main()
