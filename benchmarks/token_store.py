"""The token store against the training step: CPU seconds a window, and what it holds in memory.

    python benchmarks/token_store.py                     # base
    python benchmarks/token_store.py -c base paper --steps 2

Files of random weights in the shapes of known architectures are written into the folder for
temporary files (about 0.8 GB), so nothing is downloaded. Store and step run in turn in one process.
"""

import argparse
import dataclasses
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from gemm import operations, training_products
from measure import machine, memory, peak_memory
from safetensors.torch import save_file
from torch.utils.data import default_collate
from training import configuration, step

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import FoundryTask, OpenedModel, TokenWindows

REPORT = Path(__file__).parent.parent / 'docs' / 'benchmarks' / 'token_store.md'
ARCHITECTURES = (
    *('resnet50', 'vit_small_patch16_224', 'tf_efficientnet_b4', 'convnext_tiny'),
    *('swin_tiny_patch4_window7_224', 'densenet121', 'mobilenetv3_large_100', 'vgg11_bn'),
)
SMALL = 'test_resnet'
AHEAD = 5
TEXT = """# The token store

{machine} Regenerate: `python benchmarks/token_store.py`.

Windows at random, by size, from {models} safetensors
files of random weights ({parameters:.0f} M values), against the training step on as many as a
micro-batch has ({windows}) of the same store, in turn in one process. Milliseconds are of CPU time
for one window, mean ± spread (largest minus smallest) over {runs}
runs of {reads} windows and {steps} steps. *Views* is two where hidden units are permuted anew for
each window. *Keeps busy* is the rate of training arithmetic of which **one** worker reads {ahead} times
as many windows as are needed.

| config | precision | views | store, ms | windows a CPU second | step, ms | step / store | keeps busy |
|---|---|---|---|---|---|---|---|
{rows}

**Memory**

Anonymous memory of the process, in MB: pages of mapped files are not in it, they can be dropped at
any time.

| | MB |
|---|---|
| files of the {models} models | {files:.0f} |
| added by opening them | {opened:.1f} |
| most added while reading {reads} windows | {reading:.1f} |
| added by opening {many} more models (files of {small:.1f} MB) | {opened_many:.1f} |
| of it, kB a model | {each:.1f} |
| most added while reading {reads} windows of them | {reading_many:.1f} |
"""


def write_models(folder: Path, copies: int) -> None:
    """Random weights of each architecture, and many links to one small file."""
    (folder / 'large').mkdir()
    (folder / 'small').mkdir()
    for architecture in ARCHITECTURES:
        save_file(
            get_architecture(architecture, 3).initialise(0),
            folder / 'large' / f'{architecture}.safetensors',
        )
    small = folder / 'small' / f'{SMALL}.safetensors'
    save_file(get_architecture(SMALL, 3).initialise(0), small)
    for number in range(1, copies):
        os.link(small, small.with_name(f'{SMALL}-{number}.safetensors'))


def open_models(folder: Path, config: FoundryConfig) -> list[OpenedModel]:
    """Every model of a folder, with its hidden units."""
    models = FolderSource(path=folder).models()
    return [
        OpenedModel.open(
            dataclasses.replace(model, architecture=model.file.split('.')[0].split('-')[0]),
            *(config, False),
            permute=True,
            number=number,
        )
        for number, model in enumerate(models)
    ]


def windows_of(
    models: list[OpenedModel], config: FoundryConfig, length: int, views: int
) -> TokenWindows:
    """Random windows, by size."""
    return TokenWindows(models, config, length, seed=0, permute=views == 2)


def read(windows: TokenWindows, numbers: range) -> float:
    """CPU seconds a window."""
    start = time.process_time()
    for number in numbers:
        windows[number]
    return (time.process_time() - start) / len(numbers)


