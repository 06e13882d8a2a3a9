"""Cost of generating weights: time by stage, memory, and the share of the machine's GEMM rate.

    python benchmarks/generate.py                        # all architectures, three runs each
    python benchmarks/generate.py -a resnet18 --runs 1

Prompts are random weights in a file and the foundry is randomly initialised (its values do not
change its cost), so nothing is downloaded. Every case runs in a process of its own, and a plain
GEMM of the same shapes is timed before and after it: on a busy machine compare the ratios. At the
end, what bfloat16 changes in latents and weights.
"""

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gemm import flops, gemm_seconds, wait
from measure import machine, memory, peak_memory
from precision import differences
from safetensors.torch import save_file

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.sampling import KDE
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter
from torchgeo_geosane.generate import create
from torchgeo_geosane.spec import Spec

ARCHITECTURES = [
    'mobilenetv2_100',
    'resnet18',
    'resnet50',
    'vit_base_patch16_224',
    'vit_large_patch16_224',
]
FOUNDRIES = {
    'small': FoundryConfig(d_model=256, nhead=4, num_layers=4, latent_dim=64, projection_dim=0),
    'official': FoundryConfig(
        d_model=1536, nhead=16, num_layers=16, latent_dim=128, projection_dim=0
    ),
}
STAGES = {
    'read': (TokenReader, 'read'),
    'positions': (WeightAutoencoder, 'embed'),
    'encode': (WeightAutoencoder, 'encode_embedded'),
    'sample': (KDE, 'sample'),
    'decode': (WeightAutoencoder, 'decode_embedded'),
    'write': (TokenWriter, 'write'),
}
REPORT = Path(__file__).parent.parent / 'docs' / 'benchmarks' / 'generate.md'
HEADER = """# The cost of generating weights

Written by `python benchmarks/generate.py`. Foundry: d {d}, {heads} heads, {layers}+{layers} layers,
latent {latent}, randomly initialised; one prompt (random weights in a safetensors file), KDE, one
candidate; everything from the spec to the verified state dict, except the cache. Seconds are CPU
seconds (on a GPU: seconds), mean ± spread (largest minus smallest) over the runs, wall seconds in
brackets: at one thread they are longer where the machine did other work too.
*Other* is everything but the encode and decode passes, as a share of all. *GEMM* is the
share of the rate of plain matrix products of the same shapes (linear maps and attention), timed
in the same process before and after. *Added* is the largest memory (anonymous resident set)
beyond foundry and result, in MB and as a share of the result.

{machine}

"""
COLUMNS = [
    'architecture', 'precision', 'tokens', 'runs', 'CPU s (wall s)', 'encode', 'decode', 'read',
    'sample', 'write', 'positions', 'other', 'GFLOP/s, plain GEMM', 'GEMM', 'added MB',
    'of the result',
]  # fmt: skip


@contextmanager
def stage_timers(device: str) -> Iterator[dict[str, float]]:
    """CPU seconds (seconds on a GPU) by stage, while the block runs."""
    seconds: dict[str, float] = defaultdict(float)
    clock = time.process_time if device == 'cpu' else time.perf_counter
    originals = {stage: getattr(*place) for stage, place in STAGES.items()}

    def timed(stage: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            wait(device)
            start = clock()
            result = originals[stage](*args, **kwargs)
            wait(device)
            seconds[stage] += clock() - start
            return result

        return call

    for stage, (owner, name) in STAGES.items():
        setattr(owner, name, timed(stage))
    try:
        yield seconds
    finally:
        for stage, (owner, name) in STAGES.items():
            setattr(owner, name, originals[stage])


def case(spec: Spec, config: FoundryConfig, device: str) -> dict[str, Any]:
    """Generate once, measured."""
    dtype = getattr(torch, spec.precision)
    # Warm: libraries loaded, kernels chosen, the foundry's pages read.
    small = Spec('test_resnet', 'rgb', ('random',), spec.foundry, precision=spec.precision)
    create(small, [0], device=device)
    gemm = [gemm_seconds(config, 100_000, dtype, device)]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # What was freed and kept would hide what is added.
    before = memory('RssAnon')
    with peak_memory() as peak, stage_timers(device) as stages:
        cpu, wall = time.process_time(), time.perf_counter()
        generated = create(spec, [0], device=device)[0]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    gemm.append(gemm_seconds(config, 100_000, dtype, device))
    result = sum(tensor.nbytes for tensor in generated.tensors.values()) / 2**20
    numbers = sum(parameter.numel() for parameter in WeightAutoencoder(config).parameters())
    foundry = dtype.itemsize * numbers / 2**20 if device == 'cpu' else 0
    tokens = count_tokens(generated, config)
    scale = flops(config, tokens) / flops(config, 100_000)
    plain = statistics.mean(gemm) * scale
    total = cpu if device == 'cpu' else wall
    return {
        'tokens': tokens,
        'cpu': cpu,
        'wall': wall,
        'other': 1 - (stages['encode'] + stages['decode']) / total,
        'gemm_rate': flops(config, tokens) / plain / 1e9,
        'gemm_share': plain / total,
        'added': peak[0] - before - result - foundry,
        'result': result,
        **{stage: stages[stage] for stage in STAGES},
    }


def count_tokens(generated: Generated, config: FoundryConfig) -> int:
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in generated.tensors.items()
        if tensor.is_floating_point()
    }
    return len(Layout.plan(shapes, config.token_size, config.tokenisation))


