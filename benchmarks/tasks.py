"""Which of TorchGeo's tasks takes generated weights, in which way: every cell is really built.

    python benchmarks/tasks.py

For every task and architecture the task is built four times: with a name (or URL) as ``weights``,
with a name in timm's manner as the architecture, with an exported checkpoint, and, for detection,
as our own task. A cell says *yes* if every tensor of the backbone, the stem too, is the generated
one, bit for bit. Run it with each version of TorchGeo: it writes a table of its own.
"""

import argparse
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchgeo
from torch import Tensor, nn
from torchgeo import trainers

import torchgeo_geosane.tasks as ours
from torchgeo_geosane import cache
from torchgeo_geosane.architectures import flat_name, get_architecture
from torchgeo_geosane.export import export
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.spec import Spec

# Neither three channels nor all of them, and in no usual order: what fits by chance would be seen.
SENSOR = 'sentinel2_all[B8A,B4,B11,B3]'
FOLDER = Path(__file__).parent.parent / 'docs' / 'benchmarks'
HEADER = """# TorchGeo {version}: tasks that take generated weights

Written by `python benchmarks/tasks.py` with TorchGeo {version}, timm {timm} and torch {torch}.
Every cell was built on four bands of Sentinel-2, around random weights, by an untrained foundry.
*Yes*: every tensor of the backbone, the stem too, is the generated one. A number: the error below.
BYOL's own first pass moves running statistics on: they are left out there.
*By name*: `weights: geosane://…`, or a name. *By timm name*: `geosane_….` as model or backbone and
`weights: true`. *By file*: `weights: file.ckpt`. *Our task*: the class in `torchgeo_geosane.tasks`.

| task | model | backbone | by name | by timm name | by file | our task |
|---|---|---|---|---|---|---|
"""


_PARTICULARS = re.compile(r"""[`'"].*?[`'"]|/\S*/|[0-9]+""")


@dataclass(frozen=True)
class Case:
    """One row: a task with a backbone.

    Attributes:
        task: TorchGeo's class.
        architecture: timm's name of the backbone.
        model: The decoder or detector; empty where the task has none.
        encoder: The backbone in the task's own words; ``tu-`` for timm's encoders in smp.
        images: How many images the stem sees at once.
        own: The class of ours for the same task, if there is one.
    """

    task: str
    architecture: str
    model: str = ''
    encoder: str = ''
    images: int = 1
    own: str = ''


def image_cases() -> list[Case]:
    tasks = ['ClassificationTask', 'RegressionTask', 'SimCLRTask', 'MoCoTask', 'BYOLTask']
    backbones = [
        'resnet18',
        'efficientnet_b0',
        'mobilenetv2_100',
        'vit_tiny_patch16_224',
        'convnext_atto',
        'swin_tiny_patch4_window7_224',
        'regnety_002',
    ]
    return [Case(task, backbone) for task in tasks for backbone in backbones]


def dense_cases() -> list[Case]:
    """Segmentation and pixelwise regression; then change detection, stacked and siamese."""
    encoders = [
        ('resnet18', 'resnet18'),
        ('tf_efficientnet_b0', 'timm-efficientnet-b0'),
        ('tf_efficientnet_b0', 'tu-tf_efficientnet_b0'),
        ('mobilenetv2_100', 'tu-mobilenetv2_100'),
        ('convnext_atto', 'tu-convnext_atto'),
        ('swin_tiny_patch4_window7_224', 'tu-swin_tiny_patch4_window7_224'),
    ]
    vit = ('vit_tiny_patch16_224', 'tu-vit_tiny_patch16_224')
    cases = []
    for task in ('SemanticSegmentationTask', 'PixelwiseRegressionTask'):
        for model in ('unet', 'deeplabv3+', 'upernet', 'segformer'):
            cases += [Case(task, architecture, model, name) for architecture, name in encoders]
        cases.append(Case(task, vit[0], 'dpt', vit[1]))
    for model in ('unet', 'deeplabv3+', 'upernet', 'segformer', 'fcsiamdiff', 'fcsiamconc'):
        images = 1 if model.startswith('fcsiam') else 2
        cases += [
            Case('ChangeDetectionTask', architecture, model, name, images)
            for architecture, name in encoders
        ]
    return [*cases, Case('ChangeDetectionTask', vit[0], 'dpt', vit[1], 2)]


def detection_cases() -> list[Case]:
    backbones = [
        'resnet18',
        'resnet50',
        'convnext_atto',
        'swin_tiny_patch4_window7_224',
        'vit_tiny_patch16_224',
    ]
    models = {
        'ObjectDetectionTask': ('faster-rcnn', 'fcos', 'retinanet'),
        'InstanceSegmentationTask': ('mask-rcnn',),
    }
    return [
        Case(task, backbone, model, backbone, own=f'GeoSANE{task}')
        for task, names in models.items()
        for model in names
        for backbone in backbones
    ]


def cases() -> list[Case]:
    found = image_cases() + dense_cases() + detection_cases()
    if hasattr(ours, 'MAETask'):
        found.append(Case('MAE', 'vit_tiny_patch16_224', own='MAETask'))
    return found


