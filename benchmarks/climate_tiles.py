"""Tiles of NASA's Blue Marble with the Köppen-Geiger zone in their middle, as TorchGeo's data modules are."""

import csv
from pathlib import Path

import numpy as np
import rasterio
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchgeo.datamodules import NonGeoDataModule

SIZE = 32
# West of here one trains, east of there one tests; no tile lies in both.
_WEST, _EAST = 20.0, 25.0


class ClimateTiles(Dataset[dict[str, Tensor]]):
    """Tiles of one part; ``world`` is what ``geo_climate.make_climate`` writes."""

    all_bands = ('R', 'G', 'B')

    def __init__(self, world: str, split: str = 'train', length: int = 600) -> None:
        with (Path(world) / 'zones.csv').open() as table:
            rows = list(csv.DictReader(table))
        self.classes = sorted({row['zone'] for row in rows})
        east = split != 'train'
        kept = [
            row
            for row in rows
            if (float(row['longitude']) > _EAST if east else float(row['longitude']) < _WEST)
        ]
        order = np.random.default_rng(0).permutation(len(kept))[:length]
        with rasterio.open(Path(world) / 'marble.tif') as file:
            marble = file.read()
        self.rows = [kept[at] for at in order]
        self.tiles = [self._tile(marble, row) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        label = self.classes.index(self.rows[index]['zone'])
        return {'image': self.tiles[index], 'label': torch.tensor(label)}

    @staticmethod
    def _tile(marble: np.ndarray, row: dict[str, str]) -> Tensor:
        _, height, width = marble.shape
        column = int((float(row['longitude']) + 180) / 360 * width) - SIZE // 2
        line = int((90 - float(row['latitude'])) / 180 * height) - SIZE // 2
        column, line = min(max(column, 0), width - SIZE), min(max(line, 0), height - SIZE)
        tile = marble[:, line : line + SIZE, column : column + SIZE].astype(np.float32)
        return torch.from_numpy(tile)


class ClimateDataModule(NonGeoDataModule):
    """Trains in the west, tests in the east."""

    mean = torch.tensor(100.0)
    std = torch.tensor(60.0)

    def __init__(self, world: str, batch_size: int = 32, length: int = 600) -> None:
        super().__init__(ClimateTiles, batch_size, world=world, length=length)
