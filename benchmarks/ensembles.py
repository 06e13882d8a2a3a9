"""Which of timm's architectures can be a member of an ensemble? Built and run on the meta device.

    python benchmarks/ensembles.py

Each architecture beside a ResNet-18, as a feature extractor: one of each of timm's families first, then the
others. Architectures that `output` has are not tried again; `--minutes` stops in time, and what was not
tried is said. All take some six minutes of one core. Writes docs/benchmarks/ensembles.md.
"""

import argparse
import json
import time
import warnings
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import timm
import torch
from measure import machine
from torch import Tensor
from torch.overrides import TorchFunctionMode

from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.models import FeatureEnsemble, Member

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks' / 'ensembles.md'


class SkipInitialisation(TorchFunctionMode):
    """Leaves out what fills tensors: on the meta device it changes nothing, and takes most of the time."""

    skipped = frozenset(
        {
            *(Tensor.normal_, Tensor.uniform_, Tensor.erfinv_, Tensor.mul_, Tensor.add_),
            *(Tensor.clamp_, Tensor.fill_, Tensor.zero_),
        }
    )

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return args[0] if func in self.skipped else func(*args, **(kwargs or {}))


def try_architecture(name: str) -> str:
    """``runs``, or why it does not; what reads values back is run with real ones."""
    found = try_on('meta', name)
    return try_on('cpu', name) if 'meta tensors' in found else found


def try_on(device: str, name: str) -> str:
    """The same on one device."""
    with torch.device(device):
        try:
            with SkipInitialisation() if device == 'meta' else nullcontext():
                model = timm.create_model(name, features_only=True)
        except (RuntimeError, TypeError, AttributeError, AssertionError, NotImplementedError) as e:
            return f'timm extracts no features: {type(e).__name__}'
        size = timm.get_pretrained_cfg(name)
        side = size.input_size[-1] if size else 224
        other = timm.create_model('resnet18', features_only=True)
        try:
            members = [Member('beside', other, (0, 1, 2)), Member(name, model, (0, 1, 2))]
            ensemble = FeatureEnsemble(members).eval()
        except ArchitectureError as error:
            return f'no ensemble: {error}'
        with torch.no_grad():
            try:
                found = ensemble(torch.zeros(1, 3, side, side))
            except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError) as error:
                return f'does not run: {str(error).splitlines()[0][:60]}'
    wanted = ensemble.feature_info.channels()
    return 'runs' if [level.shape[1] for level in found] == wanted else 'other channels than said'


def main() -> None:
    """Try what has not been tried, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--output', type=Path, default=ROOT / 'output' / 'ensembles.json')
    parser.add_argument('--minutes', type=float, default=60)
    options = parser.parse_args()
    warnings.simplefilter('ignore')
    found = json.loads(options.output.read_text()) if options.output.exists() else {}
    end = time.monotonic() + 60 * options.minutes
    names = [name for name in timm.list_models() if not name.startswith('geosane_')]
    for name in families_first(names, found):
        if name not in found and time.monotonic() < end:
            found[name] = try_architecture(name)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(found))
    text = report(names, found)
    OUT.write_text(text)
    print(text)


def family_of(name: str) -> str:
    """Timm's module of an architecture."""
    return timm.models.model_entrypoint(name).__module__.rpartition('.')[2]


def families_first(names: list[str], found: dict[str, str]) -> list[str]:
    """One of each family that has none yet, then the others."""
    known = {family_of(name) for name in found}
    firsts: dict[str, str] = {}
    for name in names:
        if family_of(name) not in known:
            firsts.setdefault(family_of(name), name)
    return [*firsts.values(), *names]


def report(names: list[str], found: dict[str, str]) -> str:
    """The table, and what does not run."""
    tried = [name for name in names if name in found]
    families = {family_of(name) for name in names}
    counts = Counter(found[name].partition(':')[0] for name in tried)
    rows = '\n'.join(f'| {result} | {count} |' for result, count in counts.most_common())
    text = (
        f'{machine()} Regenerate: `python benchmarks/ensembles.py`.\n\n'
        f'{len(tried)} of the {len(names)} architectures of timm {timm.__version__}, of '
        f'{len({family_of(name) for name in tried})} of its {len(families)} families, each beside a ResNet-18, '
        'on the meta device; what reads values back, on the CPU.\n\n'
        f'| result | architectures |\n|---|---|\n{rows}\n'
    )
    others = [name for name in tried if found[name] != 'runs']
    if others:
        text += '\n' + '\n'.join(f'- `{name}`: {found[name]}' for name in others[:20]) + '\n'
    return text


if __name__ == '__main__':
    main()
