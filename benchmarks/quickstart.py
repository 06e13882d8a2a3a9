"""Does generation help the quickstart? Its test mIoU and loss curve from four starts, over seeds.

    python benchmarks/quickstart.py --seeds 5

The starts: from scratch; the prompt itself; generated weights (one model per seed); and the prompt plus white noise
that is, tensor by tensor, as large as what generation changed. Every run is the quickstart's own command with another
``model.weights``; the seeds are paired. Writes docs/benchmarks/quickstart.{csv,md,png}.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor

from torchgeo_geosane.generate import create, take_prompt
from torchgeo_geosane.providers.catalog import find_spec

mpl.use('Agg')
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks'
WEIGHTS = 'GeoSANE_EfficientNetB4_Weights.SENTINEL2_ALL'
STARTS = ('scratch', 'prompt', 'generated', 'prompt + noise')
T_95 = {5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


@dataclass(frozen=True)
class Run:
    """One finetuning run: its start, seed, test mIoU and loss, and the training loss of each epoch."""

    start: str
    seed: int
    miou: float
    test_loss: float
    losses: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, default=5, help='runs per start')
    parser.add_argument('--jobs', type=int, default=2, help='runs at once, one thread each')
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = run_all(Path(folder), arguments.seeds, arguments.jobs)
    write_csv(runs)
    write_figure(runs)
    (OUT / 'quickstart.md').write_text(report(runs, arguments.seeds))
    print(report(runs, arguments.seeds))


def run_all(folder: Path, seeds: int, jobs: int) -> list[Run]:
    waiting = [(start, seed) for seed in range(seeds) for start in STARTS]
    runs: list[Run] = []
    while waiting:
        batch, waiting = waiting[:jobs], waiting[jobs:]
        started = []
        for start, seed in batch:
            out = folder / f'{start.replace(" ", "")}-{seed}'
            started.append(
                (start, seed, out, launch(out, weights_file(folder, start, seed), seed, jobs))
            )
        for start, seed, out, process in started:
            if process.wait():
                sys.exit(f'{start}, seed {seed} failed:\n{(out / "log").read_text()[-3000:]}')
            runs.append(read_run(start, seed, out))
            print(f'{start}, seed {seed}: mIoU {runs[-1].miou:.3f}', flush=True)
    return runs


def weights_file(folder: Path, start: str, seed: int) -> Path | None:
    """A checkpoint in the form TorchGeo's ``weights`` argument takes; None from scratch."""
    if start == 'scratch':
        return None
    spec = find_spec(WEIGHTS)
    prompt = take_prompt(spec)
    tensors = prompt
    if start != 'prompt':
        generated = folder / f'generated-{seed}.pt'
        if not generated.exists():
            torch.save(create(spec, [seed])[0].tensors, generated)
        tensors = torch.load(generated)
    if start == 'prompt + noise':
        tensors = with_equal_noise(prompt, tensors, seed)
    path = folder / f'{start.replace(" ", "")}-{seed}.ckpt'
    state_dict = {f'model.{name}': tensor for name, tensor in tensors.items()}
    torch.save({'hyper_parameters': {'model': spec.architecture}, 'state_dict': state_dict}, path)
    return path


def with_equal_noise(
    prompt: dict[str, Tensor], generated: dict[str, Tensor], seed: int
) -> dict[str, Tensor]:
    """The prompt plus Gaussian noise whose norm is, for each tensor, that of what generation changed."""
    generator = torch.Generator().manual_seed(seed)
    noisy = {}
    for name, tensor in prompt.items():
        noisy[name] = tensor
        change = torch.linalg.vector_norm((generated[name] - tensor).float())
        if tensor.is_floating_point() and change > 0:
            noise = torch.randn(tensor.shape, generator=generator)
            noisy[name] = tensor + noise * (change / torch.linalg.vector_norm(noise))
    return noisy


