"""Data module of your own imagery."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datamodules import GeoDataModule
from torchgeo.datasets import stack_samples

from torchgeo_geosane.datamodules.few_shot import few_shot
from torchgeo_geosane.datamodules.loading import GuardedLoader, reading_ahead
from torchgeo_geosane.datamodules.parts import by_region, by_scene
from torchgeo_geosane.datamodules.pipelines import BandScale, augmentation, normalisation
from torchgeo_geosane.datamodules.windows import (
    Place,
    RandomWindows,
    WithoutEmpty,
    grid_windows,
    places,
)
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.acquisitions import Paths
from torchgeo_geosane.datasets.index_table import Query
from torchgeo_geosane.datasets.labels import Value
from torchgeo_geosane.errors import DataError, did_you_mean

By = Literal['region', 'scene']
Wire = Literal['native', 'bfloat16']


class ImageryDataModule(GeoDataModule):
    """Chips of your own imagery: drawn at random for training, in a grid for validation and test.

    Images travel to the device as the files hold them, 13 bands of uint16 in half the bytes of
    float32, and are converted, normalised and, where one trains, augmented there.
    """

    def __init__(
        self,
        images: Mapping[str, Paths],
        labels: Paths | None = None,
        classes: Sequence[str] | Mapping[str, Value] = (),
        attribute: str | None = None,
        bands: Sequence[str] | None = None,
        split: By = 'region',
        patch_size: int = 256,
        length: int | None = None,
        batch_size: int = 8,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        wire: Wire = 'native',
        **options: Any,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            images: Sensor to its files, see :class:`~torchgeo_geosane.datasets.imagery.Imagery`.
            labels: Rasters, or files of polygons.
            classes: Names of the classes, or name to value.
            attribute: Column of the polygons' values.
            bands: Bands in the order of the model's input channels; None is all.
            split: ``'region'`` trains in the west of the whole extent, validates on a sixth of its
                width and tests on the eastern third; ``'scene'`` divides the images, those of one
                outline together, 70 to 15 to 15 %.
            patch_size: Height and width of a chip in pixels.
            length: Training chips an epoch; None is as many as cover the training part once.
            batch_size: Chips a batch.
            num_workers: Worker processes.
            train_fraction: Share of the chips of a grid over the training part to train on, see
                :func:`~.few_shot.few_shot`; 1 draws chips at random.
            seed: Of that choice.
            mean: Mean of each band; None is the sensor's.
            std: Standard deviation of each band; None is the sensor's.
            wire: ``'bfloat16'`` halves what floats, radar say, take on their way; -20 dB is then
                exact to 0.06 dB.
            options: What else the data set is given.

        Raises:
            DataError: If a setting is unknown or out of range.
        """
        for given, known in ((split, get_args(By)), (wire, get_args(Wire))):
            if given not in known:
                raise DataError(f'unknown {given!r}{did_you_mean(given, known)}')
        if not 0 < train_fraction <= 1:
            raise DataError(f'train_fraction {train_fraction} is not above 0 and up to 1')
        super().__init__(
            Imagery,
            batch_size,
            patch_size,
            length,
            num_workers,
            images=images,
            labels=labels,
            classes=classes,
            attribute=attribute,
            bands=bands,
            native=True,
            **options,
        )
        self.split = split
        self.train_fraction = train_fraction
        self.seed = seed
        self.collate_fn = partial(_collate, wire)
        self._given = mean, std
        self._size = patch_size
        self._windows: dict[str, RandomWindows | list[Query]] = {}
        self._parts: dict[str, Imagery] = {}

    def setup(self, stage: str) -> None:
        """Find the images, divide them and learn how bands are normalised.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``, which serves the test
                part.

        Raises:
            DataError: If files are missing, damaged or contradict each other, a part is empty, or
                a band's statistics are not known.
        """
        if not self._parts:
            data = Imagery(**self.kwargs)
            self._parts = by_region(data) if self.split == 'region' else by_scene(data)
            scales = self._scales(data)
            self.mean = torch.tensor([scale.mean for scale in scales])
            self.std = torch.tensor([scale.std for scale in scales])
            units = list(data.units.values())
            self.aug, self.train_aug = normalisation(units, scales), augmentation(units, scales)
        if stage == 'fit':
            self._set_training()
        if stage in {'fit', 'validate'}:
            self.val_dataset = self._parts['val']
            self._windows['val'] = self._not_empty('val')
        if stage == 'test':
            self.test_dataset = self._parts['test']
            self._windows['test'] = self._not_empty('test')
        if stage == 'predict':
            self.predict_dataset = self._parts['test']
            self._windows['predict'] = grid_windows(self._parts['test'], self._size)

    def _scales(self, data: Imagery) -> list[BandScale]:
        means, stds = (
            [getattr(band, name) for band in data.stack.channels] if given is None else list(given)
            for given, name in zip(self._given, ('mean', 'std'), strict=True)
        )
        if len(means) != len(data.bands) or len(stds) != len(data.bands):
            raise DataError(
                f'{len(means)} means and {len(stds)} standard deviations for {len(data.bands)} '
                f'bands ({", ".join(data.bands)}): give one for each'
            )
        if None in means or None in stds:
            raise DataError(
                'the statistics of some bands are not known: measure them, and give mean and std'
            )
        return [BandScale(mean, std) for mean, std in zip(means, stds, strict=True)]

    def _set_training(self) -> None:
        part = self._parts['train']
        where = places(part)
        cells = grid_windows(part, self._size)
        if self.train_fraction < 1:
            cells = self._not_empty('train')
            names = [f'{x.start} {y.stop} {time.start}' for x, y, time in cells]
            cells = [cells[at] for at in few_shot(names, self.train_fraction, self.seed)]
            where = [Place(x.start, y.start, x.stop, y.stop, time) for x, y, time in cells]
        length = self.length or len(cells)
        if length < self.batch_size:
            raise DataError(
                f'{length} chips an epoch are fewer than a batch of {self.batch_size}: '
                'lower batch_size, or raise length'
            )
        sampler = RandomWindows(where, self._size, part.res, length)
        self._windows['train'] = sampler
        self.train_dataset = WithoutEmpty(part, sampler, self.num_workers)

    def _not_empty(self, part: str) -> list[Query]:
        """The chips of a grid that hold something; finding them reads each once."""
        data = self._parts[part]
        windows = grid_windows(data, self._size)
        kept = [window for window in windows if not data.is_empty(window)]
        left_out = len(windows) - len(kept)
        rank_zero_info(f'Imagery: {left_out} of {len(windows)} chips of {part!r} are empty')
        if not kept:
            raise DataError(
                f'the part {part!r} holds no pixel with data and label: split by '
                f'{"scene" if self.split == "region" else "region"}, or add labels'
            )
        return kept

    def teardown(self, stage: str) -> None:
        """Say how many training chips were empty."""
        if stage == 'fit' and isinstance(self.train_dataset, WithoutEmpty):
            skipped = self.train_dataset.skipped
            rank_zero_info(f'Imagery: {skipped} empty chips were skipped in training')

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """On the device: float32, then normalisation and augmentation."""
        batch['image'] = batch['image'].float()
        return super().on_after_batch_transfer(batch, dataloader_idx)

    def _dataloader_factory(self, split: str) -> DataLoader[dict[str, Tensor]]:
        return GuardedLoader(
            self._valid_attribute(f'{split}_dataset'),
            batch_size=self.batch_size,
            sampler=self._windows[split],
            collate_fn=self.collate_fn,
            drop_last=split == 'train',
            **reading_ahead(self.num_workers),
        )


def _collate(wire: Wire, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    batch = stack_samples(samples)
    if wire == 'bfloat16' and batch['image'].is_floating_point():
        batch['image'] = batch['image'].bfloat16()
    return batch
