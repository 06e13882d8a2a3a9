"""Knowledge distillation: a small model learns what a large one has learned of the same task."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from torchgeo_geosane.callbacks.tasks import has_begun, original
from torchgeo_geosane.errors import ArchitectureError, SpecError, did_you_mean
from torchgeo_geosane.predict.finetuned import load_task
from torchgeo_geosane.predict.model import Kind, kind_of

Start = Literal['own', 'teacher']
Teacher = str | Path | nn.Module

_LEAST = 1e-9


class Distil(Callback):
    """Adds what a teacher says to a task's loss: soft classes or labels, or values.

    Classes and labels: the Kullback-Leibler divergence at a temperature (Hinton et al. 2015,
    arXiv:1503.02531). Values: the mean squared difference, as in InstaGeo (arXiv:2510.05617).
    """

    def __init__(
        self,
        teacher: Teacher | Sequence[str | Path],
        temperature: float = 2.0,
        share: float = 0.5,
        start: Start = 'own',
    ) -> None:
        """Keep the settings; checkpoints are read when the fit begins.

        Args:
            teacher: A checkpoint of a fit of the same task, several whose answers are averaged, or
                a module. It sees what the task's model sees, and answers in the same shape.
            temperature: Divides the logits of both, above 0; 1 leaves them as they are. Values have
                none.
            share: Of the loss that comes from the teacher, 0 to 1; the labels have the rest.
            start: ``'teacher'`` begins with the teacher's tensors of equal name and shape: those of
                the first blocks, where the student has fewer. ``'own'`` leaves the student's.

        Raises:
            SpecError: If a number is out of range.
        """
        if temperature <= 0 or not 0 <= share <= 1 or start not in {'own', 'teacher'}:
            raise SpecError(
                'distillation wants a temperature above 0, a share from 0 to 1 and a start of own '
                f'or teacher, not {temperature}, {share} and {start!r}'
                f'{did_you_mean(start, ("own", "teacher"))}'
            )
        several = isinstance(teacher, Sequence) and not isinstance(teacher, str)
        self._teachers: Sequence[Teacher] = teacher if several else [teacher]  # type: ignore[assignment,list-item]
        self._temperature, self._share, self._start = temperature, share, start
        self._undo: Callable[[], None] = lambda: None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the task's model, and change what a training step gives.

        Raises:
            GeoSANEError: If a teacher cannot be read, or the student has no tensor of it.
        """
        models = [_model(teacher).to(pl_module.device) for teacher in self._teachers]
        student: nn.Module = pl_module.model  # type: ignore[assignment]
        if self._start == 'teacher' and not has_begun(trainer):
            _copy(models[0], original(student))
        kind = kind_of(pl_module)
        plain = pl_module.training_step
        seen: list[tuple[Tensor, Tensor]] = []
        handle = student.register_forward_hook(
            lambda _, images, answer: seen.append((images[0], answer)) if student.training else None
        )

        def step(*arguments: Any, **keywords: Any) -> Tensor:
            seen.clear()
            loss = plain(*arguments, **keywords)
            image, answer = seen[-1]
            with torch.no_grad():
                taught = average([model(image) for model in models], kind)
            if taught.shape != answer.shape:
                raise ArchitectureError(
                    f'the teacher answers in the shape {list(taught.shape)}, the student in '
                    f'{list(answer.shape)}: they need one task and its classes'
                )
            distance = differing(answer, taught, kind, self._temperature)
            return (1 - self._share) * loss + self._share * distance  # type: ignore[operator]

        def undo() -> None:
            handle.remove()
            del pl_module.training_step

        pl_module.training_step = step  # type: ignore[method-assign]
        self._undo = undo

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the task as it was."""
        self._undo()


def average(answers: Sequence[Tensor], kind: Kind) -> Tensor:
    """What several teachers say together: logits of the mean probability, or the mean value."""
    if len(answers) == 1:
        return answers[0]
    if kind == 'values':
        return torch.stack(list(answers)).mean(0)
    if kind == 'classes':
        return torch.stack([each.softmax(1) for each in answers]).mean(0).clamp(_LEAST).log()
    return torch.stack([each.sigmoid() for each in answers]).mean(0).logit(_LEAST)


def differing(answer: Tensor, taught: Tensor, kind: Kind, temperature: float) -> Tensor:
    """How far a student's answer is from a teacher's, to be made small."""
    if kind == 'values':
        return F.mse_loss(answer, taught)
    soften = soft_classes if kind == 'classes' else soft_labels
    return soften(answer, taught, temperature)


def soft_classes(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence from the teacher's classes, times the squared temperature.

    Args:
        logits: The student's, ``[batch, classes, ...]``.
        taught: The teacher's.
        temperature: Divides both.

    Returns:
        The mean over the batch and all places; gradients are as large as without a temperature.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(taught / temperature, dim=1)
    divergence = (teacher.exp() * (teacher - student)).sum(1)
    return divergence.mean() * temperature**2


def soft_labels(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """The same for labels that do not exclude each other: the mean over all of them."""
    student, teacher = logits / temperature, taught / temperature
    wanted = teacher.sigmoid()
    cross = F.binary_cross_entropy_with_logits(student, wanted)
    own = F.binary_cross_entropy_with_logits(teacher, wanted)
    return (cross - own) * temperature**2


def _model(teacher: Teacher) -> nn.Module:
    """A teacher, to be asked."""
    if isinstance(teacher, nn.Module):
        model: nn.Module = teacher
    else:
        model = load_task(Path(teacher)).model  # type: ignore[assignment]
    return original(model).eval().requires_grad_(False)


def _copy(teacher: nn.Module, student: nn.Module) -> None:
    """Begin a student with the tensors of a teacher that have equal names and shapes."""
    given, wanted = teacher.state_dict(), student.state_dict()
    shared = {
        name: given[name]
        for name, tensor in wanted.items()
        if name in given and given[name].shape == tensor.shape
    }
    if not shared:
        raise ArchitectureError(
            'the student has no tensor of the name and shape of one of the teacher: take a '
            'shallower model of its family, resnet18 of resnet34 say, or start: own'
        )
    student.load_state_dict(shared, strict=False)
    parts, whole = (sum(each.numel() for each in d.values()) for d in (shared, wanted))
    rank_zero_info(
        f'Distil: {len(shared)} of {len(wanted)} tensors, {100 * parts / whole:.0f} % of the '
        'values, are the teacher’s'
    )
