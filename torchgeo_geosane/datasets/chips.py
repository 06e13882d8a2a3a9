"""What data sets of chips have in common: bands, no data, transforms, checks and figures."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset
from tqdm.auto import tqdm

from torchgeo_geosane.datasets.legend import IGNORE_INDEX
from torchgeo_geosane.datasets.plotting import composite, plot_classification, plot_segmentation
from torchgeo_geosane.datasets.reading import Raster, check_files, holding, read_image, read_mask
from torchgeo_geosane.errors import DataError, SensorError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NoData = Literal['fill', 'nan']
Transforms = Callable[[dict[str, Tensor]], dict[str, Tensor]]

DB, LINEAR = 'dB', 'linear power'
TOA, SURFACE = 'TOA reflectance x 10000', 'surface reflectance x 10000'
FILL: Mapping[str, float] = {DB: -25.0, LINEAR: 10**-2.5}
"""What stands for no data: for radar about Sentinel-1's noise floor, since 0 dB is bright; else 0."""

SENTINEL1 = ('VV', 'VH')
SENTINEL2 = (
    *('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07'),
    *('B08', 'B8A', 'B09', 'B10', 'B11', 'B12'),
)


class ChipDataset(NonGeoDataset, ABC):
    """Chips that lie in files of their own, each with a mask or a label.

    A subclass lists its samples when it is made, and says which files make up each.

    Attributes:
        all_bands: Names of all bands.
        rgb_bands: Bands that figures show as red, green and blue.
        units: Unit of each band, as the files hold it.
        classes: Names of the classes in the order of their indices.
        splits: Names of the parts.
        source: How to obtain the data, and their licence.
    """

    all_bands: tuple[str, ...]
    rgb_bands: tuple[str, ...] = ('B04', 'B03', 'B02')
    units: ClassVar[Mapping[str, str]]
    classes: ClassVar[tuple[str, ...]]
    splits: ClassVar[tuple[str, ...]] = ('train', 'val', 'test')
    source: ClassVar[str]

    def __init__(
        self,
        root: str | Path,
        split: str,
        bands: Sequence[str],
        transforms: Transforms | None,
        checksum: bool,
        nodata: NoData = 'fill',
    ) -> None:
        """Check and keep what all chip data sets are given, and list the samples.

        Args:
            root: Folder of the data set.
            split: One of :attr:`splits`.
            bands: Bands in the order wanted.
            transforms: Applied to each sample.
            checksum: Whether to read every file once; nobody publishes checksums.
            nodata: ``'fill'`` or ``'nan'``: what images hold where there is no data.

        Raises:
            DatasetNotFoundError: If there is no sample.
            DataError: If the split is unknown, or files are missing, damaged or contradict
                each other.
            SensorError: If a band is unknown or named twice.
        """
        if split not in self.splits:
            raise DataError(f'unknown split {split!r}{did_you_mean(split, self.splits)}')
        self.root = Path(root)
        self.split = split
        self.bands = checked_bands(bands, self.all_bands)
        self.transforms = transforms
        self.nodata = nodata
        fill = [FILL.get(self.units[band], 0.0) for band in self.bands]
        self._fill = np.array(fill, np.float32)[:, None, None]
        self._find_samples()
        if not len(self):
            raise self._not_found()
        if checksum:
            _ = self.empty

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one sample.

        Args:
            index: Index of the sample.

        Returns:
            ``image``, float32 in the files' units, [bands, height, width], and ``mask``, int64,
            [height, width], or ``label``, int64, a scalar.

        Raises:
            DataError: If a file is damaged or contradicts the others.
        """
        image = self._image(index)
        target = self._target(index, image)
        if self.nodata == 'fill':
            image = np.where(np.isnan(image), self._fill, image)
        sample = {'image': torch.from_numpy(image), **target}
        return sample if self.transforms is None else self.transforms(sample)

    @cached_property
    def empty(self) -> dict[int, str]:
        """Index and name of the samples to skip in training: no pixel has both data and a label.

        Looking for them reads every file once.
        """
        samples = tqdm(range(len(self)), 'reading chips', unit='chip', delay=2, leave=False)
        return {index: self.name(index) for index in samples if self._is_empty(index)}

    def _is_empty(self, index: int) -> bool:
        image = self._image(index)
        mask = self._target(index, image).get('mask')
        unlabelled = mask is not None and bool((mask == IGNORE_INDEX).all())
        return unlabelled or bool(np.isnan(image).all())

    def _image(self, index: int) -> NDArray[np.float32]:
        """Read the bands, with NaN where there is no data."""
        return read_image(self._rasters(index), self.bands)

    def _files(self, index: int) -> list[Path]:
        """The files that a sample is read from."""
        return [raster.path for raster in holding(self._rasters(index), self.bands)]

    def _check_files(self, listed_in: Path) -> None:
        """Check that the files of all samples exist."""
        check_files((path for i in range(len(self)) for path in self._files(i)), listed_in)

    def _not_found(self) -> DatasetNotFoundError:
        """TorchGeo's error, with what it cannot know: how to obtain the data."""
        error = DatasetNotFoundError(self)
        error.args = (f'{error} {self.source}',)
        return error

    @abstractmethod
    def _find_samples(self) -> None:
        """List the samples of the split, and check that their files exist."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Return the name of a sample, as its files spell it."""

    @abstractmethod
    def _rasters(self, index: int) -> Sequence[Raster]:
        """Return the files that hold the bands of a sample."""

    @abstractmethod
    def _target(self, index: int, image: NDArray[np.float32]) -> dict[str, Tensor]:
        """Return the mask or the label of a sample."""


