"""Gradient checkpointing: the same training, with less kept."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from chips import ChipsDataModule, trainer
from lightning.pytorch import LightningModule, seed_everything
from specs import MakeSpec
from torch import Tensor, nn
from torchgeo.trainers import ClassificationTask, SemanticSegmentationTask

from torchgeo_geosane.callbacks import GradientCheckpointing
from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.tasks import GeoSANEObjectDetectionTask

pytestmark = pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning')


def trained(
    folder: Path, task: LightningModule, *callbacks: Any, target: str = 'label', **settings: Any
) -> dict[str, Tensor]:
    """The task's state after two steps."""
    seed_everything(1, verbose=False)
    run = trainer(folder, *callbacks, max_steps=2, limit_val_batches=0, **settings)
    run.fit(task, datamodule=ChipsDataModule(target=target))
    return {name: tensor.detach().clone() for name, tensor in task.state_dict().items()}


def classification(make_spec: MakeSpec, architecture: str = 'test_resnet') -> ClassificationTask:
    seed_everything(0, verbose=False)
    url = make_spec(architecture).url
    return ClassificationTask(architecture, weights=url, in_channels=6, num_classes=2)


def segmentation(backbone: str = 'tu-test_resnet') -> SemanticSegmentationTask:
    seed_everything(0, verbose=False)
    return SemanticSegmentationTask('unet', backbone, in_channels=6, num_classes=2)


def runs(module: nn.Module) -> list[None]:
    """Grows by one whenever a module runs."""
    counted: list[None] = []
    module.register_forward_hook(lambda *_: counted.append(None))
    return counted


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name in one.keys() - {key for key in one if key.endswith('num_batches_tracked')}:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0, msg=name)


def test_a_model_with_batch_norm_learns_the_same(tmp_path: Path, make_spec: MakeSpec) -> None:
    plain, lean = classification(make_spec), classification(make_spec)
    counted = [runs(task.model.layer1[0].conv1) for task in (plain, lean)]
    before = plain.state_dict()['model.bn1.running_mean'].clone()
    states = trained(tmp_path, plain), trained(tmp_path, lean, GradientCheckpointing())
    assert [len(count) for count in counted] == [2, 4], 'computed twice a step'
    assert_same(*states)
    assert not torch.equal(states[0]['model.bn1.running_mean'], before)


def test_a_segmentation_learns_the_same(tmp_path: Path) -> None:
    one = trained(tmp_path, segmentation(), target='mask')
    assert_same(one, trained(tmp_path, segmentation(), GradientCheckpointing(), target='mask'))


def test_a_transformer_in_bfloat16(tmp_path: Path, make_spec: MakeSpec) -> None:
    sizes = {'img_size': 32, 'in_chans': 6, 'num_classes': 2}
    states, seen = [], []
    for callbacks in ((), (GradientCheckpointing(),)):
        task = classification(make_spec)
        seed_everything(0, verbose=False)
        task.model = timm.create_model('test_vit', **sizes)
        task.model.blocks[0].mlp.fc1.register_forward_hook(lambda *io: seen.append(io[2].dtype))
        states.append(trained(tmp_path, task, *callbacks, precision='bf16-mixed'))
    assert set(seen) == {torch.bfloat16}
    assert_same(*states)
    assert all(tensor.dtype == torch.float32 for tensor in states[0].values() if tensor.ndim)


def test_a_detector_keeps_less(tmp_path: Path) -> None:
    task = GeoSANEObjectDetectionTask('faster-rcnn', 'test_resnet', in_channels=3, num_classes=2)
    callback = GradientCheckpointing()
    callback.setup(trainer(tmp_path), task, 'fit')
    assert task.model.backbone.body.grad_checkpointing


def test_smps_own_encoders_cannot(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match='only those of timm can: take one'):
        trained(tmp_path, segmentation('resnet18'), GradientCheckpointing(), target='mask')


def test_a_frozen_backbone_keeps_nothing_anyway(tmp_path: Path, make_spec: MakeSpec) -> None:
    task = classification(make_spec)
    task.model.requires_grad_(False)
    task.model.fc.requires_grad_(True)
    with pytest.raises(ArchitectureError, match='has no effect on ResNet'):
        trained(tmp_path, task, GradientCheckpointing())
    assert task.model.bn1.momentum == 0.1


def test_a_model_of_timm_that_cannot(tmp_path: Path, make_spec: MakeSpec) -> None:
    class Refusing(nn.Module):
        def set_grad_checkpointing(self, enable: bool = True) -> None:
            assert not enable, 'gradient checkpointing not supported'

    task = classification(make_spec)
    task.model = Refusing()
    with pytest.raises(ArchitectureError, match=r'Refusing \(gradient checkpointing not supported'):
        GradientCheckpointing().setup(trainer(tmp_path), task, 'fit')
