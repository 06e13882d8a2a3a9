"""Chips of one part of a scene that is small enough to be kept in memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset, RGBBandsMissingError

from torchgeo_geosane.datasets.chips import checked_bands
from torchgeo_geosane.datasets.labels import IGNORE_INDEX
from torchgeo_geosane.datasets.plotting import plot_segmentation
from torchgeo_geosane.datasets.scene import Labels, read_scene
from torchgeo_geosane.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Split = Literal['train', 'val', 'test']
Cell = tuple[int, int]

_CELL = 16


class SceneChips(NonGeoDataset, ABC):
    """Chips of one scene with a label map.

    The scene is split from west to east into three blocks: training (what is left, about half),
    validation (a sixth of the width) and test (a third), with columns left out between them.
    Validation also keeps training and test apart.

    Attributes:
        all_bands: Names of all bands.
        rgb_bands: Bands that figures show as red, green and blue.
        classes: Names of the classes in the order of their indices.
        palette: Their colours in figures.
        resolution: Size of a pixel in the unit of the coordinate reference system.
        dtype: Of the digital numbers in the files.
        gap: Columns left out between two blocks.
    """

    all_bands: tuple[str, ...]
    rgb_bands: tuple[str, ...]
    classes: ClassVar[tuple[str, ...]]
    palette: ClassVar[tuple[str, ...]]
    resolution: ClassVar[float]
    dtype: ClassVar[str]
    gap: ClassVar[int]

    def __init__(
        self,
        root: str | Path,
        split: Split,
        bands: Sequence[str],
        patch_size: int = 128,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
    ) -> None:
        """Read the scene, or take it from memory, and cut out one part.

        Args:
            root: Folder of the scene.
            split: ``'train'`` serves every window that holds a label, whatever its offset;
                ``'val'`` and ``'test'`` serve a grid that covers the part once, row by row.
            bands: Bands in the order wanted.
            patch_size: Height and width of a chip in pixels.
            transforms: Applied to each sample.

        Raises:
            DatasetNotFoundError: If ``root`` is not a folder.
            DataError: If files are missing, damaged or contradict each other, or the training part
                is smaller than ``patch_size``.
            SensorError: If a band is unknown or named twice.
        """
        self.root = Path(root)
        self.split = split
        self.bands = checked_bands(bands, self.all_bands)
        self.patch_size = patch_size
        self.transforms = transforms
        if not self.root.is_dir():
            raise DatasetNotFoundError(self)
        scene = read_scene(
            self.root.resolve(), self.bands, self.resolution, self.dtype, self._labels()
        )
        columns = split_columns(scene.mask.shape[1], split, self.gap)
        self.image = scene.image[:, :, columns]
        self.mask = scene.mask[:, columns]
        if split == 'train':
            self._offsets = _labelled_offsets(self.mask, patch_size)
            self.grid_shape: tuple[int, int] | None = None
        else:
            self.image, self.mask = _pad(self.image, self.mask, patch_size)
            height, width = self.mask.shape
            self.grid_shape = (height // patch_size, width // patch_size)
            self._offsets = np.indices(self.grid_shape).reshape(2, -1).T * patch_size

    @abstractmethod
    def _labels(self) -> Labels:
        """Where the labels come from."""

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._offsets)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one chip.

        Args:
            index: Index of the window.

        Returns:
            ``image``, float32 digital numbers, [bands, patch_size, patch_size], and ``mask``,
            int64, [patch_size, patch_size].
        """
        row, column = (int(offset) for offset in self._offsets[index])
        rows, columns = (slice(start, start + self.patch_size) for start in (row, column))
        sample = {
            'image': torch.from_numpy(self.image[:, rows, columns].astype(np.float32)),
            'mask': torch.from_numpy(self.mask[rows, columns].astype(np.int64)),
        }
        return sample if self.transforms is None else self.transforms(sample)

    def labelled_cells(self) -> list[Cell]:
        """Squares of 16 x 16 pixels that hold a label: row and column of each."""
        rows, columns = np.nonzero(self.mask != IGNORE_INDEX)
        return sorted({*zip((rows // _CELL).tolist(), (columns // _CELL).tolist(), strict=True)})

    def keep_labels(self, cells: Iterable[Cell]) -> None:
        """Forget all labels outside of some cells; the image stays.

        Args:
            cells: Some of :meth:`labelled_cells`, of the training part.

        Raises:
            DataError: If no label is left.
        """
        mask = np.full_like(self.mask, IGNORE_INDEX)
        for row, column in cells:
            cell = (
                slice(row * _CELL, (row + 1) * _CELL),
                slice(column * _CELL, (column + 1) * _CELL),
            )
            mask[cell] = self.mask[cell]
        self.mask = mask
        self._offsets = _labelled_offsets(mask, self.patch_size)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each band over the whole part, in digital numbers.

        Returns:
            Two float32 tensors of shape [bands].
        """
        mean = self.image.mean(axis=(1, 2), dtype=np.float64)
        std = self.image.std(axis=(1, 2), dtype=np.float64)
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    def plot(
        self, sample: dict[str, Any], show_titles: bool = True, suptitle: str | None = None
    ) -> 'Figure':
        """Draw image, label and, where the sample has one, prediction.

        Args:
            sample: ``image``, ``mask`` and possibly ``prediction``, of any one size.
            show_titles: Whether to title the panels.
            suptitle: Title of the figure.

        Returns:
            A matplotlib figure.

        Raises:
            RGBBandsMissingError: If red, green or blue is not among ``bands``.
        """
        if not set(self.rgb_bands) <= set(self.bands):
            raise RGBBandsMissingError
        rgb = sample['image'][[self.bands.index(band) for band in self.rgb_bands]]
        maps = {'Image': None, 'Label': sample['mask'], 'Prediction': sample.get('prediction')}
        return plot_segmentation(
            rgb=np.moveaxis(rgb.numpy(), 0, -1),
            maps={name: m.numpy() for name, m in maps.items() if m is not None},
            classes=dict(zip(self.classes, self.palette, strict=True)),
            show_titles=show_titles,
            suptitle=suptitle,
        )


def split_columns(width: int, split: Split, gap: int) -> slice:
    """Columns of a part of a scene: training in the west, validation, test in the east.

    Args:
        width: Columns of the scene.
        split: The part.
        gap: Columns left out between two parts.

    Returns:
        A slice of columns.

    Raises:
        DataError: If the name of the part is unknown, or the scene is too narrow.
    """
    test, val = width // 3, width // 6
    train = width - test - val - 2 * gap
    if train <= 0 or val == 0:
        raise DataError(f'a scene {width} columns wide is too narrow to split: use a larger one')
    match split:
        case 'train':
            return slice(0, train)
        case 'val':
            return slice(train + gap, train + gap + val)
        case 'test':
            return slice(width - test, width)
    raise DataError(f'unknown split {split!r}{did_you_mean(split, ["train", "val", "test"])}')


def _labelled_offsets(mask: np.ndarray, size: int) -> np.ndarray:
    """Top-left corners of all windows with a label, since a batch without one has no loss."""
    if size > min(mask.shape):
        raise DataError(
            f'patch_size {size} exceeds the training part of {mask.shape} pixels: choose less'
        )
    area = np.pad(mask != IGNORE_INDEX, ((1, 0), (1, 0))).cumsum(0, np.int64).cumsum(1)
    count = area[size:, size:] - area[:-size, size:] - area[size:, :-size] + area[:-size, :-size]
    offsets = np.argwhere(count > 0)
    if not len(offsets):
        raise DataError('the training part holds no label: check that labels and bands overlap')
    return offsets


def _pad(image: np.ndarray, mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Repeat the last pixels, unlabelled, up to a whole number of chips."""
    rows, columns = ((0, -length % size) for length in mask.shape)
    return (
        np.pad(image, ((0, 0), rows, columns), mode='edge'),
        np.pad(mask, (rows, columns), constant_values=IGNORE_INDEX),
    )