def build(case: Case, cls: Any, architecture: str, weights: Any) -> nn.Module:
    """Build a task on four bands."""
    kwargs: dict[str, Any] = {'in_channels': get_sensor(SENSOR).in_chans, 'weights': weights}
    if case.model:
        kwargs |= {'model': case.model, 'backbone': architecture}
    else:
        kwargs['model'] = architecture
    if case.task in ('ClassificationTask', 'SemanticSegmentationTask'):
        kwargs['num_classes'] = 5
    if case.task in ('ObjectDetectionTask', 'InstanceSegmentationTask'):
        kwargs['num_classes'] = 5
    if case.task == 'ChangeDetectionTask':
        kwargs |= {'task': 'binary'}
    return cls(**kwargs)


def backbone_of(case: Case, task: Any) -> nn.Module:
    """The module that generated weights belong to."""
    if case.model and case.own:
        return task.model.backbone.body
    if case.model:
        encoder = task.model.encoder
        return getattr(encoder, 'model', encoder)
    match case.task:
        case 'SimCLRTask' | 'MoCoTask':
            return task.backbone
        case 'BYOLTask':
            return task.model.backbone.model
        case 'MAE':
            return task.backbone.vit
    return task.model


def assert_holds(module: nn.Module, tensors: dict[str, Tensor], architecture: str) -> None:
    """Make sure that a backbone's tensors are the generated ones.

    Raises:
        ValueError: If one is not; it is named.
    """
    generated = {flat_name(name): tensor for name, tensor in tensors.items()}
    head = {flat_name(name) for name in get_architecture(architecture).head}
    held = 0
    for name, tensor in module.state_dict().items():
        expected = generated.get(flat_name(name))
        if expected is None:
            if flat_name(name) not in head:
                raise ValueError(f'not loaded: {name}')
        elif not torch.equal(tensor, expected):
            raise ValueError(f'not the generated one: {name}')
        else:
            held += 1
    if held < 0.8 * len(tensors):
        raise ValueError(f'only {held} of {len(tensors)} tensors')


def _statistics(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    kinds = ('running_mean', 'running_var', 'num_batches_tracked')
    return {name: tensor for name, tensor in tensors.items() if name.endswith(kinds)}


class Errors:
    """The distinct errors, numbered as they come."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def cell(self, error: Exception) -> str:
        """The number that stands for an error in the table."""
        words = ' '.join(str(error).split()).replace('|', '/')
        # Names and sizes differ from row to row; the kind of failure is what matters.
        words = _PARTICULARS.sub('…', words)[:160]
        text = f'{type(error).__name__}: {words}'
        if text not in self._texts:
            self._texts.append(text)
        return f'no ({self._texts.index(text) + 1})'

    def __str__(self) -> str:
        return ''.join(f'{number}. {text}\n' for number, text in enumerate(self._texts, 1))


def attempt(
    case: Case, make: Callable[[], nn.Module], tensors: dict[str, Tensor], errors: Errors
) -> str:
    """One cell of the table."""
    try:
        module = backbone_of(case, make())
        if case.task == 'BYOLTask':
            # A batch of zeros has gone through it: running statistics have moved on.
            module.load_state_dict(_statistics(tensors), strict=False)
        assert_holds(module, tensors, case.architecture)
    except Exception as error:  # Whatever TorchGeo, timm, smp or torchvision raise is the finding.
        return errors.cell(error)
    return 'yes'


def row(case: Case, foundry: str, folder: Path, errors: Errors) -> str:
    sensor = get_sensor(SENSOR).stacked(case.images).name
    spec = Spec(case.architecture, sensor, ('random',), foundry)
    generated = generate(spec)
    tensors = generated.tensors
    word = case.encoder or case.architecture
    cls = getattr(trainers, case.task, None) or getattr(torchgeo.tasks, case.task)
    timm_word = f'tu-{timm_name(spec)}' if case.encoder else timm_name(spec)

    def from_file() -> nn.Module:
        path = folder / 'weights.ckpt'
        export(generated, path, 'torchgeo-tu' if word.startswith('tu-') else None)
        return build(case, cls, word, str(path))

    cells = [
        attempt(case, lambda: build(case, cls, word, spec.url), tensors, errors),
        attempt(case, lambda: build(case, cls, timm_word, True), tensors, errors),
        attempt(case, from_file, tensors, errors),
        '–',
    ]
    if case.own:
        own = getattr(ours, case.own)
        cells[3] = attempt(case, lambda: build(case, own, word, spec.url), tensors, errors)
    named = [case.task, case.model or '–', f'`{word}`', *cells]
    return '| ' + ' | '.join(named) + ' |\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', default='', help='rows whose task or backbone contains this')
    parser.add_argument('--out', type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter('ignore')
    line = '.'.join(torchgeo.__version__.split('.')[:2])
    out = arguments.out or FOLDER / f'tasks_{line}.md'
    text = HEADER.format(
        version=torchgeo.__version__, timm=timm.__version__, torch=torch.__version__
    )
    with tempfile.TemporaryDirectory() as name:
        os.environ[cache.ENVIRONMENT] = name
        config = FoundryConfig(d_model=32, nhead=2, num_layers=1, latent_dim=16)
        foundry = Path(name, 'foundry.safetensors')
        checkpoint.save(foundry, WeightAutoencoder(config), {})
        errors = Errors()
        for case in cases():
            if arguments.only in f'{case.task} {case.architecture}':
                text += row(case, str(foundry), Path(name), errors)
                print(text.splitlines()[-1], flush=True)
    out.write_text(f'{text}\n{errors}')


if __name__ == '__main__':
    main()
