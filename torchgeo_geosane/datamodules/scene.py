"""What the data modules of one scene have in common."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_geosane.datamodules.few_shot import check_fraction, few_shot
from torchgeo_geosane.datasets.scene_chips import SceneChips


class RandomChipSampler(Sampler[int]):
    """Draws windows at random, with replacement.

    It depends on the seed of the run alone, not on how many random numbers were drawn before:
    models with different starts see the same chips. Being no ``RandomSampler``, distributed
    training wraps it instead of replacing it.
    """

    def __init__(self, windows: int, length: int) -> None:
        """Start from the seed that ``seed_everything`` or ``torch.manual_seed`` set.

        Args:
            windows: Number of windows to draw from.
            length: Number of draws an epoch.
        """
        self._windows = windows
        self._length = length
        self._generator = torch.Generator().manual_seed(torch.initial_seed())

    def __len__(self) -> int:
        """Return the number of draws an epoch."""
        return self._length

    def __iter__(self) -> Iterator[int]:
        """Draw one epoch."""
        drawn = torch.randint(self._windows, (self._length,), generator=self._generator)
        yield from drawn.tolist()


class SceneDataModule(NonGeoDataModule):
    """Random chips of the western block for training, grids of the others for validation and test.

    Bands are normalised with the mean and standard deviation of the training block. Training chips
    are flipped at random. Both happen on the device, after the transfer.
    """

    def __init__(
        self,
        dataset_class: type[SceneChips],
        root: str | Path,
        bands: Sequence[str],
        batch_size: int,
        patch_size: int,
        length: int,
        num_workers: int,
        train_fraction: float,
        seed: int,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            dataset_class: The data set.
            root: Folder of the scene.
            bands: Bands in the order of the model's input channels.
            batch_size: Chips a batch.
            patch_size: Height and width of a chip in pixels.
            length: Training chips an epoch.
            num_workers: Worker processes; with the scene in memory 0 is fast.
            train_fraction: Share of the labelled squares of 16 x 16 pixels of the training block
                whose labels one trains on; a smaller one is inside. Windows overlap, so that a
                share of them would cover everything.
            seed: Of that choice.

        Raises:
            DataError: If ``train_fraction`` is out of range.
        """
        check_fraction(train_fraction)
        super().__init__(
            dataset_class,
            batch_size,
            num_workers,
            root=root,
            bands=tuple(bands),
            patch_size=patch_size,
        )
        self._make: Callable[..., SceneChips] = dataset_class
        self.length = length
        self.train_fraction = train_fraction
        self.seed = seed

    def setup(self, stage: str) -> None:
        """Create the datasets of a stage and learn the statistics from the training block.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``, which serves the test
                block.

        Raises:
            DatasetNotFoundError: If ``root`` is not a folder.
            DataError: If files are missing, damaged or contradict each other.
        """
        super().setup(stage)
        if stage == 'fit' and self.train_fraction < 1:
            self._forget_labels(self.train_dataset)
        if stage == 'predict':
            self.predict_dataset = self._make(split='test', **self.kwargs)
        self.mean, self.std = self._make(split='train', **self.kwargs).statistics()
        normalize = K.Normalize(mean=self.mean, std=self.std)
        self.aug = K.AugmentationSequential(normalize, data_keys=None, keepdim=True)
        self.train_aug = K.AugmentationSequential(
            normalize,
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            data_keys=None,
            keepdim=True,
        )

    def _forget_labels(self, data: Any) -> None:
        cells = data.labelled_cells()
        names = [f'{row}/{column}' for row, column in cells]
        chosen = few_shot(names, self.train_fraction, self.seed)
        data.keep_labels(cells[index] for index in chosen)

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Draw ``length`` random chips an epoch."""
        dataset = self._valid_attribute('train_dataset')
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=RandomChipSampler(len(dataset), self.length),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )
