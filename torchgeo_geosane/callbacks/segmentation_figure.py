"""A figure of what the tested model predicts."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import Subset
from torchgeo.datasets import RGBBandsMissingError

from torchgeo_geosane.callbacks.map_metrics import MapMetrics
from torchgeo_geosane.callbacks.predictions import PredictionCallback
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.predict.testing import PartMaps, Sample, middle


class SegmentationFigure(PredictionCallback):
    """Writes image, label and prediction to ``test_prediction.png`` when a test ends.

    Of an :class:`~torchgeo_geosane.datamodules.imagery.ImageryDataModule` it draws the largest
    piece of ground of the test, predicted as a map is: by windows that overlap, blended. Of other
    data it draws the first chip. It draws with the ``plot`` method of the test dataset, which most
    TorchGeo datasets have. The file lies beside the metrics, in the trainer's log directory.
    """

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the chip of an earlier test."""
        self._chip: dict[str, Tensor] | None = None

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first chip."""
        if self._chip is None and trainer.is_global_zero:
            kept = {'image': batch['image'], 'mask': batch['mask'], 'prediction': self.prediction}
            self._chip = {key: value[0].cpu() for key, value in kept.items()}

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the figure and print where it is."""
        folder = trainer.log_dir or trainer.default_root_dir
        if not trainer.is_global_zero or self._chip is None:
            return
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        dataset = datamodule.test_dataset or datamodule.dataset
        if isinstance(dataset, Subset):
            dataset = dataset.dataset
        if isinstance(datamodule, ImageryDataModule):
            sample = _counted(trainer) or _predicted(trainer, datamodule, dataset)
        else:
            sample = dict(self._chip)
            scale = datamodule.mean, datamodule.std
            mean, std = (torch.as_tensor(x).view(-1, 1, 1) for x in scale)
            sample['image'] = sample['image'] * std + mean
        try:
            figure = dataset.plot(sample)
        except (AttributeError, RGBBandsMissingError) as error:
            rank_zero_warn(f'no figure of the test: {error}')
            return
        path = Path(folder) / 'test_prediction.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
        print(f'Figure of the test: {path}')


def _counted(trainer: Trainer) -> dict[str, Tensor] | None:
    """The map whose metrics were logged, if any."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((each.sample for each in callbacks if isinstance(each, MapMetrics)), None)


def _predicted(trainer: Trainer, module: ImageryDataModule, data: Imagery) -> dict[str, Tensor]:
    with trainer.precision_plugin.test_step_context():
        maps = PartMaps(trainer.lightning_module, module, data)
        scene = middle(maps.scenes[0])
        sample = Sample(scene)
        for rows in maps.rows(scene):
            sample.keep(rows)
    return sample.read()
