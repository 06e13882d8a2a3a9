"""What the data modules of images have in common: parts, few shots, scales, augmentation."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchgeo.datamodules import NonGeoDataModule
from torchgeo.datasets import NonGeoDataset
from tqdm.auto import tqdm

from torchgeo_geosane.datamodules.few_shot import check_fraction, few_shot
from torchgeo_geosane.datamodules.loading import GuardedLoader, reading_ahead
from torchgeo_geosane.datamodules.pipelines import (
    BandScale,
    augmentation,
    clipping,
    in_decibels,
    normalisation,
)
from torchgeo_geosane.datamodules.statistics import band_statistics
from torchgeo_geosane.datamodules.task_check import Facts, check_task
from torchgeo_geosane.datasets.chips import checked_bands, drawn_part
from torchgeo_geosane.errors import DataError


class ImageDataModule(NonGeoDataModule):
    """Batches of a data set of images, normalised, and augmented where one trains.

    Both happen on the device, after the transfer. A subclass says how bands are normalised, and
    which parts of the data set one trains, validates and tests on.

    Attributes:
        scales: How each band of the data set is normalised.
        statistics_source: Where these numbers come from.
        parts: Part of the data set for each of ``'train'``, ``'val'`` and ``'test'``. Where one
            part serves several, a hash of the samples' groups divides it: to train and to validate
            85 to 15 %, to test as well 70, 15 and 15 %.
    """

    scales: ClassVar[Mapping[str, BandScale]]
    statistics_source: ClassVar[str]
    parts: Mapping[str, str] = {'train': 'train', 'val': 'val', 'test': 'test'}

    def __init__(
        self,
        dataset_class: type[NonGeoDataset],
        bands: Sequence[str],
        units: Mapping[str, str],
        batch_size: int,
        num_workers: int,
        train_fraction: float,
        seed: int,
        **options: Any,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            dataset_class: The data set.
            bands: Bands in the order of the model's input channels.
            units: Unit of each band of the data set.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on, see
                :func:`~.few_shot.few_shot`.
            seed: Of that choice.
            options: What the data set is given.

        Raises:
            DataError: If ``train_fraction`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        check_fraction(train_fraction)
        self.bands = checked_bands(bands, tuple(self.scales))
        self._units = [units[band] for band in self.bands]
        self._scales = [self.scales[band] for band in self.bands]
        self.mean = torch.tensor([scale.mean for scale in self._scales])
        self.std = torch.tensor([scale.std for scale in self._scales])
        super().__init__(dataset_class, batch_size, num_workers, **options)
        self._make: Callable[..., Any] = dataset_class
        self.train_fraction = train_fraction
        self.seed = seed
        self.aug = normalisation(self._units, self._scales)
        self.train_aug = augmentation(self._units, self._scales)

    def setup(self, stage: str) -> None:
        """Create the data sets of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``, which serves the test
                part.

        Raises:
            DatasetNotFoundError: If the data set is not found.
            DataError: If files are missing, damaged or contradict each other, there are fewer
                images to train on than a batch has, or the task does not fit the data.
        """
        check_task(self, self._facts())
        if stage == 'fit':
            self.train_dataset = self._training()
        if stage in {'fit', 'validate'}:
            self.val_dataset = Subset(*self._part('val'))
        if stage == 'test':
            self.test_dataset = Subset(*self._part('test'))
        if stage == 'predict':
            self.predict_dataset = Subset(*self._part('test'))

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Measure what :attr:`scales` states: every file of the training part is read once.

        Returns:
            Mean and standard deviation of each band, [bands], in dB for radar, of clipped values,
            without pixels that have no data.

        Raises:
            DatasetNotFoundError: If the data set is not found.
            DataError: If files are missing, damaged or contradict each other.
        """
        return band_statistics(self._images())

    def _images(self) -> Iterator[Tensor]:
        """The training images as they are before normalisation, in full size."""
        data, indices = self._part('train')
        self._undo(data)
        steps = [*in_decibels(self._units), *clipping(self._scales)]
        for index in tqdm(indices, 'reading images', unit='image', delay=2, leave=False):
            image = data[index]['image']
            for step in steps:
                image = step(image)
            yield image

    def _dataloader_factory(self, split: str) -> DataLoader[dict[str, Tensor]]:
        return GuardedLoader(
            self._valid_attribute(f'{split}_dataset', 'dataset'),
            batch_size=self._valid_attribute(f'{split}_batch_size', 'batch_size'),
            shuffle=split == 'train',
            drop_last=split == 'train',
            collate_fn=self.collate_fn,
            **reading_ahead(self.num_workers),
        )

    def _facts(self) -> Facts:
        """What is compared with the task."""
        return Facts(self.bands)

    def _training(self) -> Subset[dict[str, Tensor]]:
        data, indices = self._part('train')
        kind = type(data).__name__
        indices = self._worth_training_on(data, indices)
        if self.train_fraction < 1:
            labels = self._labels(data)
            chosen = few_shot(
                [self._name(data, index) for index in indices],
                self.train_fraction,
                self.seed,
                None if labels is None else [labels[index] for index in indices],
            )
            rank_zero_info(f'{kind}: training on {len(chosen)} of {len(indices)} images')
            indices = [indices[position] for position in chosen]
        if len(indices) < self.batch_size:
            # TorchGeo drops the last batch where it is not full, and would train on nothing.
            raise DataError(
                f'{kind} has {len(indices)} images to train on, fewer than a batch of '
                f'{self.batch_size}: lower batch_size, or raise train_fraction'
            )
        return Subset(data, indices)

    def _part(self, part: str) -> tuple[Any, list[int]]:
        """The data set of a part, and the indices that belong to it."""
        data = self._dataset(part)
        indices = list(range(len(data)))
        sharing = {other for other, name in self.parts.items() if name == self.parts[part]}
        if len(sharing) == 1:
            return data, indices
        drawn = {index: drawn_part(self._group(self._name(data, index))) for index in indices}
        # Where a part is not shared with the test, what would be the test's is for training.
        drawn = {index: name if name in sharing else 'train' for index, name in drawn.items()}
        return data, [index for index in indices if drawn[index] == part]

    def _dataset(self, part: str) -> Any:
        """The data set that a part is taken from."""
        return self._make(split=self.parts[part], **self.kwargs)

    def _undo(self, data: Any) -> None:
        """Change a data set so that images come in full size, with NaN where there is no data."""

    def _worth_training_on(self, data: Any, indices: list[int]) -> list[int]:
        """The samples that hold something to learn from: by default all."""
        return indices

    def _labels(self, data: Any) -> Sequence[int] | None:
        """The class of each sample, where it has one."""
        return None

    def _group(self, name: str) -> str:
        """What must not be both in training and in validation: by default a sample itself."""
        return name

    @abstractmethod
    def _name(self, data: Any, index: int) -> str:
        """Name of a sample: the same on every machine."""
