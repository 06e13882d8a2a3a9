"""Data module of the Sentinel-2 land-use scene."""

from collections.abc import Sequence
from pathlib import Path

from torchgeo_geosane.datamodules.scene import SceneDataModule
from torchgeo_geosane.datasets import Sentinel2LandUse


class Sentinel2LandUseDataModule(SceneDataModule):
    """Batches of :class:`~torchgeo_geosane.datasets.Sentinel2LandUse`."""

    def __init__(
        self,
        root: str | Path = 'examples/data/sentinel2_landuse',
        bands: Sequence[str] = Sentinel2LandUse.all_bands,
        batch_size: int = 4,
        patch_size: int = 128,
        length: int = 100,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Keep the settings; no file is read yet, see :class:`~.scene.SceneDataModule`."""
        super().__init__(
            Sentinel2LandUse,
            root,
            bands,
            batch_size,
            patch_size,
            length,
            num_workers,
            train_fraction,
            seed,
        )
