"""Training images and what their labels tell, for probes on frozen features."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, one_hot

from torchgeo_geosane.callbacks.probe import Measure
from torchgeo_geosane.callbacks.tasks import model_input
from torchgeo_geosane.errors import DataError

# Of each image: many pixels of one image are alike.
_POINTS = 32


@dataclass(frozen=True)
class Points:
    """Labelled pixels of images.

    Attributes:
        places: Batch by batch float32 ``[batch, n, 2]``: column and row, from -1 to 1.
        targets: Their classes, one-hot float32 ``[images, n, 1, classes]``.
        known: Whether an image has labels, bool ``[images, n, 1]``.
    """

    places: list[Tensor]
    targets: Tensor
    known: Tensor


@dataclass(frozen=True)
class Examples:
    """Images and labels, on the CPU, batch by batch.

    Attributes:
        images: What the task's model sees.
        labels: ``label`` or ``mask`` of the batches.
        classes: The number of classes; 0 where a label is not one class.
        ignored: The class that is none.
        is_multilabel: Whether a label is a set of classes.
    """

    images: list[Tensor]
    labels: list[Tensor]
    classes: int
    ignored: int | None
    is_multilabel: bool

    @classmethod
    def draw(cls, task: LightningModule, key: str, batches: Iterable[Any]) -> 'Examples':
        """Take images and labels out of batches.

        Args:
            task: What its labels mean is read from its hyper-parameters.
            key: ``label`` or ``mask``.
            batches: Training batches.

        Raises:
            DataError: If they have no such labels, or are fewer than four images.
        """
        images, labels = [], []
        for batch in batches:
            images.append(model_input(task, batch).cpu())
            if key not in batch:
                raise DataError(f'a batch has no "{key}" to probe for, only: {", ".join(batch)}')
            labels.append(batch[key].cpu())
        if sum(map(len, images)) < 4:
            raise DataError(
                f'{sum(map(len, images))} training images are too few to tell candidates apart: '
                'one half fits the probe, the other scores it'
            )
        kind = task.hparams.get('task')
        classes = max(task.hparams.get('num_classes') or 2, 2) if kind else 0
        is_multilabel = kind == 'multilabel'
        ignored = task.hparams.get('ignore_index')
        return cls(images, labels, 0 if is_multilabel else classes, ignored, is_multilabel)

    @property
    def measure(self) -> Measure:
        """What tells good predictions of these labels."""
        if self.classes:
            return 'balanced accuracy'
        return 'mean average precision' if self.is_multilabel and not self._are_masks else 'R2'

    def targets(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """What the labels tell about the features of the images.

        Args:
            rows: Of the grid of features; does not matter where there are :attr:`points`.
            columns: The same.

        Returns:
            Of the :attr:`points`, or else of the :meth:`cells`: targets, float32 ``[images, rows,
            columns, k]``, and which of them are known, bool ``[images, rows, columns]``.
        """
        if self.points:
            return self.points.targets, self.points.known
        return self.cells(rows, columns)

    def cells(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """What the labels tell about each cell of a grid over the images.

        Of a mask it is the fraction of each class, or the mean value, in the cell.

        Returns:
            As :meth:`targets` does.
        """
        cells = [self._cells(label, rows, columns) for label in self.labels]
        targets, known = (torch.cat(each) for each in zip(*cells, strict=True))
        return targets, known

    @cached_property
    def points(self) -> Points | None:
        """Labelled pixels to look at, where labels are masks of classes.

        The classes of an image are drawn equally often, and a pixel may be drawn again.
        """
        if not (self.classes and self._are_masks):
            return None
        generator = torch.Generator().manual_seed(0)
        drawn = [self._draw(label, _POINTS, generator) for label in self.labels]
        places, targets, known = zip(*drawn, strict=True)
        return Points(list(places), torch.cat(targets), torch.cat(known))

    @property
    def _are_masks(self) -> bool:
        return self.labels[0].ndim > 2

    def _draw(
        self, label: Tensor, count: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        planes, known = self._planes(label)
        planes = (planes * known).flatten(2)
        # A pixel's chance is one over the size of its class in its image.
        chances = (planes / planes.sum(2, keepdim=True).clamp(min=1)).sum(1)
        has_labels = chances.sum(1) > 0
        chances[~has_labels] = 1
        chosen = chances.multinomial(count, replacement=True, generator=generator)
        height, width = label.shape[-2:]
        columns, rows = chosen % width, chosen // width
        place = torch.stack([(2 * columns + 1) / width, (2 * rows + 1) / height], dim=-1) - 1
        classes = planes.gather(2, chosen.unsqueeze(1).expand(-1, planes.shape[1], -1))
        seen = has_labels[:, None, None].expand(-1, count, 1)
        return place, (classes > 0).float().transpose(1, 2).unsqueeze(2), seen

    def _cells(self, label: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        planes, known = self._planes(label)
        share = adaptive_avg_pool2d(known, (rows, columns))
        means = adaptive_avg_pool2d(planes * known, (rows, columns)) / share.clamp(min=1e-6)
        return means.permute(0, 2, 3, 1), share[:, 0] > 0

    def _planes(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Labels as planes ``[batch, k, height, width]``, and where they are known."""
        image = label.reshape(len(label), -1, 1, 1) if label.ndim < 3 else label
        image = image.unsqueeze(1) if image.ndim == 3 else image
        known = image.isfinite() if image.is_floating_point() else torch.ones_like(image).bool()
        if self.ignored is not None:
            known &= image != self.ignored
        if self.classes:
            known &= (image >= 0) & (image < self.classes)
            index = image.where(known, 0).long()[:, 0]
            planes = one_hot(index, self.classes).permute(0, 3, 1, 2)
            return planes.float(), known[:, :1].float()
        return image.where(known, 0).float(), known.all(1, keepdim=True).float()
