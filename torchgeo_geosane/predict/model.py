"""A finetuned task as a function: from images as files hold them to what a map is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import kornia.augmentation as K
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from torchgeo_geosane.datamodules.pipelines import BandScale, normalisation
from torchgeo_geosane.datasets.chips import FILL
from torchgeo_geosane.errors import DataError

Kind = Literal['classes', 'binary', 'labels', 'values']
Precision = Literal['32', 'bf16', '16']

# TorchGeo 0.8 and 0.10 name this task differently.
_CHANGE_DETECTION = {'ChangeDetection', 'ChangeDetectionTask'}
_FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
_TYPES = {'bf16': torch.bfloat16, '16': torch.float16}


def kind_of(task: LightningModule) -> Kind:
    """What a task says of a pixel.

    Returns:
        ``'classes'``: a probability for each, of which one is true; ``'binary'``: that of the second
        of two; ``'labels'``: one for each, of which several may be true; ``'values'``: numbers.
    """
    tasks: dict[str, Kind] = {
        'multiclass': 'classes',
        'binary': 'binary',
        'multilabel': 'labels',
    }
    default = 'multiclass' if 'num_classes' in task.hparams else None
    return tasks.get(str(task.hparams.get('task', default)), 'values')


def compares_dates(task: LightningModule) -> bool:
    """Whether a task looks at two dates, for change detection."""
    names = {base.__name__ for base in type(task).__mro__}
    return bool(names & _CHANGE_DETECTION)


def dense(answer: Any, images: Tensor) -> Tensor:
    """What a task's ``predict_step`` says of each pixel, float32, [batch, channels, height, width].

    Raises:
        DataError: If it is something else.
    """
    # TorchGeo 0.8 gives a tensor, later ones a dictionary.
    values = answer['probabilities'] if isinstance(answer, dict) else answer
    if not isinstance(values, Tensor) or values.shape[2:] != images.shape[-2:]:
        said = list(values.shape[1:]) if isinstance(values, Tensor) else type(values).__name__
        raise DataError(
            f'the task answers an image of {list(images.shape[-2:])} pixels with {said}: a map wants '
            'an answer for each pixel, of a segmentation, change detection or pixelwise regression'
        )
    return values.float()


@dataclass
class Model:
    """A task on its device.

    Attributes:
        task: The task.
        normalise: What its data module does to a batch.
        fill: What stands for no data, by band, before that.
        device: Where it runs.
        precision: ``'32'``, or the type that matrix products and convolutions run in.
        flips: Whether images are also seen flipped, and the answers averaged: four times the work.
    """

    task: LightningModule
    normalise: K.AugmentationSequential
    fill: Sequence[float]
    device: torch.device
    precision: Precision = '32'
    flips: bool = False

    @classmethod
    def of(
        cls,
        task: LightningModule,
        units: Sequence[str],
        scales: Sequence[BandScale],
        device: torch.device,
        precision: Precision = '32',
        flips: bool = False,
    ) -> 'Model':
        """A task for images of some units, whose bands are normalised as it was trained."""
        fill = [FILL.get(unit, 0.0) for unit in units]
        return cls(task, normalisation(units, scales), fill, device, precision, flips)

    def __post_init__(self) -> None:
        """Put the task on its device, its convolutions in the layout that is fast there."""
        self.kind = kind_of(self.task)
        self.dates = 2 if compares_dates(self.task) else 1
        self._fill = torch.tensor(list(self.fill), device=self.device)[:, None, None]
        # Same numbers but for rounding; on CPUs and tensor cores in less time.
        self.task.to(self.device, memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            images: [batch, bands, height, width], as files hold them, NaN where there is no data;
                for a task that compares two dates the bands of the second after those of the first.

        Returns:
            Probabilities or values, float32, [batch, channels, height, width], and which pixels have
            data in all bands, bool, [batch, height, width].

        Raises:
            DataError: If the task answers with something else than one map an image.
        """
        prepared, known = self.prepare(images.to(self.device, non_blocking=True))
        views = _FLIPS if self.flips else _FLIPS[:1]
        total: Tensor | None = None
        for dims in views:
            seen = self._predict(prepared.flip(dims)).flip(dims)
            total = seen if total is None else total + seen
        assert total is not None
        return total / len(views), known

    def prepare(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Fill what has no data and normalise: what the task's model sees, and where data are."""
        if self.dates > 1:
            images = images.reshape(len(images), self.dates, -1, *images.shape[-2:])
        known = torch.ones(len(images), *images.shape[-2:], dtype=torch.bool, device=self.device)
        # Integers have no NaN, and most windows of most scenes are integers.
        if images.is_floating_point():
            missing = torch.isnan(images)
            known = ~missing.flatten(1, -3).any(1)
            images = torch.where(missing, self._fill, images)
        flat = images.float().flatten(0, -4)
        return self.normalise({'image': flat})['image'].view(images.shape), known

    def _predict(self, images: Tensor) -> Tensor:
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        autocast = torch.autocast(
            self.device.type, _TYPES.get(self.precision), enabled=self.precision in _TYPES
        )
        with autocast:
            step: Callable[..., Any] = self.task.predict_step
            answer = step({'image': images}, 0)
        return dense(answer, images)
