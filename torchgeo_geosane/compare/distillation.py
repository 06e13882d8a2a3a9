"""Knowledge distillation: a small model learns what a large one has learned of the same task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from torchgeo_geosane.errors import ComparisonError


@dataclass(frozen=True)
class DistillationOptions:
    """How the small model learns from the large one (Hinton et al. 2015, arXiv:1503.02531).

    Attributes:
        teacher: Arguments of the fit's model that make it the large one, e.g.
            ``{backbone: timm-efficientnet-b4}``.
        temperature: Divides the logits of both, above 0.
        share: Of the loss that comes from the teacher, 0 to 1; the labels have the rest.
    """

    teacher: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 2.0
    share: float = 0.5

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ComparisonError: If one is out of range.
        """
        if self.temperature <= 0 or not 0 <= self.share <= 1:
            raise ComparisonError(
                'distillation wants a temperature above 0 and a share from 0 to 1, not '
                f'{self.temperature} and {self.share}'
            )


class Distil(Callback):
    """Adds the soft targets of a teacher to a task's loss, for classes and labels.

    Args:
        teacher: The large model, trained; it sees what the task's model sees, and gives logits of
            the same shape.
        options: Temperature and share.
    """

    def __init__(self, teacher: nn.Module, options: DistillationOptions) -> None:
        self._teacher = teacher.eval().requires_grad_(False)
        self._options = options
        self._undo: Callable[[], None] = lambda: None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to the task's model, and change what a training step gives."""
        self._teacher.to(pl_module.device)
        plain = pl_module.training_step
        seen: list[tuple[Tensor, Tensor]] = []
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        handle = model.register_forward_hook(
            lambda _, images, logits: seen.append((images[0], logits)) if model.training else None
        )
        soften = soft_labels if _has_labels(pl_module) else soft_classes

        def step(*arguments: Any, **keywords: Any) -> Tensor:
            seen.clear()
            loss = plain(*arguments, **keywords)
            image, logits = seen[-1]
            with torch.no_grad():
                taught = self._teacher(image)
            share = self._options.share
            distance = soften(logits, taught, self._options.temperature)
            return (1 - share) * loss + share * distance  # type: ignore[operator]

        def undo() -> None:
            handle.remove()
            del pl_module.training_step

        pl_module.training_step = step  # type: ignore[method-assign]
        self._undo = undo

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the task as it was."""
        self._undo()


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


def _has_labels(task: LightningModule) -> bool:
    """Whether the task's classes do not exclude each other.

    Raises:
        ComparisonError: If it predicts no classes.
    """
    kind = task.hparams.get('task', 'multiclass' if 'num_classes' in task.hparams else None)
    if kind not in {'binary', 'multiclass', 'multilabel'}:
        raise ComparisonError(f'{type(task).__name__} predicts no classes: nothing to distil')
    return kind != 'multiclass'