class SegmentationChips(ChipDataset):
    """Chips with a mask, in which 255 (:data:`~.legend.IGNORE_INDEX`) is to be ignored.

    Attributes:
        legend: Value in the label files to class index, or to 255.
        palette: Colours of the classes.
    """

    legend: ClassVar[Mapping[int, int]]
    palette: ClassVar[tuple[str, ...]]

    def plot(
        self, sample: dict[str, Any], show_titles: bool = True, suptitle: str | None = None
    ) -> 'Figure':
        """Draw image, label and, where the sample has one, prediction.

        Args:
            sample: A sample of this data set, possibly with ``prediction``.
            show_titles: Whether to title the panels.
            suptitle: Title of the figure.

        Returns:
            A matplotlib figure; without colours it shows VV, VH and their difference.

        Raises:
            RGBBandsMissingError: If ``bands`` has neither red, green and blue nor VV and VH.
        """
        maps = {'Label': sample['mask'], 'Prediction': sample.get('prediction')}
        return plot_segmentation(
            rgb=composite(sample['image'].numpy(), self.bands, self.rgb_bands),
            maps={name: m.numpy() for name, m in maps.items() if m is not None},
            classes=dict(zip(self.classes, self.palette, strict=True)),
            show_titles=show_titles,
            suptitle=suptitle,
        )

    @abstractmethod
    def _mask_path(self, index: int) -> Path:
        """Return the file that holds the labels of a sample."""

    def _files(self, index: int) -> list[Path]:
        return [*super()._files(index), self._mask_path(index)]

    def _target(self, index: int, image: NDArray[np.float32]) -> dict[str, Tensor]:
        mask = read_mask(self._mask_path(index), self.legend, image.shape[1:])
        mask[np.isnan(image).any(axis=0)] = IGNORE_INDEX
        return {'mask': torch.from_numpy(mask)}


class ClassificationChips(ChipDataset):
    """Chips with one class each."""

    def plot(
        self, sample: dict[str, Any], show_titles: bool = True, suptitle: str | None = None
    ) -> 'Figure':
        """Draw an image, titled with its class and, where the sample has one, the prediction.

        Args:
            sample: A sample of this data set, possibly with ``prediction``.
            show_titles: Whether to title the image.
            suptitle: Title of the figure.

        Returns:
            A matplotlib figure; without colours it shows VV, VH and their difference.

        Raises:
            RGBBandsMissingError: If ``bands`` has neither red, green and blue nor VV and VH.
        """
        predicted = sample.get('prediction')
        return plot_classification(
            rgb=composite(sample['image'].numpy(), self.bands, self.rgb_bands),
            label=self.classes[int(sample['label'])],
            prediction=None if predicted is None else self.classes[int(predicted)],
            show_titles=show_titles,
            suptitle=suptitle,
        )

    def targets(self) -> list[int]:
        """Return the class index of every sample; no image is read."""
        return [self._label(index) for index in range(len(self))]

    @abstractmethod
    def _label(self, index: int) -> int:
        """Return the class index of a sample."""

    def _target(self, index: int, image: NDArray[np.float32]) -> dict[str, Tensor]:
        return {'label': torch.tensor(self._label(index))}


def checked_bands(bands: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Bands that are asked for.

    Raises:
        SensorError: If one is unknown or named twice, or none is named.
    """
    for band in bands:
        if band not in known:
            raise SensorError(f'unknown band {band!r}{did_you_mean(band, known)}')
    if not bands or len(set(bands)) < len(bands):
        raise SensorError(f'bands {list(bands)} are empty or name one twice: name each band once')
    return tuple(bands)


def drawn_part(name: str) -> str:
    """The part that a name falls into: 70 % ``'train'``, 15 % ``'val'``, 15 % ``'test'``.

    The draw is the name's SHA-256, so that it depends neither on a seed nor on the other names.
    """
    draw = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 100
    return 'train' if draw < 70 else 'val' if draw < 85 else 'test'
