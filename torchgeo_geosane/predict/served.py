"""Windows of scenes as a data set, for loaders and Lightning's ``predict``."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from torchgeo.datasets import GeoDataset

from torchgeo_geosane.datasets.chips import FILL
from torchgeo_geosane.predict.scenes import Scene, read_windows
from torchgeo_geosane.predict.tiling import Tiling

# TorchGeo 0.8 takes these out of a batch, so that they must be there.
_PLACE = {} if hasattr(GeoDataset, '_slice_to_tensor') else {'crs': None, 'bounds': None}


class SceneWindows(Dataset[dict[str, Any]]):
    """All windows of some scenes, scene by scene and row by row."""

    def __init__(self, scenes: Sequence[Scene], tilings: Sequence[Tiling]) -> None:
        """Keep what is to be read.

        Args:
            scenes: The scenes, all of the same bands.
            tilings: Where the windows of each lie.
        """
        self.scenes, self.tilings = scenes, tilings
        self._ends = list(accumulate(map(len, tilings)))
        fill = [FILL.get(unit, 0.0) for unit in scenes[0].data.units.values()]
        self._fill = np.array(fill, np.float32)[:, None, None]

    def __len__(self) -> int:
        """Return the number of windows."""
        return self._ends[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Read one window.

        Returns:
            ``image``, [bands, size, size], without NaN; ``known``, bool, [size, size], where all
            bands have data; ``window``: numbers of scene, row and column of windows.

        Raises:
            DataError: If a file is damaged.
        """
        number = bisect_right(self._ends, index)
        tiling = self.tilings[number]
        before = self._ends[number] - len(tiling)
        row, column = divmod(index - before, len(tiling.across.starts))
        size = (tiling.size, tiling.size)
        known = np.zeros(size, bool)
        image = np.broadcast_to(self._fill, (len(self._fill), *size))
        for found in read_windows(self.scenes[number], tiling, row, [column]).images:
            missing = np.isnan(found) if found.dtype.kind == 'f' else np.zeros_like(found, bool)
            known = np.asarray(~missing.any(axis=0))
            image = np.where(missing, self._fill, found)
        return {
            'image': torch.from_numpy(image.astype(np.float32)),
            'known': torch.from_numpy(known),
            'window': torch.tensor([number, row, column]),
            **_PLACE,
        }
