"""Maps of a part of imagery that has labels: what a test of a scene counts and draws."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.grid import Pixels
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.inference import strips
from torchgeo_geosane.predict.model import Model
from torchgeo_geosane.predict.scenes import Scene, parts_of
from torchgeo_geosane.predict.tiling import Tiling

_MOST = 1024
"""Height and width of what is drawn, at most, in pixels."""


@dataclass(frozen=True)
class TestedRows:
    """Rows of a map, with what the labels say.

    Attributes:
        first: The first of them.
        values: Probabilities, float32, [channels, rows, width].
        mask: Class indices, int64, [rows, width]; the data's ``ignore_index`` without label, or
            where a band has no data.
    """

    first: int
    values: Tensor
    mask: Tensor

    @property
    def prediction(self) -> Tensor:
        """Class indices of the map, int64, [rows, width]."""
        return self.values.argmax(0) if len(self.values) > 1 else (self.values[0] > 0.5).long()


class PartMaps:
    """A task over a part of imagery, as a split leaves it: each image's share of it is a scene."""

    def __init__(self, task: LightningModule, module: ImageryDataModule, data: Imagery) -> None:
        """Prepare.

        Args:
            task: A task that predicts classes, on its device.
            module: Whose windows, batches and normalisation it has.
            data: The part.

        Raises:
            DataError: If the part has no labels.
        """
        if data.labels is None:
            raise DataError('a map is compared with labels, but the data name none: set labels')
        units = list(data.units.values())
        self._model = Model.of(task, units, module.scales(data), task.device)
        self._size, self._batch = module.size, module.batch_size or 1
        self._data = data
        self.scenes = parts_of(data)

    def rows(self, scene: Scene) -> Iterator[TestedRows]:
        """The map of one scene from top to bottom, each pixel once.

        Raises:
            DataError: If a file is damaged.
        """
        tiling = Tiling.over(scene.pixels.height, scene.pixels.width, self._size)
        for strip in strips(self._model, scene, tiling, self._batch):
            mask = self._labels(scene, strip.first, strip.known.cpu().numpy())
            yield TestedRows(strip.first, strip.values, mask.to(strip.values.device))

    def _labels(self, scene: Scene, first: int, known: NDArray[np.bool_]) -> Tensor:
        data, image = self._data, scene.images[0][0]
        assert data.labels is not None
        pixels = scene.pixels._replace(row=scene.pixels.row + first, height=len(known))
        time = image.start, image.stop
        mask = data.labels.read(scene.grid, pixels, time, data.stack.cache)
        return torch.from_numpy(np.where(known, mask, data.ignore_index))


def middle(scene: Scene) -> Scene:
    """A scene's middle, as large as is drawn."""
    rows, columns = _middle(scene.pixels.height), _middle(scene.pixels.width)
    left, top = scene.pixels.col + columns.start, scene.pixels.row + rows.start
    shape = columns.stop - columns.start, rows.stop - rows.start
    return replace(scene, pixels=Pixels(left, top, *shape))


class Sample:
    """The middle of a scene's map, kept to be drawn while rows go by."""

    def __init__(self, scene: Scene) -> None:
        """Begin with no rows."""
        self._scene, self._rows = scene, _middle(scene.pixels.height)
        self._columns = _middle(scene.pixels.width)
        self._kept: list[tuple[Tensor, Tensor]] = []

    def keep(self, rows: TestedRows) -> None:
        """Keep of some rows what lies in the middle."""
        top, stop = self._rows.start - rows.first, self._rows.stop - rows.first
        inside = slice(max(top, 0), max(stop, 0)), self._columns
        self._kept.append((rows.mask[inside].cpu(), rows.prediction[inside].cpu()))

    def read(self) -> dict[str, Tensor]:
        """What data sets' ``plot`` takes.

        Returns:
            ``image``, [bands, height, width], as files hold it, NaN where there is no data; ``mask``
            and ``prediction``, int64, [height, width].

        Raises:
            DataError: If a file is damaged.
        """
        image = self._scene.read(self._rows, self._columns).astype(np.float32)
        masks, predictions = zip(*self._kept, strict=True)
        return {
            'image': torch.from_numpy(image),
            'mask': torch.cat(masks),
            'prediction': torch.cat(predictions),
        }


def _middle(length: int) -> slice:
    first = max(0, (length - _MOST) // 2)
    return slice(first, min(first + _MOST, length))
