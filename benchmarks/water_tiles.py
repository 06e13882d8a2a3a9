"""Tiles of NASA's Blue Marble along the coasts, with land and water, as TorchGeo's data modules are."""

import csv
from pathlib import Path

import numpy as np
import rasterio
import torch
from climate_tiles import Tiles, TilesDataModule, cut
from rasterio.transform import from_origin
from torch import Tensor

COASTS = 3000
_COARSER = 8  # Pixels of the mask a pixel of Blue Marble, each way.


def make_water(source: Path, root: Path) -> None:
    """Water as a GeoTIFF on Blue Marble's grid, and places along the coasts.

    Args:
        source: Folder of the unpacked wheel global-land-mask 1.0.0.
        root: Where ``geo_climate.make_climate`` wrote Blue Marble.
    """
    if (root / 'coasts.csv').exists():
        return
    with np.load(source / 'global_land_mask' / 'globe_combined_mask_compressed.npz') as file:
        mask = file['mask']
    rows = [  # A strip at a time: the whole mask has a billion pixels.
        mask[top : top + _COARSER].reshape(_COARSER, -1, _COARSER).mean((0, 2)) >= 0.5
        for top in range(0, len(mask), _COARSER)
    ]
    water = np.stack(rows).astype(np.uint8)[None]
    place = from_origin(-180, 90, 360 / water.shape[2], 180 / water.shape[1])
    size = {'count': 1, 'height': water.shape[1], 'width': water.shape[2], 'dtype': 'uint8'}
    with rasterio.open(
        root / 'water.tif', 'w', driver='GTiff', transform=place, crs='EPSG:4326', **size
    ) as file:
        file.write(water)
    random = np.random.default_rng(0)
    with (root / 'coasts.csv').open('w', newline='') as table:
        written = csv.writer(table)
        written.writerow(['longitude', 'latitude'])
        found = 0
        while found < COASTS:
            longitude = random.uniform(-178, 178)
            latitude = np.degrees(np.arcsin(random.uniform(-0.8, 0.95)))
            if 0.1 < cut(water, longitude, latitude).mean() < 0.9:
                written.writerow([longitude, latitude])
                found += 1


class WaterTiles(Tiles):
    """Tiles and their water; ``world`` is what ``make_water`` writes."""

    table = 'coasts.csv'

    def target(self, index: int) -> dict[str, Tensor]:
        """Where water is."""
        (water,) = self.cut('water.tif', self.rows[index])
        return {'mask': torch.from_numpy(water.astype(np.int64))}


class WaterDataModule(TilesDataModule):
    """Land and water of tiles."""

    def __init__(
        self,
        world: str,
        batch_size: int = 16,
        length: int = 600,
        steps: int | None = None,
        train_fraction: float = 1.0,
    ) -> None:
        super().__init__(WaterTiles, world, batch_size, length, steps, train_fraction)
