"""What the data modules of chips have in common: no data, and chips that hold nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from torchgeo_geosane.datamodules.images import ImageDataModule
from torchgeo_geosane.datamodules.samples import Resize
from torchgeo_geosane.datamodules.task_check import Facts
from torchgeo_geosane.datasets.chips import (
    FILL,
    ChipDataset,
    ClassificationChips,
    SegmentationChips,
)
from torchgeo_geosane.datasets.legend import IGNORE_INDEX


class ChipDataModule(ImageDataModule):
    """Batches of a chip data set."""

    def __init__(
        self,
        dataset_class: type[ChipDataset],
        root: str | Path,
        bands: Sequence[str],
        batch_size: int,
        num_workers: int,
        train_fraction: float,
        seed: int,
        skip_empty: bool,
        size: int | None = None,
        **options: Any,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            dataset_class: The data set.
            root: Its folder.
            bands: Bands in the order of the model's input channels.
            batch_size: Chips a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on, see
                :func:`~.few_shot.few_shot`.
            seed: Of that choice.
            skip_empty: Whether to train without chips that hold nothing to learn from; looking for
                them reads every file of the training part once.
            size: Height and width that images are resized to, or None.
            options: What else the data set is given.

        Raises:
            DataError: If ``train_fraction`` or ``size`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        if size is not None:
            options['transforms'] = Resize(size)
        super().__init__(
            dataset_class,
            bands,
            dataset_class.units,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            root=root,
            **options,
        )
        self._kind = dataset_class
        self.kwargs['bands'] = self.bands
        self.skip_empty = skip_empty

    @property
    def fill(self) -> Tensor:
        """What each band holds after normalisation where there is no data, [bands]."""
        filled = torch.tensor([FILL.get(unit, 0.0) for unit in self._units])
        return self.aug({'image': filled.reshape(1, -1, 1, 1)})['image'].flatten()

    def _facts(self) -> Facts:
        ignored = IGNORE_INDEX if issubclass(self._kind, SegmentationChips) else None
        return Facts(self.bands, self._kind.classes, ignored)

    def _undo(self, data: ChipDataset) -> None:
        data.transforms, data.nodata = None, 'nan'

    def _worth_training_on(self, data: ChipDataset, indices: list[int]) -> list[int]:
        if not self.skip_empty:
            return indices
        empty = [data.empty[index] for index in indices if index in data.empty]
        rank_zero_info(
            f'{type(data).__name__}: {len(empty)} of {len(indices)} chips to train on are empty '
            'and left out' + ''.join(f', {name}' for name in empty[:5]) + ', …' * (len(empty) > 5)
        )
        return [index for index in indices if index not in data.empty]

    def _labels(self, data: ChipDataset) -> Sequence[int] | None:
        return data.targets() if isinstance(data, ClassificationChips) else None

    def _name(self, data: ChipDataset, index: int) -> str:
        return data.name(index)
