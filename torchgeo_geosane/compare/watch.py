"""Callbacks of a comparison's runs: where a run starts, what stays frozen, what is recorded."""

import time
from collections.abc import Collection
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.callbacks.tasks import model_input
from torchgeo_geosane.compare.arithmetic import State
from torchgeo_geosane.compare.record import Curve
from torchgeo_geosane.errors import ComparisonError, did_you_mean

# Enough to draw, little to store.
_POINTS = 200
_REPEATS = 5


class CheckStart(Callback):
    """Makes sure that the first step is taken from the weights that were meant.

    Args:
        backbone: The task's backbone.
        tensors: What it has to hold.
    """

    def __init__(self, backbone: Backbone, tensors: State) -> None:
        self._backbone, self._tensors = backbone, tensors

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare every tensor, bit for bit.

        Raises:
            ComparisonError: If one is another.
        """
        own = self._backbone.module.state_dict()
        for key, name in self._backbone.names.items():
            if not torch.equal(own[key].cpu(), self._tensors[name].to(own[key].dtype)):
                raise ComparisonError(f'the training does not start from the weights given: {key}')


class FreezeBackbone(Callback):
    """Trains everything but the backbone, whose BatchNorm uses its running statistics.

    Args:
        module: The task's backbone.
        names: Of its parameters that stay; a head inside it is trained.
    """

    def __init__(self, module: nn.Module, names: Collection[str]) -> None:
        self._module, self._names = module, names

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze the parameters."""
        for name, parameter in self._module.named_parameters():
            if name in self._names:
                parameter.requires_grad_(False)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the backbone in evaluation mode, whatever a validation did to it."""
        self._module.eval()


class RecordCurves(Callback):
    """Records the training loss of every step, and a metric of every validation.

    Args:
        metric: As the validation logs it.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._losses: list[Tensor] = []
        self._validation: list[tuple[int, float]] = []

    @property
    def curve(self) -> Curve:
        """Steps and losses; of long trainings, the means of equal blocks at their last steps."""
        if not self._losses:
            return ()
        block = -(-len(self._losses) // _POINTS)
        means = [part.mean().item() for part in torch.split(torch.stack(self._losses).cpu(), block)]
        return tuple(
            (min((i + 1) * block, len(self._losses)), mean) for i, mean in enumerate(means)
        )

    @property
    def validation(self) -> Curve:
        """Steps and values."""
        return tuple(self._validation)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Keep the loss."""
        loss = outputs['loss'] if isinstance(outputs, dict) else outputs
        self._losses.append(loss.detach().float())

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the metric.

        Raises:
            ComparisonError: If the validation does not log it.
        """
        if trainer.sanity_checking:
            return
        logged = trainer.callback_metrics
        if self._metric not in logged:
            hint = did_you_mean(self._metric, logged)
            raise ComparisonError(f'the validation logs no {self._metric!r}{hint}')
        self._validation.append((trainer.global_step, logged[self._metric].item()))


class TimeImages(Callback):
    """Measures how long the task's model takes for an image, on the first batch of the test."""

    def __init__(self) -> None:
        self.image_ms = 0.0

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Run it some times more: the fastest is the one that least else ran beside."""
        if batch_idx or dataloader_idx:
            return
        images = model_input(pl_module, batch)
        with trainer.precision_plugin.test_step_context():
            seconds = min(_seconds(pl_module, images) for _ in range(_REPEATS))
        self.image_ms = 1000 * seconds / len(images)


@torch.no_grad()
def _seconds(task: LightningModule, images: Tensor) -> float:
    _wait_for(images.device)
    began = time.perf_counter()
    task.model(images)  # type: ignore[operator]
    _wait_for(images.device)
    return time.perf_counter() - began


def _wait_for(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
