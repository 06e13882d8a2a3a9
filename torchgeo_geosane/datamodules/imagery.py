"""Data module of your own imagery."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, SequentialSampler
from torchgeo.datamodules import GeoDataModule
from torchgeo.datasets import stack_samples

from torchgeo_geosane.datamodules.few_shot import check_fraction, few_shot
from torchgeo_geosane.datamodules.loading import GuardedLoader, reading_ahead
from torchgeo_geosane.datamodules.measuring import measured, sensor_statistics
from torchgeo_geosane.datamodules.parts import By, Part, divide, other_way
from torchgeo_geosane.datamodules.pipelines import (
    BandScale,
    augmentation,
    chosen_scales,
    flips,
    normalisation,
)
from torchgeo_geosane.datamodules.squares import few_labels
from torchgeo_geosane.datamodules.task_check import Facts, check_task
from torchgeo_geosane.datamodules.training_chips import TrainingChips
from torchgeo_geosane.datamodules.windows import Place, RandomWindows, grid_windows, places
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.acquisitions import Files, Paths
from torchgeo_geosane.datasets.chips import NoData
from torchgeo_geosane.datasets.index_table import Query
from torchgeo_geosane.datasets.label_polygons import Layer
from torchgeo_geosane.datasets.legend import Value
from torchgeo_geosane.datasets.product import Radar
from torchgeo_geosane.errors import DataError, did_you_mean

Wire = Literal['native', 'bfloat16']
Statistics = Literal['sensor', 'training']
Augment = Literal['bands', 'flips', 'none']

_AUGMENT = {'bands': augmentation, 'flips': flips, 'none': normalisation}


class ImageryDataModule(GeoDataModule):
    """Chips of your own imagery: drawn at random for training, in a grid for validation and test.

    Images travel to the device as the files hold them, 13 bands of uint16 in half the bytes of
    float32, and are converted, normalised and, where one trains, augmented there.

    Example:
        >>> images = {'sentinel2_all': 'data/scenes'}
        >>> classes = ['farm', 'forest', 'water']
        >>> data = ImageryDataModule(images, 'landuse.gpkg', classes, attribute='kind')
        >>> Trainer().fit(task, datamodule=data)
    """

    def __init__(
        self,
        images: Mapping[str, Files],
        labels: Paths | None = None,
        classes: Sequence[str | int] | Mapping[str, Value] = (),
        attribute: str | None = None,
        bands: Sequence[str] | None = None,
        split: By = 'region',
        gap: int | None = None,
        patch_size: int = 256,
        length: int | None = None,
        batch_size: int = 8,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        statistics: Statistics = 'sensor',
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        augment: Augment = 'bands',
        wire: Wire = 'native',
        background: str | None = None,
        layer: Layer | None = None,
        ignored: Sequence[Value] = (),
        crs: str | None = None,
        res: float | tuple[float, float] | None = None,
        nodata: NoData = 'fill',
        nodata_value: float | None = None,
        radar: Radar | None = None,
        cache: str | Path | None = None,
        cache_gigabytes: float = 20.0,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            images: Sensor to its files, see :class:`~torchgeo_geosane.datasets.imagery.Imagery`.
            labels: Rasters, or files of polygons.
            classes: Names of the classes, or name to value.
            attribute: Column of the polygons' values.
            bands: Bands in the order of the model's input channels; None is all.
            split: ``'region'`` trains in the west of each connected ground, validates on a sixth of
                its width and tests on the eastern third; ``'scene'`` divides the images, those of
                connected ground together, 70 to 15 to 15 %. See :func:`~.parts.divide`.
            gap: Columns left out between two parts of connected ground; None is two pixels of the
                coarsest band.
            patch_size: Height and width of a chip in pixels.
            length: Training chips an epoch; None is as many as cover the training part once.
            batch_size: Chips a batch.
            num_workers: Worker processes.
            train_fraction: Share of the labelled squares of 16 x 16 pixels of the training part
                whose labels one trains on; a smaller one is inside. Chips overlap, so that a share
                of them would cover everything. Without labels, share of the chips of a grid.
            seed: Of that choice.
            statistics: Whose mean and standard deviation normalise bands: the sensor's, or those of
                the training part, which is read once for it (a thousand chips, where it has more).
            mean: Mean of each band, instead of these.
            std: Standard deviation of each band, instead of these.
            augment: How training chips are changed at random: ``'bands'`` changes values of bands
                and flips, ``'flips'`` only flips.
            wire: ``'bfloat16'`` halves what floats, radar say, take on their way; -20 dB is then
                exact to 0.06 dB.
            background: This and the following as the data set has them, see
                :class:`~torchgeo_geosane.datasets.imagery.Imagery`.
            layer: See there.
            ignored: See there.
            crs: See there.
            res: See there.
            nodata: See there.
            nodata_value: See there.
            radar: See there.
            cache: See there.
            cache_gigabytes: See there.

        Raises:
            DataError: If a setting is unknown or out of range.
        """
        for given, choices in (
            (split, By),
            (wire, Wire),
            (statistics, Statistics),
            (augment, Augment),
        ):
            if given not in get_args(choices):
                raise DataError(f'unknown {given!r}{did_you_mean(given, get_args(choices))}')
        check_fraction(train_fraction)
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
            background=background,
            layer=layer,
            ignored=ignored,
            crs=crs,
            res=res,
            nodata=nodata,
            nodata_value=nodata_value,
            radar=radar,
            cache=cache,
            cache_gigabytes=cache_gigabytes,
        )
        self.split, self.gap = split, gap
        self.statistics, self.augment = statistics, augment
        self.train_fraction = train_fraction
        self.seed = seed
        self.collate_fn = partial(_collate, wire)
        self._given = mean, std
        self.size = patch_size
        self._windows: dict[str, RandomWindows | SequentialSampler | list[Query]] = {}
        self._data: Imagery | None = None
        self._parts: dict[Part, Imagery] = {}
        self._trained: dict[str, Any] | None = None

    def setup(self, stage: str) -> None:
        """Find the images, divide them and learn how bands are normalised.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``, which serves the test
                part.

        Raises:
            DataError: If files are missing, damaged or contradict each other, a part is empty, a
                band's statistics are not known, or the task does not fit the data.
        """
        if self._data is None:
            self._data = Imagery(**self.kwargs)
        # Transforms may add channels, indices say.
        bands = None if self.kwargs.get('transforms') else self._data.bands
        check_task(self, Facts(bands, self._data.classes, self._data.ignore_index))
        if not self._parts:
            self._divide(self._data)
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
            self._windows['predict'] = grid_windows(self._parts['test'], self.size)

    def serve(self, dataset: Dataset[dict[str, Any]]) -> None:
        """Serve another data set for prediction, one sample after the other."""
        self.predict_dataset = dataset
        self._windows['predict'] = SequentialSampler(dataset)  # type: ignore[arg-type]

    def scales(self, data: Imagery) -> list[BandScale]:
        """How bands of other imagery are normalised: as in the training.

        Raises:
            DataError: If the statistics are not known, or a checkpoint's are of other bands.
        """
        if self._trained is None and self.statistics == 'training':
            self.setup(
                'predict'
            )  # An older checkpoint does not keep them: they are measured again.
            self.load_state_dict(self.state_dict())
        if self._trained is None:
            return self._scales(data)
        bands = self._trained['bands']
        if list(data.bands) != bands:
            raise DataError(
                f'the checkpoint was trained on the bands {", ".join(bands)}, but the config asks '
                f'for {", ".join(data.bands)}: give the config that it was trained with'
            )
        pairs = zip(self._trained['mean'], self._trained['std'], strict=True)
        return [BandScale(mean, std) for mean, std in pairs]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the data: bands, classes, and how bands are normalised."""
        if not self._parts:
            return {}
        data = self._parts['train']
        return {
            'bands': list(data.bands),
            'classes': list(data.classes),
            'mean': self.mean.tolist(),
            'std': self.std.tolist(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember what a checkpoint keeps, for :meth:`scales`."""
        self._trained = state_dict or None

    def _divide(self, data: Imagery) -> None:
        self._parts = divide(data, self.split, self.gap)
        scales = self._scales(data)
        self.mean = torch.tensor([scale.mean for scale in scales])
        self.std = torch.tensor([scale.std for scale in scales])
        units = list(data.units.values())
        self.aug = normalisation(units, scales)
        self.train_aug = _AUGMENT[self.augment](units, scales)

    def _scales(self, data: Imagery) -> list[BandScale]:
        if None not in self._given or self.statistics == 'sensor':
            return chosen_scales(data.bands, sensor_statistics(data), self._given)
        return chosen_scales(data.bands, measured(self._parts['train'], self.size), self._given)

    def _set_training(self) -> None:
        part = self._parts['train']
        where, squares = places(part), None
        length = self.length or len(grid_windows(part, self.size))
        if self.train_fraction < 1 and part.labels is not None:
            squares, where = few_labels(part, self.size, self.train_fraction, self.seed)
        elif self.train_fraction < 1:
            cells = self._not_empty('train')
            names = [f'{x.start} {y.stop} {time.start}' for x, y, time in cells]
            cells = [cells[at] for at in few_shot(names, self.train_fraction, self.seed)]
            where = [Place(x.start, y.start, x.stop, y.stop, time) for x, y, time in cells]
        if length < self.batch_size:
            raise DataError(
                f'{length} chips an epoch are fewer than a batch of {self.batch_size}: '
                'lower batch_size, or raise length'
            )
        sampler = RandomWindows(where, self.size, part.res, length, equally=squares is not None)
        self._windows['train'] = sampler
        self.train_dataset = TrainingChips(part, sampler, self.num_workers, squares)

    def _not_empty(self, part: Part) -> list[Query]:
        """The chips of a grid that hold something; finding them reads each once."""
        data = self._parts[part]
        windows = grid_windows(data, self.size)
        kept = [window for window in windows if not data.is_empty(window)]
        left_out = len(windows) - len(kept)
        rank_zero_info(f'Imagery: {left_out} of {len(windows)} chips of {part!r} are empty')
        if not kept:
            raise DataError(
                f'the part {part!r} holds no pixel with data and label: {self._advice()}'
            )
        return kept

    def _advice(self) -> str:
        """What helps where a part is empty: the other way to divide is tried before it is named."""
        assert self._data is not None
        other = other_way(self.split)
        try:
            parts = divide(self._data, other, self.gap)
        except DataError:
            return 'add labels, or images'
        for data in parts.values():
            if all(data.is_empty(window) for window in grid_windows(data, self.size)):
                return f'add labels, or images; to split by {other} leaves an empty part, too'
        return f'split by {other}, or add labels'

    def teardown(self, stage: str) -> None:
        """Say how many training chips were empty."""
        if stage == 'fit' and isinstance(self.train_dataset, TrainingChips):
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
