"""Mean intersection over union, under one name on every version of TorchGeo."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from torchgeo_geosane.callbacks.predictions import PredictionCallback


class MeanIoU(PredictionCallback):
    """Logs ``val_mIoU`` and ``test_mIoU``: IoU averaged over the classes that occur in the labels.

    TorchGeo 0.8 logs the micro average only, which the frequent classes decide; TorchGeo 0.10 calls
    the macro average ``AverageJaccardIndex``. This name and definition are the same on both. The
    number of classes and the ignored label are the task's ``num_classes`` and ``ignore_index``.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Prepare an empty confusion matrix."""
        super().setup(trainer, pl_module, stage)
        self._matrix = MulticlassConfusionMatrix(
            max(pl_module.hparams['num_classes'] or 2, 2),
            ignore_index=pl_module.hparams['ignore_index'],
        )

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Empty the confusion matrix."""
        self._matrix.to(pl_module.device).reset()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Empty the confusion matrix."""
        self._matrix.to(pl_module.device).reset()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch."""
        self._matrix.update(self.prediction, batch['mask'])

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the batch."""
        self._matrix.update(self.prediction, batch['mask'])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log ``val_mIoU``."""
        pl_module.log('val_mIoU', mean_iou(self._matrix.compute()), prog_bar=True)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log ``test_mIoU``."""
        pl_module.log('test_mIoU', mean_iou(self._matrix.compute()))


def mean_iou(confusion: Tensor) -> Tensor:
    """Mean IoU over the classes that occur in the labels.

    Args:
        confusion: Counts, [labels, predictions].

    Returns:
        A float32 scalar in [0, 1]; 0 where no class occurs.
    """
    hits = confusion.diagonal()
    labelled = confusion.sum(dim=1)
    union = labelled + confusion.sum(dim=0) - hits
    present = labelled > 0
    if not present.any():
        return torch.zeros((), device=confusion.device)
    return (hits[present] / union[present]).float().mean()
