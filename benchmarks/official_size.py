"""What a foundry of the official size costs to run on a CPU: 909 million random weights, in a file of our own.

    python benchmarks/official_size.py

The released weights are not needed, and are not used: time and memory depend on the sizes alone. The
file is written, and each precision is measured, in a process of its own. Everything from the spec to
the verified state dict is measured, except the cache.
"""

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from measure import machine, memory, peak_memory

from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.generate import create
from torchgeo_geosane.spec import Precision, Spec

PARAMETERS = 909_138_274
TOKEN = 230
REPORT = Path(__file__).parent.parent / 'docs' / 'benchmarks' / 'official_size.md'
HEADER = """# A foundry of the official size

Written by `python benchmarks/official_size.py`. Random weights in a safetensors file of our own, {file:.2f} GB in
bfloat16; {parameters:,} parameters, as many as the released foundry has. {architecture} for `rgb` around random
weights: {tokens:,} tokens of {token}. Everything from the spec to the verified state dict, except the cache.

{machine}

| precision | most memory | largest resident set | CPU seconds (wall) | to load the foundry | for 1,000 tokens |
|---|---|---|---|---|---|
"""
ROW = """| {precision} | {peak:.2f} GB | {resident:.2f} GB | {cpu:.0f} ({wall:.0f}) | {load:.0f} | {thousand:.1f} |
"""
FOOTER = """
*Memory* is anonymous memory, which cannot be dropped; {before:.2f} GB of it are Python, torch and timm. The foundry is
in memory once, in the products' precision. The resident set counts also the pages of the mapped
file, which the system drops when it needs room. Time without the loading grows with the number of tokens, which is
a model's parameters divided by {token}.
"""


def write_foundry(path: Path) -> int:
    """Write a foundry of the official size, its weights as they are initialised; its file's size."""
    config = FoundryConfig(d_model=1536, nhead=12, num_layers=16, latent_dim=128, token_size=TOKEN)
    model = WeightAutoencoder(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS
    checkpoint.save(path, model, {'licence': 'MIT'}, torch.bfloat16)
    return path.stat().st_size


def measure(path: Path, architecture: str, precision: Precision) -> dict[str, float]:
    """Generate once: memory in GB of 10**9 bytes, times in seconds, and the number of tokens."""
    spec = Spec(architecture, 'rgb', ('random',), str(path), precision=precision)
    before, begun = memory('RssAnon'), time.process_time()
    Foundry.load(str(path), precision=getattr(torch, precision))
    load = time.process_time() - begun
    with peak_memory() as peak:
        cpu, wall = time.process_time(), time.perf_counter()
        generated = create(spec, [0])[0]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    tensors, coverage = generated.tensors, generated.provenance.coverage
    made = sum(tensors[name].numel() for name, kind in coverage.items() if kind == 'generated')
    gigabytes = 2**20 / 1e9
    return {
        'before': before * gigabytes,
        'peak': peak[0] * gigabytes,
        'resident': memory('VmHWM') * gigabytes,
        'cpu': cpu,
        'wall': wall,
        'load': load,
        'tokens': made / TOKEN,
        'thousand': (cpu - load) / (made / TOKEN / 1000),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('-a', '--architecture', default='mobilenetv3_small_100')
    parser.add_argument('--out', type=Path, default=REPORT)
    arguments = parser.parse_args()
    spawn = get_context('spawn')
    precisions: tuple[Precision, ...] = ('float32', 'bfloat16')
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as alone,
    ):
        path = Path(folder, 'foundry.safetensors')
        size = alone.submit(write_foundry, path).result()
        found = {
            precision: alone.submit(measure, path, arguments.architecture, precision).result()
            for precision in precisions
        }
    first = found['float32']
    report = HEADER.format(
        file=size / 1e9,
        parameters=PARAMETERS,
        architecture=arguments.architecture,
        tokens=round(first['tokens']),
        token=TOKEN,
        machine=machine(),
    )
    report += ''.join(ROW.format(precision=name, **values) for name, values in found.items())
    report += FOOTER.format(before=first['before'], token=TOKEN)
    arguments.out.write_text(report)
    print(report)


if __name__ == '__main__':
    main()
