"""What the data modules of chips have in common."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import Subset
from torchgeo.datamodules import NonGeoDataModule
from tqdm.auto import tqdm

from torchgeo_geosane.datamodules.few_shot import few_shot
from torchgeo_geosane.datamodules.pipelines import (
    BandScale,
    Resize,
    augmentation,
    clipping,
    in_decibels,
    normalisation,
)
from torchgeo_geosane.datamodules.statistics import band_statistics
from torchgeo_geosane.datasets.chips import (
    FILL,
    ChipDataset,
    ClassificationChips,
    checked_bands,
    drawn_part,
)
from torchgeo_geosane.errors import DataError


class ChipDataModule(NonGeoDataModule):
    """Batches of a chip data set, normalised, and augmented where one trains.

    Both happen on the device, after the transfer. A subclass says how bands are normalised, and
    which parts of the data set one trains, validates and tests on.

    Attributes:
        scales: How each band of the data set is normalised.
        statistics_source: Where these numbers come from.
        parts: Part of the data set for each of ``'train'``, ``'val'`` and ``'test'``. Where one
            serves to train and to validate, a hash of the samples' groups divides it, 85 to 15 %.
    """

    scales: ClassVar[Mapping[str, BandScale]]
    statistics_source: ClassVar[str]
    parts: Mapping[str, str] = {'train': 'train', 'val': 'val', 'test': 'test'}

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
        if not 0 < train_fraction <= 1:
            raise DataError(f'train_fraction {train_fraction} is not above 0 and up to 1')
        self.bands = checked_bands(bands, dataset_class.all_bands)
        self._units = [dataset_class.units[band] for band in self.bands]
        self._scales = [self.scales[band] for band in self.bands]
        self.mean = torch.tensor([scale.mean for scale in self._scales])
        self.std = torch.tensor([scale.std for scale in self._scales])
        if size is not None:
            options['transforms'] = Resize(size)
        super().__init__(
            dataset_class, batch_size, num_workers, root=root, bands=self.bands, **options
        )
        self._make: Callable[..., ChipDataset] = dataset_class
        self.train_fraction = train_fraction
        self.seed = seed
        self.skip_empty = skip_empty
        self.aug = normalisation(self._units, self._scales)
        self.train_aug = augmentation(self._units, self._scales)

    @property
    def fill(self) -> Tensor:
        """What each band holds after normalisation where there is no data, [bands]."""
        filled = torch.tensor([FILL.get(unit, 0.0) for unit in self._units])
        return self.aug({'image': filled.reshape(1, -1, 1, 1)})['image'].flatten()

    def setup(self, stage: str) -> None:
        """Create the data sets of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``, which serves the test
                part.

        Raises:
            DatasetNotFoundError: If ``root`` does not hold the data set.
            DataError: If files are missing, damaged or contradict each other, or if there are
                fewer chips to train on than a batch has.
        """
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
            DatasetNotFoundError: If ``root`` does not hold the data set.
            DataError: If files are missing, damaged or contradict each other.
        """
        return band_statistics(self._images())

    def _images(self) -> Iterator[Tensor]:
        """The training images as they are before normalisation, in full size."""
        data, indices = self._part('train')
        data.transforms, data.nodata = None, 'nan'
        steps = [*in_decibels(self._units), *clipping(self._scales)]
        for index in tqdm(indices, 'reading chips', unit='chip', delay=2, leave=False):
            image = data[index]['image']
            for step in steps:
                image = step(image)
            yield image

    def _training(self) -> Subset[dict[str, Tensor]]:
        data, indices = self._part('train')
        kind = type(data).__name__
        if self.skip_empty:
            empty = [data.empty[index] for index in indices if index in data.empty]
            rank_zero_info(
                f'{kind}: {len(empty)} of {len(indices)} chips to train on are empty and left out'
                + ''.join(f', {name}' for name in empty[:5])
                + (', …' if len(empty) > 5 else '')
            )
            indices = [index for index in indices if index not in data.empty]
        if self.train_fraction < 1:
            labels = data.targets() if isinstance(data, ClassificationChips) else None
            chosen = few_shot(
                [data.name(index) for index in indices],
                self.train_fraction,
                self.seed,
                None if labels is None else [labels[index] for index in indices],
            )
            rank_zero_info(f'{kind}: training on {len(chosen)} of {len(indices)} chips')
            indices = [indices[position] for position in chosen]
        if len(indices) < self.batch_size:
            # TorchGeo drops the last batch where it is not full, and would train on nothing.
            raise DataError(
                f'{kind} has {len(indices)} chips to train on, fewer than a batch of '
                f'{self.batch_size}: lower batch_size, or raise train_fraction'
            )
        return Subset(data, indices)

    def _part(self, part: str) -> tuple[ChipDataset, list[int]]:
        """The data set of a part, and the indices that belong to it."""
        data = self._dataset(part)
        indices = list(range(len(data)))
        if part == 'test' or self.parts['train'] != self.parts['val']:
            return data, indices
        held_out = [drawn_part(self._group(data.name(index))) == 'val' for index in indices]
        return data, [index for index in indices if held_out[index] == (part == 'val')]

    def _dataset(self, part: str) -> ChipDataset:
        """The data set that a part is taken from."""
        return self._make(split=self.parts[part], **self.kwargs)

    def _group(self, name: str) -> str:
        """What must not be both in training and in validation: by default a sample itself."""
        return name
