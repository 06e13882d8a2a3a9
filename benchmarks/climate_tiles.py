"""Tiles of NASA's Blue Marble with the Köppen-Geiger zone in their middle, as TorchGeo's data modules are."""

import csv
from functools import lru_cache
from pathlib import Path

import numpy as np
import rasterio
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_geosane.datamodules.few_shot import few_shot

SIZE = 32
# West of here one trains, east of there one tests; no tile lies in both.
_WEST, _EAST = 20.0, 25.0


@lru_cache(maxsize=2)
def raster(path: Path) -> np.ndarray:
    """A raster of the whole Earth; runs of one process share it."""
    with rasterio.open(path) as file:
        return file.read()


def cut(earth: np.ndarray, longitude: float, latitude: float) -> np.ndarray:
    """The tile of ``[bands, height, width]`` around a place."""
    _, height, width = earth.shape
    column = int((longitude + 180) / 360 * width) - SIZE // 2
    line = int((90 - latitude) / 180 * height) - SIZE // 2
    column, line = min(max(column, 0), width - SIZE), min(max(line, 0), height - SIZE)
    return earth[:, line : line + SIZE, column : column + SIZE]


class Tiles(Dataset[dict[str, Tensor]]):
    """Tiles of one part, around the places of a table; ``world`` has the rasters and tables."""

    all_bands = ('R', 'G', 'B')
    table: str

    def __init__(self, world: str, split: str = 'train', length: int = 600) -> None:
        self.world = Path(world)
        with (self.world / self.table).open() as table:
            every = list(csv.DictReader(table))
        self.read(every)
        east = split != 'train'
        kept = [
            row
            for row in every
            if (float(row['longitude']) > _EAST if east else float(row['longitude']) < _WEST)
        ]
        order = np.random.default_rng(0).permutation(len(kept))[:length]
        self.rows = [kept[at] for at in order]
        self.tiles = [self.cut('marble.tif', row).astype(np.float32) for row in self.rows]

    def read(self, rows: list[dict[str, str]]) -> None:
        """Look at the whole table."""

    def cut(self, name: str, row: dict[str, str]) -> np.ndarray:
        """The tile of a raster around a row's place."""
        earth = raster(self.world / name)
        return cut(earth, float(row['longitude']), float(row['latitude']))

    def target(self, index: int) -> dict[str, Tensor]:
        """What is to be predicted of a tile."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'image': torch.from_numpy(self.tiles[index]), **self.target(index)}


class ClimateTiles(Tiles):
    """Tiles and zones; ``world`` is what ``geo_climate.make_climate`` writes."""

    table = 'zones.csv'

    def read(self, rows: list[dict[str, str]]) -> None:
        """The zones."""
        self.classes = sorted({row['zone'] for row in rows})

    def target(self, index: int) -> dict[str, Tensor]:
        """The zone."""
        return {'label': torch.tensor(self.classes.index(self.rows[index]['zone']))}


class TilesDataModule(NonGeoDataModule):
    """Trains in the west, tests in the east; validates there too: choose nothing by it.

    Args:
        tiles: The data set.
        world: Folder of its rasters and tables.
        batch_size: Tiles a batch.
        length: Tiles of each part at most.
        steps: Batches of an epoch, whatever the share of the training tiles; None for each tile once.
        train_fraction: Share of the training tiles; a smaller one lies inside a larger.
    """

    mean = torch.tensor(100.0)
    std = torch.tensor(60.0)

    def __init__(
        self,
        tiles: type[Tiles],
        world: str,
        batch_size: int,
        length: int,
        steps: int | None = None,
        train_fraction: float = 1.0,
    ) -> None:
        super().__init__(tiles, batch_size, world=world, length=length)
        self.steps, self.train_fraction = steps, train_fraction

    def setup(self, stage: str) -> None:
        """Keep a share of the training tiles."""
        super().setup(stage)
        if stage == 'fit':
            names = [f'{row["longitude"]} {row["latitude"]}' for row in self.train_dataset.rows]
            kept = few_shot(names, self.train_fraction, seed=0)
            self.train_dataset = Subset(self.train_dataset, kept)

    def _dataloader_factory(self, split: str) -> DataLoader[dict[str, Tensor]]:
        if split != 'train' or self.steps is None:
            return super()._dataloader_factory(split)
        data, count = self.train_dataset, self.steps * self.batch_size
        sampler = RandomSampler(data, num_samples=count)
        return DataLoader(data, self.batch_size, sampler=sampler)


class ClimateDataModule(TilesDataModule):
    """Zones of tiles."""

    def __init__(
        self,
        world: str,
        batch_size: int = 32,
        length: int = 600,
        steps: int | None = None,
        train_fraction: float = 1.0,
    ) -> None:
        super().__init__(ClimateTiles, world, batch_size, length, steps, train_fraction)
