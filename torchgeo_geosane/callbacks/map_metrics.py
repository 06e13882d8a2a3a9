"""Metrics of maps: the test of whole scenes, not of chips."""

from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix

from torchgeo_geosane.callbacks.mean_iou import mean_iou
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.predict.testing import PartMaps, Sample, TestedRows

if TYPE_CHECKING:
    from torchgeo_geosane.datasets import Imagery

PREFIX = 'test_map_'


class MapMetrics(Callback):
    """Logs ``test_map_…``: the task's metrics and the mean IoU of maps, of an ``ImageryDataModule``.

    Without it a test counts chips that lie side by side, which a model sees without their
    surroundings. Here the ground of the test part is predicted as ``predict --scene`` predicts a
    scene, by windows that overlap, blended, and each pixel of each image counts once. The metrics
    of the chips, ``test_…``, stay what they are. ``SegmentationFigure`` draws the same map.

    Segmentation only: labels of imagery are classes. Several devices share the images.
    """

    def __init__(self) -> None:
        self.sample: dict[str, Tensor] | None = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self.sample = None

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Predict the maps of the test part, count them, and log what comes out.

        Raises:
            DataError: If a file is damaged.
        """
        module: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(module, ImageryDataModule) or 'num_classes' not in pl_module.hparams:
            rank_zero_warn(
                'no metrics of maps: they want a segmentation, and data of an ImageryDataModule'
            )
            return
        counts, part = _Counts(pl_module), module.test_dataset
        with trainer.precision_plugin.test_step_context():
            maps = PartMaps(pl_module, module, cast('Imagery', part))
            for number in range(trainer.global_rank, len(maps.scenes), trainer.world_size):
                sample = Sample(maps.scenes[number])
                for rows in maps.rows(maps.scenes[number]):
                    counts.update(rows)
                    sample.keep(rows)
                self.sample = sample.read() if number == 0 else self.sample
        pl_module.log_dict(counts.compute())


class _Counts:
    """A task's own metrics of the test, and a confusion matrix."""

    def __init__(self, task: LightningModule) -> None:
        self._ignored = task.hparams['ignore_index']
        own: Any = getattr(task, 'test_metrics', None)
        self._metrics = (MetricCollection([]) if own is None else own).clone(prefix=PREFIX)
        self._metrics.reset()
        self._confusion = MulticlassConfusionMatrix(max(task.hparams['num_classes'] or 2, 2))
        self._confusion.to(task.device)

    def update(self, rows: TestedRows) -> None:
        labelled = rows.mask != self._ignored
        values, labels = rows.values[:, labelled].T.squeeze(1), rows.mask[labelled]
        if len(labels):
            self._metrics.update(values, labels)
            self._confusion.update(rows.prediction[labelled], labels)

    def compute(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self._metrics.compute()
        return {**found, f'{PREFIX}mIoU': mean_iou(self._confusion.compute())}
