"""Which of timm's architectures can be asked for by name: all are tried, the small ones generated.

    python benchmarks/architectures.py

Every architecture is built on the meta device, for 13 bands and with a new head, and tensors of the
generated weights' shapes go through the whole way into the model. Of every family, a module of
timm, the smallest architecture is then really generated around random weights, by the embedded
foundry, smallest first; what the model holds is compared with what was generated.
"""

import argparse
import os
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

# Whoever asks the Hub for something is told no at once.
os.environ['HF_HUB_OFFLINE'] = '1'

import timm
import torch

from torchgeo_geosane import cache
from torchgeo_geosane.architectures import get_architecture, list_architectures
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers import timm as door
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.spec import Spec

SENSOR = 'sentinel2_all'
REPORT = Path(__file__).parent.parent / 'docs' / 'benchmarks' / 'architectures.md'


@dataclass(frozen=True)
class Trial:
    """What became of one architecture; no ``problem`` if its name works."""

    architecture: str
    family: str
    parameters: int = 0
    problem: str = ''


def try_on_meta(architecture: str) -> Trial:
    """Build an architecture by the way that generated weights take, without memory."""
    family = timm.model_entrypoint(architecture).__module__.rpartition('.')[2]
    spec = Spec(architecture, SENSOR, ('random',))
    try:
        assert get_architecture(architecture).stems
        with torch.random.fork_rng(devices=[]), torch.device('meta'):
            wanted = get_architecture(architecture, spec.target.in_chans).shapes
            tensors = {name: torch.empty(t.shape, dtype=t.dtype) for name, t in wanted.items()}
            door.build(spec, tensors, num_classes=7)
    except Exception as error:  # Whatever timm raises is a finding.
        reason = str(error) if isinstance(error, GeoSANEError) else f'timm: {error}'
        return Trial(architecture, family, problem=reason.splitlines()[0])
    return Trial(architecture, family, sum(torch.Size(t.shape).numel() for t in wanted.values()))


def really_generate(trial: Trial) -> tuple[float, str]:
    """Generate weights and build the model by its name.

    Returns:
        CPU seconds, and the coverage in words.
    """
    spec = Spec(trial.architecture, SENSOR, ('random',), precision='bfloat16')
    start = time.process_time()
    generated = generate(spec)
    seconds = time.process_time() - start
    model = timm.create_model(timm_name(spec), pretrained=True, num_classes=7)
    loaded = model.state_dict()
    for name, tensor in generated.tensors.items():
        if not torch.equal(loaded[name], tensor):
            raise SystemExit(f'{trial.architecture}: {name} is not the generated tensor')
    counts = generated.provenance.counts()
    return seconds, ', '.join(f'{count} {kind}' for kind, count in counts.items())


def smallest_of_each_family(trials: list[Trial]) -> list[Trial]:
    families = defaultdict(list)
    for trial in trials:
        if not trial.problem:
            families[trial.family].append(trial)
    smallest = [min(family, key=lambda trial: trial.parameters) for family in families.values()]
    return sorted(smallest, key=lambda trial: trial.parameters)


def report(trials: list[Trial], rows: list[tuple[Trial, float, str]]) -> str:
    works = [trial for trial in trials if not trial.problem]
    reasons = defaultdict(list)
    for trial in trials:
        if trial.problem:
            reasons[trial.problem.replace(trial.architecture, '…')].append(trial.architecture)
    lines = [
        '# Architectures that can be asked for',
        '',
        'Written by `python benchmarks/architectures.py`, with timm '
        f'{timm.__version__} and torch {torch.__version__}, {time.strftime("%Y-%m-%d")}.',
        '',
        f'Of timm’s {len(trials)} architectures, **{len(works)}** build and load by the name '
        f'`geosane_<architecture>.{SENSOR}` (13 bands, a new head of 7 classes; meta device). '
        f'The others:',
        '',
        '| architectures | why not |',
        '|---|---|',
        *(
            f'| {len(names)}: {", ".join(names[:4])}{", …" * (len(names) > 4)} | {reason} |'
            for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1]))
        ),
        '',
        f'Really generated, one architecture each of {len(rows)} of timm’s '
        f'{len({trial.family for trial in works})} families: embedded foundry, bfloat16, random '
        'prompt; every tensor that the built model holds is the generated one, bit for bit.',
        '',
        '| family | architecture | numbers | CPU s | coverage (tensors) |',
        '|---|---|---|---|---|',
        *(
            f'| {trial.family} | {trial.architecture} | {trial.parameters / 1e6:.1f} M '
            f'| {seconds:.1f} | {coverage} |'
            for trial, seconds, coverage in rows
        ),
    ]
    return '\n'.join(lines) + '\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--families', type=int, default=50, help='how many to really generate')
    parser.add_argument('--out', type=Path, default=REPORT)
    arguments = parser.parse_args()
    warnings.simplefilter('ignore')
    trials = []
    for architecture in list_architectures():
        trials.append(try_on_meta(architecture))
        if trials[-1].problem:
            print(f'{architecture}: {trials[-1].problem}', flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ[cache.ENVIRONMENT] = folder
        for trial in smallest_of_each_family(trials)[: arguments.families]:
            rows.append((trial, *really_generate(trial)))
            print(trial.family, *rows[-1][1:], flush=True)
            cache.clear()
    arguments.out.write_text(report(trials, rows))


if __name__ == '__main__':
    main()