def row(architecture: str, precision: str, runs: list[dict[str, Any]]) -> str:
    def mean(name: str) -> float:
        return float(statistics.mean(run[name] for run in runs))

    spread = max(run['cpu'] for run in runs) - min(run['cpu'] for run in runs)
    cells = [
        architecture,
        precision,
        f'{runs[0]["tokens"]:,}',
        str(len(runs)),
        f'{mean("cpu"):.1f} ± {spread:.1f} ({mean("wall"):.1f})',
        *(f'{mean(column):.2f}' for column in COLUMNS[5:11]),
        f'{mean("other"):.1%}',
        f'{mean("gemm_rate"):.0f}',
        f'{mean("gemm_share"):.0%}',
        f'{mean("added"):.0f}',
        f'{mean("added") / mean("result"):.2f}×',
    ]
    return '| ' + ' | '.join(cells) + ' |\n'


def repeat(command: list[str], times: int, enough: float) -> list[dict[str, Any]]:
    """Run a case several times, each in a process of its own; at least once."""
    start = time.perf_counter()
    runs: list[dict[str, Any]] = []
    while not runs or (len(runs) < times and time.perf_counter() - start < enough):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        runs.append(json.loads(done.stdout))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('-a', '--architecture', nargs='+', default=ARCHITECTURES)
    parser.add_argument('--precision', nargs='+', default=['float32', 'bfloat16'])
    parser.add_argument('--foundry', choices=list(FOUNDRIES), default='small')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--enough', type=float, default=600, metavar='SECONDS',
                        help='no further run of a case that has taken so long')  # fmt: skip
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--out', type=Path, default=REPORT)
    parser.add_argument('--case', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    config = FOUNDRIES[arguments.foundry]
    if arguments.case:
        print(json.dumps(case(Spec.parse(arguments.case), config, arguments.device)))
        return
    report = HEADER.format(
        d=config.d_model,
        heads=config.nhead,
        layers=config.num_layers,
        latent=config.latent_dim,
        machine=machine(arguments.device),
    )
    report += '| ' + ' | '.join(COLUMNS) + ' |\n' + '|---' * len(COLUMNS) + '|\n'
    with tempfile.TemporaryDirectory() as folder:
        foundry, prompt = Path(folder, 'foundry.safetensors'), Path(folder, 'prompt.safetensors')
        checkpoint.save(foundry, WeightAutoencoder(config), {})
        for architecture in arguments.architecture:
            save_file(get_architecture(architecture, 3).initialise(0), prompt)
            for precision in arguments.precision:
                prompts = (f'file:{prompt}',)
                spec = Spec(architecture, 'rgb', prompts, str(foundry), precision=precision)
                command = [sys.executable, __file__, '--case', spec.url]
                command += ['--foundry', arguments.foundry, '--device', arguments.device]
                runs = repeat(command, arguments.runs, arguments.enough)
                report += row(architecture, precision, runs)
                print(report.splitlines()[-1], flush=True)
                # After each case, so that an interrupted benchmark leaves what it has.
                arguments.out.write_text(report)
        if len(arguments.precision) > 1:
            report += differences(str(foundry), arguments.device)
            arguments.out.write_text(report)


if __name__ == '__main__':
    main()
