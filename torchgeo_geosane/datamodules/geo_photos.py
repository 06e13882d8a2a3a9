"""Data module of photos, or points, with the satellite image around them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_geosane.datamodules.loading import GuardedLoader, reading_ahead
from torchgeo_geosane.datamodules.measuring import sensor_statistics
from torchgeo_geosane.datamodules.pipelines import chosen_scales, normalisation
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.acquisitions import Files
from torchgeo_geosane.datasets.geo_photos import GeoPhotos
from torchgeo_geosane.datasets.photo_parts import By, split_photos
from torchgeo_geosane.datasets.photo_table import describe_skipped
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import get_sensor

Batch = dict[str, Any]


class GeoPhotosDataModule(NonGeoDataModule):
    """Batches of :class:`~torchgeo_geosane.datasets.geo_photos.GeoPhotos`.

    Places are divided so that no two parts share ground. Images are normalised
    and, in training, flipped together with the points; photos are normalised as ImageNet's.
    """

    def __init__(
        self,
        images: Mapping[str, Files],
        photos: str | Path,
        bands: Sequence[str] | None = None,
        batch_size: int = 32,
        size: int = 224,
        photo_size: int = 224,
        off_centre: float = 0.5,
        file: str | None = 'file',
        longitude: str = 'longitude',
        latitude: str = 'latitude',
        value: str | None = None,
        shares: tuple[float, float, float] = (0.7, 0.15, 0.15),
        split: By = 'region',
        train_fraction: float = 1.0,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        num_workers: int = 0,
        seed: int = 0,
        **options: Any,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            images: Sensor to its files, see :class:`~torchgeo_geosane.datasets.imagery.Imagery`.
            photos: Where photos were taken, see :class:`GeoPhotos`.
            bands: Bands in the order of the model's input channels; None is all.
            batch_size: Places a batch.
            size: Height and width of a chip in pixels.
            photo_size: Height and width of a photo in pixels.
            off_centre: How far a place may lie from the middle of its chip.
            file: Column of the photos; None for places alone.
            longitude: Column of a CSV file.
            latitude: Column of a CSV file.
            value: Column of a number or a class of each place.
            shares: Of the places in training, validation and test.
            split: ``'region'`` divides them from west to east, ``'blocks'`` into squares between
                each other, see :func:`~torchgeo_geosane.datasets.photo_parts.split_photos`.
            train_fraction: Share of the training places to train on.
            mean: Mean of each band; None is the sensor's.
            std: Standard deviation of each band; None is the sensor's.
            num_workers: Worker processes.
            seed: Draws where places lie in their chips, the blocks, and the share of the training
                places.
            options: What else the imagery is given.

        Raises:
            DataError: If the share of training places is out of range.
        """
        if not 0 < train_fraction <= 1:
            raise DataError(f'train_fraction {train_fraction} is not above 0 and up to 1')
        super().__init__(GeoPhotos, batch_size, num_workers)
        self._imagery = {'images': images, 'bands': bands, **options}
        self._places: dict[str, Any] = {
            'photos': photos,
            'size': size,
            'photo_size': photo_size,
            'off_centre': off_centre,
            'seed': seed,
            'file': file,
            'longitude': longitude,
            'latitude': latitude,
            'value': value,
        }
        self.shares, self.split = shares, split
        self.train_fraction, self.seed = train_fraction, seed
        self._given = mean, std
        photo = get_sensor('rgb')
        self._photo_mean = torch.tensor(photo.mean).view(-1, 1, 1)
        self._photo_std = torch.tensor(photo.std).view(-1, 1, 1)
        self.data: GeoPhotos | None = None

    def setup(self, stage: str) -> None:
        """Read the table and divide the places, once.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``, which serves all places.

        Raises:
            DataError: If files are missing or damaged, no place lies in the images, or they cannot
                be divided.
        """
        if self.data is None:
            imagery = Imagery(**self._imagery)
            self.data = GeoPhotos(imagery, **self._places)
            rank_zero_info(f'GeoPhotos: left out: {describe_skipped(self.data.table)}')
            scales = chosen_scales(imagery.bands, sensor_statistics(imagery), self._given)
            self.mean = torch.tensor([scale.mean for scale in scales])
            self.std = torch.tensor([scale.std for scale in scales])
            self._normalise = normalisation(list(imagery.units.values()), scales)
        if stage == 'predict':
            self.predict_dataset = self.data
            return
        train, val, test = split_photos(self.data, self.shares, self.split, self.seed)
        if self.train_fraction < 1:
            generator = torch.Generator().manual_seed(self.seed)
            order = torch.randperm(len(train), generator=generator).tolist()
            train = [train[at] for at in order[: max(1, round(self.train_fraction * len(train)))]]
        self.train_dataset = Subset(self.data, train)
        self.val_dataset, self.test_dataset = Subset(self.data, val), Subset(self.data, test)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes where values are texts; known after ``setup``."""
        return () if self.data is None else self.data.classes

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """On the device: float32 and normalisation; in training, flips of image and point."""
        image = self._normalise({'image': batch['image'].float()})['image']
        point = batch['point']
        if self.trainer is not None and self.trainer.training:
            image, point = _flipped(image, point)
        batch = {**batch, 'image': image, 'point': point}
        if 'photo' in batch:
            mean, std = self._photo_mean.to(image), self._photo_std.to(image)
            batch['photo'] = (batch['photo'].to(image) - mean) / std
        return batch

    def _dataloader_factory(self, split: str) -> DataLoader[dict[str, Tensor]]:
        return GuardedLoader(
            self._valid_attribute(f'{split}_dataset'),
            batch_size=self.batch_size,
            shuffle=split == 'train',
            drop_last=split == 'train',
            collate_fn=self.collate_fn,
            **reading_ahead(self.num_workers),
        )


def _flipped(image: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    """Each image at random from left to right and from top to bottom, and its point with it."""
    signs = 1 - 2 * torch.randint(0, 2, point.shape, device=point.device)
    across, down = ((signs[:, at] < 0).view(-1, 1, 1, 1) for at in (0, 1))
    image = torch.where(across, image.flip(-1), image)
    return torch.where(down, image.flip(-2), image), point * signs
