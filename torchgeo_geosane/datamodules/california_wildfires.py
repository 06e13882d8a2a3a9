"""Data module of the California wildfires."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo_geosane.datamodules.chips import ChipDataModule
from torchgeo_geosane.datamodules.pipelines import BandScale, sensor_scales
from torchgeo_geosane.datasets import CaliforniaWildfires


class CaliforniaWildfiresDataModule(ChipDataModule):
    """California wildfires, resized to one size, in parts by id.

    The unit of the images is not documented, nor are statistics. They are normalised with those of
    our sensor, which holds if the unit is reflectance x 10^4: look at what
    ``benchmarks/band_statistics.py`` measures before you rely on it. See
    :class:`~torchgeo_geosane.datasets.CaliforniaWildfires`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = sensor_scales(
        'sentinel2_all', CaliforniaWildfires.all_bands
    )
    statistics_source = 'our sensor, if the unit is reflectance x 10000'

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = CaliforniaWildfires.all_bands,
        size: int = 224,
        batch_size: int = 32,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        skip_empty: bool = False,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``images``.
            bands: Bands in the order of the model's input channels.
            size: Height and width that images are resized to.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on, in which each class keeps its
                share; a smaller one is inside.
            seed: Of that choice.
            skip_empty: Train without images that hold no data; reads every file of the training
                part once.

        Raises:
            DataError: If ``train_fraction`` or ``size`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            CaliforniaWildfires,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            skip_empty,
            size,
        )
