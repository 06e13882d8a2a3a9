"""Data module of the Landsat-7 land-cover scene."""

from collections.abc import Sequence
from pathlib import Path

from torchgeo_geosane.datamodules.scene import SceneDataModule
from torchgeo_geosane.datasets import Landsat7LandCover


class Landsat7LandCoverDataModule(SceneDataModule):
    """Batches of :class:`~torchgeo_geosane.datasets.Landsat7LandCover`."""

    def __init__(
        self,
        root: str | Path = 'examples/data/landsat7_landcover',
        bands: Sequence[str] = Landsat7LandCover.all_bands,
        batch_size: int = 8,
        patch_size: int = 96,
        length: int = 200,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Keep the settings; no file is read yet, see :class:`~.scene.SceneDataModule`."""
        super().__init__(
            Landsat7LandCover,
            root,
            bands,
            batch_size,
            patch_size,
            length,
            num_workers,
            train_fraction,
            seed,
        )