def train(
    task: FoundryTask, windows: TokenWindows, batch: int, precision: str
) -> Callable[[], float]:
    """A function that takes a step and gives its CPU seconds a window."""
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-5)
    content = default_collate([windows[number] for number in range(batch)])
    return lambda: sum(step(task, optimizer, content, 0, precision, 'cpu').values()) / batch


def spread(seconds: list[float]) -> str:
    """Mean ± range, in milliseconds."""
    mean, wide = 1e3 * statistics.mean(seconds), 1e3 * (max(seconds) - min(seconds))
    return f'{mean:.2f} ± {wide:.2f}' if mean < 100 else f'{mean:.0f} ± {wide:.0f}'


def cases(name: str, folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """The lines of one configuration."""
    config, options = configuration(name)
    models = open_models(folder / 'large', config)
    options = dataclasses.replace(options, batch_size=given.windows, accumulate=1)
    arithmetic = operations(training_products(config, 2 * given.windows)) / given.windows
    for precision in given.precisions:
        task = FoundryTask(config, options).train()
        for views in (1, 2):
            windows = windows_of(models, config, (given.runs + 1) * given.reads, views)
            take = train(task, windows, given.windows, precision)
            take()
            read(windows, range(given.reads))
            store, steps = [], []
            for run in range(max(given.runs, given.steps)):
                if run < given.runs:
                    first = (run + 1) * given.reads
                    store.append(read(windows, range(first, first + given.reads)))
                if run < given.steps:
                    steps.append(take())
            mean, step_mean = statistics.mean(store), statistics.mean(steps)
            cells = (
                *(name, precision, views, spread(store), f'{1 / mean:,.0f}', spread(steps)),
                f'{step_mean / mean:,.0f}',
                f'{arithmetic / mean / AHEAD / 1e12:.1f} TFLOP/s',
            )
            yield '| ' + ' | '.join(map(str, cells)) + ' |'


def measure_memory(folder: Path, config: FoundryConfig, reads: int) -> tuple[int, float, float]:
    """How many models, what opening them adds, and the most that reading windows adds: MB."""
    before = memory('RssAnon')
    models = open_models(folder, config)
    opened = memory('RssAnon')
    windows = windows_of(models, config, reads, views=2)
    with peak_memory() as peak:
        read(windows, range(reads))
    return len(models), opened - before, peak[0] - opened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('-c', '--configs', nargs='+', default=['base'])
    parser.add_argument('-p', '--precisions', nargs='+', default=['32-true'])
    parser.add_argument('-w', '--windows', type=int, default=1)
    parser.add_argument('--steps', type=int, default=3)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--reads', type=int, default=300)
    parser.add_argument('--many', type=int, default=2000)
    parser.add_argument('--out', type=Path, default=REPORT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # In a process of its own: what it frees here would be taken again, and not be counted.
        writer = multiprocessing.get_context('spawn').Process(
            target=write_models, args=(folder, given.many)
        )
        writer.start()
        writer.join()
        sizes = [file.stat().st_size for file in (folder / 'large').iterdir()]
        small = next((folder / 'small').iterdir()).stat().st_size
        config, _ = configuration(given.configs[0])
        read(windows_of(open_models(folder / 'large', config)[:1], config, 20, 2), range(20))
        models, opened, reading = measure_memory(folder / 'large', config, given.reads)
        many, opened_many, reading_many = measure_memory(folder / 'small', config, given.reads)
        rows = []
        for name in given.configs:
            for row in cases(name, folder, given):
                rows.append(row)
                print(row, flush=True)
    given.out.write_text(
        TEXT.format(
            **vars(given) | {'many': many},
            models=models,
            parameters=sum(sizes) / 4e6,
            ahead=AHEAD,
            machine=machine(),
            rows='\n'.join(rows),
            files=sum(sizes) / 1e6,
            opened=opened,
            reading=reading,
            small=small / 1e6,
            opened_many=opened_many,
            each=opened_many / many * 1e3,
            reading_many=reading_many,
        )
    )


if __name__ == '__main__':
    main()
