"""Distillation: what the loss is, whom it teaches, where teachers come from."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import network, scene_values, write_fit
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch.utils.data import DataLoader
from torchgeo.trainers import (
    ClassificationTask,
    PixelwiseRegressionTask,
    RegressionTask,
    SemanticSegmentationTask,
)

from torchgeo_geosane.callbacks import Distil
from torchgeo_geosane.callbacks.distil import average, differing, soft_classes, soft_labels
from torchgeo_geosane.errors import ArchitectureError, DataError, SpecError


def test_soft_classes_by_hand() -> None:
    logits, taught = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3), 0.0]])
    # At temperature 2 the teacher says 3/4 and 1/4, the student 1/2 and 1/2.
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    torch.testing.assert_close(soft_classes(logits, taught, 2.0), torch.tensor(4 * divergence))
    # One label is as two classes, of which the other has no logit.
    labels = soft_labels(torch.tensor([[0.0]]), torch.tensor([[2 * math.log(3)]]), 2.0)
    torch.testing.assert_close(labels, torch.tensor(4 * divergence))


@pytest.mark.parametrize('soften', [soft_classes, soft_labels])
def test_nothing_to_learn_from_oneself(soften: object) -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    loss = soften(logits, logits.detach(), 3.0)
    loss.backward()
    assert loss.abs() < 1e-6
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize('kind', ['classes', 'binary', 'labels', 'values'])
def test_teachers_that_agree_say_what_each_says(kind: str) -> None:
    answer = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    together = average([answer, answer, answer], kind)
    assert differing(together, answer, kind, 1.0).abs() < 1e-6


def test_teachers_are_averaged_by_probability() -> None:
    one, other = torch.tensor([[0.0, 30.0]]), torch.tensor([[30.0, 0.0]])
    torch.testing.assert_close(
        average([one, other], 'classes').softmax(1), torch.tensor([[0.5, 0.5]])
    )
    values = average([torch.tensor([[1.0]]), torch.tensor([[3.0]])], 'values')
    torch.testing.assert_close(values, torch.tensor([[2.0]]))


def fcn(**arguments: Any) -> SemanticSegmentationTask:
    settings = {'model': 'fcn', 'in_channels': 4, 'num_filters': 8, 'num_classes': 3}
    return SemanticSegmentationTask(**{**settings, **arguments}, lr=3e-3)


def batches(target: str, shape: tuple[int, ...], classes: int = 0) -> DataLoader:
    generator = torch.Generator().manual_seed(0)

    def labels() -> torch.Tensor:
        if classes:
            return torch.randint(classes, shape, generator=generator)
        return torch.randn(shape, generator=generator)

    data = [
        {'image': torch.randn(4, 32, 32, generator=generator), target: labels()} for _ in range(64)
    ]
    return DataLoader(data, batch_size=8)


def train(task: LightningModule, loader: DataLoader, callback: Distil, epochs: int = 4) -> None:
    seed_everything(0, verbose=False)
    Trainer(
        accelerator='cpu',
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
    ).fit(task, loader, loader)


@pytest.mark.parametrize(
    ('make', 'loader'),
    [
        (fcn, ('mask', (32, 32), 3)),
        (
            lambda: PixelwiseRegressionTask('fcn', in_channels=4, num_filters=8),
            ('mask', (1, 32, 32)),
        ),
        (lambda: ClassificationTask('test_resnet', in_channels=4, num_classes=3), ('label', (), 3)),
        (lambda: RegressionTask('test_resnet', in_channels=4, num_outputs=1), ('label', (1,))),
    ],
    ids=['segmentation', 'pixelwise regression', 'classification', 'regression'],
)
def test_a_student_comes_nearer_to_its_teacher(make: Any, loader: tuple) -> None:
    seed_everything(1, verbose=False)
    teacher = make().model.eval()
    with torch.no_grad():
        list(teacher.parameters())[-1][0] += 3  # It prefers a class, or higher values.
    student = make()
    kind = (
        'classes'
        if 'Segmentation' in type(student).__name__ or 'Class' in type(student).__name__
        else 'values'
    )
    image = torch.randn(8, 4, 32, 32, generator=torch.Generator().manual_seed(5))

    def apart() -> float:
        with torch.no_grad():
            answers = student.model.eval()(image), teacher(image)
        student.model.train()
        return float(differing(*answers, kind, 1.0))

    before = apart()
    train(student, batches(*loader), Distil(teacher, temperature=1.0, share=1.0), 8)
    assert apart() < 0.7 * before
    assert 'training_step' not in vars(student)


def test_a_checkpoint_teaches_and_is_what_the_student_starts_from(tmp_path: Path) -> None:
    fit = write_fit(tmp_path, scene_values(64, 64))
    student = fcn()
    train(
        student,
        batches('mask', (32, 32), 3),
        Distil(str(fit.checkpoint), start='teacher'),
        epochs=0,
    )
    teacher = network(fcn()).state_dict()
    assert all(
        torch.equal(tensor, teacher[name]) for name, tensor in student.model.state_dict().items()
    )
    together = Distil([str(fit.checkpoint), str(fit.checkpoint)], share=0.0)
    train(student, batches('mask', (32, 32), 3), together, epochs=1)


def test_a_shallower_student_has_the_first_blocks_of_its_teacher() -> None:
    teacher = ClassificationTask('resnet34', in_channels=4, num_classes=3).model
    student = ClassificationTask('resnet18', in_channels=4, num_classes=3)
    train(student, batches('label', (), 3), Distil(teacher, start='teacher'), epochs=0)
    tensors = student.model.state_dict()
    for name, tensor in teacher.state_dict().items():
        assert name not in tensors or torch.equal(tensors[name], tensor), name


def test_what_cannot_be_taught() -> None:
    loader = batches('mask', (32, 32), 3)
    with pytest.raises(ArchitectureError, match='one task and its classes'):
        train(fcn(), loader, Distil(fcn(num_classes=5).model), epochs=1)
    with pytest.raises(ArchitectureError, match='shallower model of its family'):
        train(fcn(), loader, Distil(torch.nn.Conv2d(4, 3, 1), start='teacher'), epochs=1)
    with pytest.raises(DataError, match='no such checkpoint'):
        train(fcn(), loader, Distil('none.ckpt'), epochs=1)


@pytest.mark.parametrize(
    'wrong', [{'temperature': 0.0}, {'share': 1.1}, {'start': 'techer'}], ids=str
)
def test_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match='distillation wants'):
        Distil(torch.nn.Identity(), **wrong)
