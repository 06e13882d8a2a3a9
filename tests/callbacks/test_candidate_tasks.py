"""Candidates are selected for every kind of task and of model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from chips import ChipsDataModule, trainer
from selecting import classification, equal, fit, without_head
from specs import MakeSpec
from torchgeo.trainers import (
    ChangeDetectionTask,
    PixelwiseRegressionTask,
    RegressionTask,
    SemanticSegmentationTask,
)

from torchgeo_geosane import Spec, generate
from torchgeo_geosane.callbacks import SelectCandidates
from torchgeo_geosane.providers.catalog import timm_name


@pytest.mark.parametrize(
    ('kind', 'settings', 'measure'),
    [
        ('label', {'task': 'binary', 'num_classes': None, 'loss': 'bce'}, 'balanced accuracy'),
        (
            'labels',
            {'task': 'multilabel', 'num_classes': None, 'num_labels': 2, 'loss': 'bce'},
            'mean average precision',
        ),
    ],
)
def test_labels_of_other_kinds(
    kind: str, settings: dict[str, Any], measure: str, tmp_path: Path, make_spec: MakeSpec
) -> None:
    callback, task = SelectCandidates(2), classification(make_spec().url, **settings)
    fit(tmp_path, callback, task, target=kind, length=64)
    assert callback.choice is not None
    assert callback.choice.measure == measure
    assert callback.choice.candidates[0].score > 0.7


def test_regression(tmp_path: Path, make_spec: MakeSpec) -> None:
    callback = SelectCandidates(2, probe='linear')
    task = RegressionTask('test_resnet', weights=make_spec().url, in_channels=6)
    fit(tmp_path, callback, task, target='value', length=64)
    assert callback.choice is not None
    assert callback.choice.measure == 'R2'
    assert 0.5 < callback.choice.candidates[0].score <= 1


@pytest.mark.parametrize(
    ('task_class', 'architecture', 'name', 'measure'),
    [
        (
            SemanticSegmentationTask,
            'test_convnext',
            'model.stages_3.blocks.0.conv_dw.weight',
            'balanced accuracy',
        ),
        (PixelwiseRegressionTask, 'resnet18', 'layer4.1.conv2.weight', 'R2'),
    ],
)
def test_maps(
    task_class: Any,
    architecture: str,
    name: str,
    measure: str,
    tmp_path: Path,
    make_spec: MakeSpec,
) -> None:
    spec = make_spec(architecture)
    by_name = architecture != 'resnet18'  # Of smp's own encoders few have timm's names of tensors.
    task = task_class(
        'unet',
        f'tu-{timm_name(spec)}' if by_name else 'resnet18',
        by_name or spec.url,
        in_channels=6,
        **({'num_classes': 2} if task_class is SemanticSegmentationTask else {}),
    )
    callback = SelectCandidates(2)
    start = fit(tmp_path, callback, task, target='mask' if by_name else 'heights')
    assert callback.choice is not None
    assert callback.choice.measure == measure
    chosen = generate(Spec.parse(callback.choice.candidates[0].url)).tensors
    plain = name.removeprefix('model.').replace('stages_', 'stages.')
    assert torch.equal(start.state[f'model.encoder.{name}'], chosen[plain])


@pytest.mark.parametrize(('model', 'images'), [('fcsiamdiff', 1), ('unet', 2)])
def test_two_dates(model: str, images: int, tmp_path: Path, make_spec: MakeSpec) -> None:
    class Changes(ChipsDataModule):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return {'image': batch['image'], 'mask': batch['mask'].unsqueeze(1)}

    spec = make_spec(sensor='sentinel2_6' + ('*2' if images == 2 else ''))
    task = ChangeDetectionTask(model, f'tu-{timm_name(spec)}', True, in_channels=6)
    callback = SelectCandidates(2)
    trainer(tmp_path, callback).fit(task, datamodule=Changes(target='mask', dates=2))
    assert callback.choice is not None
    assert callback.choice.images == 16


def test_a_compiled_model(tmp_path: Path, make_spec: MakeSpec) -> None:
    task, callback = classification(make_spec().url), SelectCandidates(2)
    task.model = torch.compile(task.model, backend='eager')
    start = fit(tmp_path, callback, task)
    assert callback.choice is not None
    chosen = generate(Spec.parse(callback.choice.candidates[0].url)).tensors
    state = {name.replace('_orig_mod.', ''): tensor for name, tensor in start.state.items()}
    assert equal(without_head(state), chosen)


def test_a_frozen_backbone(tmp_path: Path, make_spec: MakeSpec) -> None:
    task, callback = classification(make_spec().url, freeze_backbone=True), SelectCandidates(2)
    fit(tmp_path, callback, task)
    assert callback.choice is not None
    assert not any(parameter.requires_grad for parameter in task.model.layer1.parameters())
