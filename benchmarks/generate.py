"""Cost of generating weights: time by stage, memory, and the share of the machine's GEMM rate.

    python benchmarks/generate.py                        # all architectures, three runs each
    python benchmarks/generate.py -a resnet18 --runs 1

Prompts are random weights in a file and the foundry is randomly initialised (its values do not
change its cost), so nothing is downloaded. Every case runs in a process of its own, and a plain
GEMM of the same shapes is timed before and after it: on a busy machine compare the ratios.
"""

import argparse
import ctypes
import gc
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from torchgeo_geosane.architectures import initialise
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.sampling import KDE
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter
from torchgeo_geosane.foundry.windows import plan_windows
from torchgeo_geosane.generate import create
from torchgeo_geosane.spec import Spec

ARCHITECTURES = [
    'resnet18',
    'resnet50',
    'mobilenetv2_100',
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
seconds (on a GPU: seconds), mean ± spread (largest minus smallest) over {runs} run(s), wall seconds
in brackets. *Other* is everything but the encode and decode passes, as a share of all. *GEMM* is the
share of the rate of plain matrix products of the same shapes (linear maps and attention), timed
in the same process before and after. *Added* is the largest memory (anonymous resident set)
beyond foundry and result, in MB and as a share of the result.

{machine}

"""
COLUMNS = [
    'architecture', 'precision', 'tokens', 'CPU s (wall s)', 'encode', 'decode', 'read', 'sample',
    'write', 'positions', 'other', 'GFLOP/s, plain GEMM', 'GEMM', 'added MB', 'of the result',
]  # fmt: skip


def products(config: FoundryConfig, n_tokens: int) -> list[tuple[int, int, int, int, int]]:
    """The matrix products that generating takes: (how often, batch, m, k, n)."""
    windows = plan_windows(n_tokens, config.window, config.halo)
    times, m = len(windows), windows[0].stop - windows[0].start
    d, blocks, head = config.d_model, 2 * config.num_layers * times, config.d_model // config.nhead
    return [
        (2 * times, 1, m, config.token_size, d),
        (2 * times, 1, m, d, config.latent_dim),
        (blocks, 1, m, d, 3 * d),
        (blocks, 1, m, d, d),
        (2 * blocks, 1, m, d, 4 * d),
        (blocks, config.nhead, m, head, m),
        (blocks, config.nhead, m, m, head),
    ]


def gemm_seconds(config: FoundryConfig, n_tokens: int, dtype: torch.dtype, device: str) -> float:
    """CPU seconds (seconds on a GPU) that the products alone would take at their plain rate."""
    total = 0.0
    clock = time.process_time if device == 'cpu' else time.perf_counter
    for times, batch, m, k, n in products(config, n_tokens):
        a = torch.randn(batch, m, k, dtype=dtype, device=device)
        b = torch.randn(batch, n, k, dtype=dtype, device=device)
        run: Callable[[], torch.Tensor] = (
            (lambda a=a[0], b=b[0]: F.linear(a, b))
            if batch == 1
            else (lambda a=a, b=b: torch.bmm(a, b.mT))
        )
        run()
        seconds = []
        for _ in range(8):
            _wait(device)
            start = clock()
            run()
            _wait(device)
            seconds.append(clock() - start)
        total += times * statistics.median(seconds)
    return total


def _wait(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize()


@contextmanager
def stage_timers(device: str) -> Iterator[dict[str, float]]:
    """CPU seconds (seconds on a GPU) by stage, while the block runs."""
    seconds: dict[str, float] = defaultdict(float)
    clock = time.process_time if device == 'cpu' else time.perf_counter
    originals = {stage: getattr(*place) for stage, place in STAGES.items()}

    def timed(stage: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            _wait(device)
            start = clock()
            result = originals[stage](*args, **kwargs)
            _wait(device)
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


def anonymous_memory() -> float:
    """MB of memory of this process that no file backs."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('RssAnon:'):
            return int(line.split()[1]) / 1024
    raise SystemExit('this benchmark measures memory on Linux only')


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """The largest anonymous memory while the block runs, every 5 ms; the list's only entry."""
    peak = [anonymous_memory()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous_memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def case(spec: Spec, config: FoundryConfig, device: str) -> dict[str, Any]:
    """Generate once, measured."""
    dtype = getattr(torch, spec.precision)
    # Warm: libraries loaded, kernels chosen, the foundry's pages read.
    small = Spec('test_resnet', 'rgb', ('random',), spec.foundry, precision=spec.precision)
    create(small, [0], device=device)
    gemm = [gemm_seconds(config, 100_000, dtype, device)]
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # What was freed and kept would hide what is added.
    before = anonymous_memory()
    with peak_memory() as peak, stage_timers(device) as stages:
        cpu, wall = time.process_time(), time.perf_counter()
        generated = create(spec, [0], device=device)[0]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    gemm.append(gemm_seconds(config, 100_000, dtype, device))
    result = sum(tensor.nbytes for tensor in generated.tensors.values()) / 2**20
    # In float32 the foundry stays in its file's pages; only its bfloat16 copy is memory of ours.
    numbers = sum(parameter.numel() for parameter in WeightAutoencoder(config).parameters())
    foundry = 2 * numbers / 2**20 if dtype == torch.bfloat16 and device == 'cpu' else 0
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


def flops(config: FoundryConfig, n_tokens: int) -> float:
    return sum(2.0 * t * b * m * k * n for t, b, m, k, n in products(config, n_tokens))


def count_tokens(generated: Generated, config: FoundryConfig) -> int:
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in generated.tensors.items()
        if tensor.is_floating_point()
    }
    return len(Layout.plan(shapes, config.token_size, config.tokenisation))


def row(architecture: str, precision: str, runs: list[dict[str, Any]]) -> str:
    def mean(name: str) -> float:
        return statistics.mean(run[name] for run in runs)

    spread = max(run['cpu'] for run in runs) - min(run['cpu'] for run in runs)
    cells = [
        architecture,
        precision,
        f'{runs[0]["tokens"]:,}',
        f'{mean("cpu"):.1f} ± {spread:.1f} ({mean("wall"):.1f})',
        *(f'{mean(column):.2f}' for column in COLUMNS[4:10]),
        f'{mean("other"):.1%}',
        f'{mean("gemm_rate"):.0f}',
        f'{mean("gemm_share"):.0%}',
        f'{mean("added"):.0f}',
        f'{mean("added") / mean("result"):.2f}×',
    ]
    return '| ' + ' | '.join(cells) + ' |\n'


def machine(device: str) -> str:
    processor = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith('model name')]
        processor = names[0].split(':')[1].strip() if names else processor
    threads = torch.get_num_threads()
    name = torch.cuda.get_device_name() if device != 'cpu' else f'{processor}, {threads} thread(s)'
    versions = f'Python {platform.python_version()}, torch {torch.__version__}'
    return f'Device: {name}. {versions}, {time.strftime("%Y-%m-%d")}.'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('-a', '--architecture', nargs='+', default=ARCHITECTURES)
    parser.add_argument('--precision', nargs='+', default=['float32', 'bfloat16'])
    parser.add_argument('--foundry', choices=list(FOUNDRIES), default='small')
    parser.add_argument('--runs', type=int, default=3)
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
        runs=arguments.runs,
        machine=machine(arguments.device),
    )
    report += '| ' + ' | '.join(COLUMNS) + ' |\n' + '|---' * len(COLUMNS) + '|\n'
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        foundry, prompt = Path(folder, 'foundry.safetensors'), Path(folder, 'prompt.safetensors')
        checkpoint.save(foundry, WeightAutoencoder(config), {})
        for architecture in arguments.architecture:
            save_file(initialise(architecture, 3, 0), prompt)
            for precision in arguments.precision:
                prompts = (f'file:{prompt}',)
                spec = Spec(architecture, 'rgb', prompts, str(foundry), precision=precision)
                command = [sys.executable, __file__, '--case', spec.url]
                command += ['--foundry', arguments.foundry, '--device', arguments.device]
                runs = [
                    json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                    for _ in range(arguments.runs)
                ]
                report += row(architecture, precision, runs)
                print(report.splitlines()[-1], flush=True)
                # After each case, so that an interrupted benchmark leaves what it has.
                arguments.out.write_text(report)


if __name__ == '__main__':
    main()
