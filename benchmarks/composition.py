"""Two and three frozen encoders against each alone, against their average, and a student of theirs.

    pip install -e ".[offline]"
    pip download --no-deps --ignore-requires-python -d wheels kelp-o-matic==0.8.0
    TORCHGEO_GEOSANE_WHEELS=wheels python benchmarks/composition.py

On the Sentinel-2 land-use scene. Features of frozen encoders are computed once; what is trained is a linear
map from all levels of an encoder, at a quarter of the resolution, to classes. A student is trained
whole, on labels alone, and taught by three. Each seed draws half of the training chips, the same for all.
Does what ``output/composition`` has no record of, some five minutes of one core in all, and writes
docs/benchmarks/composition.{md,png}.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
import yaml
from composition_report import write
from torch import Tensor, nn

import torchgeo_geosane  # noqa: F401 - timm knows the names
from torchgeo_geosane.callbacks.distil import soft_classes
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datamodules.windows import grid_windows
from torchgeo_geosane.datasets import Imagery

ROOT = Path(__file__).parents[1]
BANDS = ['B2', 'B3', 'B4', 'B8', 'B11', 'B12']
CHIP, STRIDE, CLASSES, NOTHING = 64, 4, 8, 255
SIX = 'tf_efficientnet_b4.sentinel2_6&prompt=ukis%3A6b_l2a'
FOUR = 'tf_efficientnet_b4.sentinel2_4&prompt=ukis%3A4b_l1c'
COLOUR = 'mobilenetv3_large_100.sentinel2_rgb&prompt=kelp%3Akelp_presence'
AVERAGE = f'{SIX}&prompt=ukis%3A4b_l1c&sampler=kde_mean&bandwidth=0'
STUDENT = 'mobilenetv3_large_100.sentinel2_6&prompt=kelp%3Akelp_presence'
FROZEN = {
    'six': [SIX],
    'four': [FOUR],
    'colour': [COLOUR],
    'average': [AVERAGE],
    'two': [SIX, FOUR],
    'three': [SIX, FOUR, COLOUR],
}


@dataclass(frozen=True)
class Part:
    """Chips of a part of the scene.

    Attributes:
        images: float32 [chips, bands, 64, 64], normalised.
        labels: int64 [chips, 16, 16], at a quarter of the resolution; 255 where there is none.
    """

    images: Tensor
    labels: Tensor


def read(folder: Path) -> dict[str, Part]:
    """The scene of the quickstart, its training and its test part; kept in a file, from call to call."""
    path = folder / 'parts.pt'
    if not path.exists():
        fit = yaml.safe_load((ROOT / 'examples' / 'ensemble.yaml').read_text())
        data = ImageryDataModule(**{**fit['data']['init_args'], 'patch_size': CHIP})
        data.setup('fit')
        data.setup('test')
        folder.mkdir(parents=True, exist_ok=True)
        parts = {'train': data.train_dataset.dataset, 'test': data.test_dataset}
        torch.save({name: chips_of(part, data) for name, part in parts.items()}, path)
    return {name: Part(*tensors) for name, tensors in torch.load(path).items()}


def chips_of(part: Imagery, data: ImageryDataModule) -> tuple[Tensor, Tensor]:
    """Those with a label: images, normalised, and labels at a quarter of the resolution."""
    samples = [part[window] for window in grid_windows(part, CHIP)]
    images = torch.stack([sample['image'].float() for sample in samples])
    labels = torch.stack([sample['mask'].long() for sample in samples]).squeeze(1)
    quarter = labels[:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    kept = (quarter != NOTHING).flatten(1).any(1)
    return data.aug({'image': images})['image'][kept], quarter[kept]


def features_of(members: Sequence[str]) -> nn.Module:
    """One encoder, or several as one, for the six bands: what it says goes through :func:`columns`."""
    if len(members) > 1:
        name = f'geosane_ensemble.{"+".join(members)}'
        return timm.create_model(name, pretrained=True, features_only=True).eval()
    model = timm.create_model(f'geosane_{members[0]}', pretrained=True, features_only=True).eval()
    bands = {FOUR: [0, 1, 2, 3], COLOUR: [2, 1, 0]}.get(members[0], [0, 1, 2, 3, 4, 5])
    return Picked(model, bands)


class Picked(nn.Module):
    """An encoder that sees some of the bands, its features normalised as an ensemble's are."""

    def __init__(self, model: nn.Module, bands: Sequence[int]) -> None:
        super().__init__()
        self.model, self.bands = model, list(bands)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The levels, the finest first."""
        maps = self.model(images[:, self.bands])
        return [F.layer_norm(m.movedim(1, -1), m.shape[1:2]).movedim(-1, 1) for m in maps]


def columns(maps: Sequence[Tensor]) -> Tensor:
    """All levels at a quarter of the resolution, one above the other: [chips, channels, 16, 16]."""
    size = (CHIP // STRIDE, CHIP // STRIDE)
    return torch.cat([F.interpolate(m, size, mode='bilinear', antialias=True) for m in maps], 1)


@torch.no_grad()
def extract(members: Sequence[str], images: Tensor, folder: Path, part: str) -> Tensor:
    """Columns of all chips, float16; kept in a file, from call to call."""
    digest = hashlib.sha256(f'{members} {part}'.encode()).hexdigest()[:16]
    path = folder / f'{digest}.pt'
    if not path.exists():
        model = features_of(members)
        found = torch.cat([columns(model(batch)).half() for batch in images.split(16)])
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(found, path)
    return torch.load(path)


def train_head(pixels: Tensor, wanted: Tensor, seed: int, steps: int = 200) -> nn.Linear:
    """A linear map from columns to classes, trained on pixels with a label."""
    torch.manual_seed(seed)
    head = nn.Linear(pixels.shape[1], CLASSES)
    for batch in training(head.parameters(), len(pixels), 512, steps, 1e-3, seed):
        F.cross_entropy(head(pixels[batch].float()), wanted[batch]).backward()
    return head


def training(
    parameters: Any, count: int, size: int, steps: int, rate: float, seed: int
) -> Iterator[Tensor]:
    """Batches of indices; after each, a step is taken with the gradients that are there."""
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(list(parameters), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        yield torch.randint(count, (size,), generator=draw)
        optimizer.step()
        schedule.step()


class Student(nn.Module):
    """MobileNetV3 for the six bands, with a linear map of its columns."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = features_of([STUDENT])
        width = sum(self.encoder.model.feature_info.channels())  # type: ignore[union-attr,operator]
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes, ``[chips, classes, 16, 16]``."""
        return self.head(columns(self.encoder(images)).movedim(1, -1)).movedim(-1, 1)


def train_student(part: Part, taught: Tensor | None, seed: int, steps: int = 60) -> Student:
    """Train the student whole: on labels, and on what a teacher says of every pixel where there is one."""
    torch.manual_seed(seed)
    student = Student().train()
    for batch in training(student.parameters(), len(part.images), 8, steps, 1e-3, seed):
        flip = [[], [2], [3], [2, 3]][int(batch[0]) % 4]
        answer = student(part.images[batch].flip(flip)).flip(flip)
        loss = F.cross_entropy(answer, part.labels[batch], ignore_index=NOTHING)
        if taught is not None:
            loss = 0.5 * loss + 0.5 * soft_classes(answer, taught[batch], 2.0)
        loss.backward()
    return student.eval()


def mean_iou(answers: Tensor, labels: Tensor) -> float:
    """Over classes that the labels have; both of pixels with a label."""
    pairs = labels * CLASSES + answers
    table = torch.bincount(pairs, minlength=CLASSES**2).view(CLASSES, CLASSES).double()
    union = table.sum(0) + table.sum(1) - table.diag()
    return float((table.diag() / union)[table.sum(1) > 0].mean())


@dataclass(frozen=True)
class Pixels:
    """Pixels with a label of all chips of a part.

    Attributes:
        columns: float16 [pixels, channels].
        labels: int64 [pixels].
        chips: Which chip each is of, int64 [pixels].
    """

    columns: Tensor
    labels: Tensor
    chips: Tensor

    @classmethod
    def of(cls, columns: Tensor, labels: Tensor) -> 'Pixels':
        """Take them out of chips."""
        known = labels != NOTHING
        return cls(columns.movedim(1, -1)[known], labels[known], known.nonzero()[:, 0])


class Experiment:
    """All that seeds share: chips, and the columns of frozen encoders."""

    def __init__(self, folder: Path) -> None:
        self.parts = read(folder)
        self.pixels: dict[tuple[str, str], Pixels] = {}
        for name, members in FROZEN.items():
            for key, part in self.parts.items():
                columns = extract(members, part.images, folder, key)
                self.pixels[name, key] = Pixels.of(columns, part.labels)
                if (name, key) == ('three', 'train'):
                    self.teacher = columns

    def run(self, seed: int) -> dict[str, float]:
        """The test mIoU of all, trained on one half of the training chips."""
        train, test = self.parts['train'], self.parts['test']
        order = torch.randperm(len(train.images), generator=torch.Generator().manual_seed(seed))
        half = order[: len(order) // 2]
        found = {}
        for name in FROZEN:
            seen, tested = self.pixels[name, 'train'], self.pixels[name, 'test']
            mine = torch.isin(seen.chips, half)
            head = train_head(seen.columns[mine], seen.labels[mine], seed)
            with torch.no_grad():
                answers = [head(batch.float()).argmax(1) for batch in tested.columns.split(4096)]
            found[name] = mean_iou(torch.cat(answers), tested.labels)
        # The last head is that of three.
        with torch.no_grad():
            taught = torch.cat(
                [head(self.teacher[at].float().movedim(0, -1)).movedim(-1, 0)[None] for at in half]
            )
        chosen, known = Part(train.images[half], train.labels[half]), test.labels != NOTHING
        for name, teacher in (('student', None), ('taught', taught)):
            student = train_student(chosen, teacher, seed)
            with torch.no_grad():
                answer = torch.cat([student(batch) for batch in test.images.split(16)])
            found[name] = mean_iou(answer.argmax(1)[known], test.labels[known])
        return found


def cost(model: nn.Module, trained: int, ask: Callable[[Tensor], Any]) -> list[str]:
    """Parameters, how many of them are trained, and milliseconds for an image of 256 x 256 pixels.

    Those are the processor's, of one thread: a machine that does other things at once changes little.
    """
    torch.set_num_threads(1)
    images = torch.randn(1, len(BANDS), 256, 256)
    seconds = []
    with torch.no_grad():
        for _ in range(6):
            began = time.process_time()
            ask(images)
            seconds.append(time.process_time() - began)
    parameters = sum(each.numel() for each in model.parameters())
    return [f'{parameters / 1e6:.1f}', f'{trained / 1e6:.2f}', f'{1000 * min(seconds):.0f}']


def costs() -> dict[str, list[str]]:
    """Of each row of the table."""
    found = {}
    for name, members in FROZEN.items():
        model = features_of(members)
        with torch.no_grad():
            width = columns(model(torch.zeros(1, len(BANDS), CHIP, CHIP))).shape[1]
        found[name] = cost(model, (width + 1) * CLASSES, model)
    student = Student().eval()
    trained = sum(each.numel() for each in student.parameters())
    found['student'] = found['taught'] = cost(student, trained, student.encoder)
    return found


def main() -> None:
    """Do what is lacking, and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=int, default=10)
    parser.add_argument('--output', type=Path, default=ROOT / 'output' / 'composition')
    options = parser.parse_args()
    os.chdir(ROOT)
    experiment: Experiment | None = None
    records = []
    for seed in range(options.seeds):
        path = options.output / f'seed{seed}.json'
        if not path.exists():
            experiment = experiment or Experiment(options.output)
            path.write_text(json.dumps(experiment.run(seed)))
        records.append(json.loads(path.read_text()))
        print(f'seed {seed}: {records[-1]}', flush=True)
    path = options.output / 'costs.json'
    if not path.exists():
        path.write_text(json.dumps(costs()))
    write(records, json.loads(path.read_text()))


if __name__ == '__main__':
    main()
