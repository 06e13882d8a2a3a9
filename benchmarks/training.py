"""Cost of a training step: windows per second, and the share of the machine's GEMM rate.

    python benchmarks/training.py                        # base, as on this device
    python benchmarks/training.py -c base paper --steps 3

The foundry is randomly initialised and the windows are noise: their values do not change the cost.
A plain GEMM of the same shapes is timed before and after: on a busy machine compare the ratios.
"""

import argparse
import dataclasses
import statistics
import time
from collections import defaultdict
from pathlib import Path

import torch
from gemm import operations, product_seconds, training_products, wait
from jsonargparse import ArgumentParser
from measure import machine
from torch import Tensor

from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import FoundryTask, OptimisationConfig, train_foundry
from torchgeo_geosane.training.configs import find_config
from torchgeo_geosane.training.store import TokenBatch

REPORT = Path(__file__).parent.parent / 'docs' / 'benchmarks' / 'training.md'
HEADER = """# The cost of training a foundry

{machine} Regenerate: `python benchmarks/training.py`.

One step: two noisy views of every window of the batch
through the autoencoder, the loss, the gradient, its clipping, AdamW; reading windows is not in it.
Seconds are CPU seconds (on a GPU: seconds), mean ± spread (largest minus smallest) over the steps.
*GEMM* is the share of the rate of plain matrix products of the same shapes (linear maps and
attention, forward and backward), timed in the same process before and after. *Forward* is
everything up to the loss.

"""
COLUMNS = [
    'config', 'parameters', 'precision', 'windows', 'steps', 's a step', 'windows/s', 'tokens/s',
    'forward', 'backward', 'clip and AdamW', 'GFLOP/s, plain GEMM', 'GEMM',
]  # fmt: skip


def configuration(name: str) -> tuple[FoundryConfig, OptimisationConfig]:
    """The foundry and the optimisation of a configuration that ships."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(train_foundry)
    parser.add_argument('--config', action='config')
    stated = parser.parse_args(['--config', str(find_config(name)), '--output', '.'])
    made = parser.instantiate(stated)
    return made.foundry, made.optimisation


def noise(config: FoundryConfig, windows: int, device: str) -> TokenBatch:
    """A batch of random windows."""
    shape = (windows, config.window)
    order = torch.arange(config.window, device=device).expand(shape)
    return {
        'tokens': torch.randn(*shape, config.token_size, device=device),
        'size': torch.ones(*shape, device=device),
        'mask': torch.ones(*shape, config.token_size, dtype=torch.bool, device=device),
        'positions': torch.stack([order, order // 40, order % 40], dim=-1),
        'kinds': torch.ones(shape, dtype=torch.int64, device=device),
        'model': torch.zeros(windows, dtype=torch.int64, device=device),
    }


def step(
    task: FoundryTask, optimizer: torch.optim.Optimizer, batch: TokenBatch, number: int,
    precision: str, device: str,
) -> dict[str, float]:  # fmt: skip
    """Take a step; seconds of each stage."""
    clock = time.process_time if device == 'cpu' else time.perf_counter
    marks = [clock()]

    def mark() -> None:
        wait(device)
        marks.append(clock())

    with torch.autocast(device, torch.bfloat16, enabled=precision == 'bf16-mixed'):
        loss: Tensor = task.losses(batch, number)['loss']
    mark()
    loss.backward()
    mark()
    torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    mark()
    stages = ('forward', 'backward', 'update')
    return {name: b - a for name, a, b in zip(stages, marks, marks[1:], strict=False)}


def case(name: str, precision: str, windows: int, steps: int, device: str) -> list[str]:
    """One line of the table."""
    config, options = configuration(name)
    task = FoundryTask(config, dataclasses.replace(options, batch_size=windows, accumulate=1))
    task.to(device).train()
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-5)
    batch = noise(config, windows, device)
    dtype = torch.bfloat16 if precision == 'bf16-mixed' else torch.float32
    products = training_products(config, 2 * windows)
    step(task, optimizer, batch, 0, precision, device)
    gemm = [product_seconds(products, dtype, device, repeats=3)]
    stages = defaultdict(list)
    for number in range(steps):
        for stage, seconds in step(task, optimizer, batch, number, precision, device).items():
            stages[stage].append(seconds)
    gemm.append(product_seconds(products, dtype, device, repeats=3))
    totals = [sum(parts) for parts in zip(*stages.values(), strict=True)]
    mean = statistics.mean(totals)
    parameters = sum(parameter.numel() for parameter in task.parameters())
    return [
        name,
        f'{parameters / 1e6:.1f} M',
        precision,
        str(windows),
        str(steps),
        f'{mean:.3f} ± {max(totals) - min(totals):.3f}',
        f'{windows / mean:.2f}',
        f'{windows * config.window / mean:,.0f}',
        *(f'{statistics.mean(stages[stage]) / mean:.0%}' for stage in stages),
        f'{operations(products) / statistics.mean(gemm) / 1e9:.0f}',
        f'{statistics.mean(gemm) / mean:.0%}',
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('-c', '--configs', nargs='+', default=['base'])
    parser.add_argument('-p', '--precisions', nargs='+', default=['32-true', 'bf16-mixed'])
    parser.add_argument('-w', '--windows', type=int, default=1)
    parser.add_argument('--steps', type=int, default=3)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--out', type=Path, default=REPORT)
    given = parser.parse_args()
    lines = ['| ' + ' | '.join(COLUMNS) + ' |', '|' + '---|' * len(COLUMNS)]
    for name in given.configs:
        for precision in given.precisions:
            row = case(name, precision, given.windows, given.steps, given.device)
            lines.append('| ' + ' | '.join(row) + ' |')
            print(lines[-1], flush=True)
    given.out.write_text(HEADER.format(machine=machine(given.device)) + '\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
