"""A figure of what the tested model predicts."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import Subset
from torchgeo.datasets import RGBBandsMissingError

from torchgeo_geosane.callbacks.predictions import PredictionCallback

MAX_CHIPS = 64


class SegmentationFigure(PredictionCallback):
    """Writes image, label and prediction to ``test_prediction.png`` when a test ends.

    It draws with the ``plot`` method of the test dataset, which most TorchGeo datasets have. Where
    the dataset says that its chips form a grid (``grid_shape``), the whole grid is drawn, otherwise
    the first chip. The file lies beside the metrics, in the trainer's log directory.
    """

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the chips of an earlier test."""
        self._chips: list[dict[str, Tensor]] = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the chips of the batch."""
        if not trainer.is_global_zero:
            return
        kept = {**{key: batch[key] for key in ('image', 'mask')}, 'prediction': self.prediction}
        for i in range(min(len(batch['mask']), MAX_CHIPS - len(self._chips))):
            self._chips.append({key: value[i].cpu() for key, value in kept.items()})

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the figure and print where it is."""
        folder = trainer.log_dir or trainer.default_root_dir
        if not trainer.is_global_zero or not self._chips:
            return
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        dataset = datamodule.test_dataset or datamodule.dataset
        if isinstance(dataset, Subset):
            dataset = dataset.dataset
        sample = _mosaic(self._chips, getattr(dataset, 'grid_shape', None))
        mean, std = (torch.as_tensor(x).view(-1, 1, 1) for x in (datamodule.mean, datamodule.std))
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


def _mosaic(chips: list[dict[str, Tensor]], grid: tuple[int, int] | None) -> dict[str, Tensor]:
    """Join the chips of a full grid, row by row; take the first chip where they do not form one."""
    if grid is None or grid[0] * grid[1] != len(chips):
        return chips[0]
    rows = [chips[i : i + grid[1]] for i in range(0, len(chips), grid[1])]
    return {
        key: torch.cat([torch.cat([chip[key] for chip in row], dim=-1) for row in rows], dim=-2)
        for key in chips[0]
    }