def launch(out: Path, weights: Path | None, seed: int, jobs: int) -> 'subprocess.Popen[bytes]':
    """Start the quickstart's command."""
    out.mkdir()
    command = [
        sys.executable,
        '-c',
        'import sys; from torchgeo_geosane.cli import main; sys.exit(main())',
    ]
    command += ['fit', '--config', 'examples/quickstart.yaml', '--seed_everything', str(seed)]
    command += ['--model.weights', str(weights) if weights else 'null']
    command += ['--trainer.logger.init_args.save_dir', str(out)]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    with (out / 'log').open('wb') as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, 'OMP_NUM_THREADS': threads},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def read_run(start: str, seed: int, out: Path) -> Run:
    """Read what the CSV logger wrote."""
    test: dict[str, float] = {}
    losses: dict[int, float] = {}
    for file in sorted(out.rglob('metrics.csv')):
        for row in csv.DictReader(file.open()):
            test |= {
                key: float(value) for key, value in row.items() if key.startswith('test_') and value
            }
            if row.get('train_loss_epoch') or row.get('train_loss'):
                losses[int(row['epoch'])] = float(row.get('train_loss_epoch') or row['train_loss'])
    return Run(start, seed, test['test_mIoU'], test['test_loss'], list(losses.values()))


def report(runs: list[Run], seeds: int) -> str:
    """A Markdown table of means and spreads, and of paired differences to the prompt."""
    lines = [
        f'Quickstart, {seeds} paired seeds; mean ± standard deviation over seeds. '
        f'{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}. '
        'Regenerate: `python benchmarks/quickstart.py`.',
        '',
        '| start | test mIoU | test loss | final training loss '
        '| mIoU minus scratch’s (95 % interval) | mIoU minus the prompt’s (95 % interval) |',
        '|---|---|---|---|---|---|',
    ]
    for start in STARTS:
        own = [run for run in runs if run.start == start]
        lines.append(
            f'| {start} | {spread([run.miou for run in own])} | {spread([run.test_loss for run in own], 2)} '
            f'| {spread([run.losses[-1] for run in own], 2)} '
            f'| {paired(runs, start, "scratch")} | {paired(runs, start, "prompt")} |'
        )
    return '\n'.join(lines) + '\n'


def spread(values: list[float], digits: int = 3) -> str:
    return f'{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}'


def paired(runs: list[Run], start: str, reference: str) -> str:
    """The mean of the per-seed differences to another start, with Student's 95 % interval."""
    if start == reference:
        return '–'
    by_key = {(run.start, run.seed): run.miou for run in runs}
    differences = [by_key[start, run.seed] - run.miou for run in runs if run.start == reference]
    n = len(differences)
    half = T_95.get(n, 1.96) * statistics.stdev(differences) / n**0.5
    return f'{statistics.mean(differences):+.3f} ± {half:.3f}'


def write_csv(runs: list[Run]) -> None:
    with (OUT / 'quickstart.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, list(asdict(runs[0])))
        writer.writeheader()
        writer.writerows({**asdict(run), 'losses': json.dumps(run.losses)} for run in runs)


def write_figure(runs: list[Run]) -> None:
    """Training loss by epoch: the mean over seeds, and the band of one standard deviation."""
    figure, axes = plt.subplots(figsize=(6, 4), layout='constrained')
    for start in STARTS:
        curves = torch.tensor([run.losses for run in runs if run.start == start])
        mean, std = curves.mean(dim=0), curves.std(dim=0)
        epochs = range(1, len(mean) + 1)
        axes.plot(epochs, mean, label=start)
        axes.fill_between(epochs, mean - std, mean + std, alpha=0.2)
    axes.set(xlabel='epoch', ylabel='training loss (cross entropy)', title='Quickstart, by start')
    axes.legend()
    figure.savefig(OUT / 'quickstart.png', dpi=120)


if __name__ == '__main__':
    main()
