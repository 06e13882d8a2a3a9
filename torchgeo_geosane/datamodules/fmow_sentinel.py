"""Data module of fMoW-Sentinel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo_geosane.datamodules.chips import ChipDataModule
from torchgeo_geosane.datamodules.pipelines import BandScale
from torchgeo_geosane.datasets import FMoWSentinel
from torchgeo_geosane.datasets.chips import SENTINEL2

_MEAN = (
    *(1370.2, 1184.4, 1120.8, 1136.3, 1263.7, 1645.4, 1846.9),
    *(1762.6, 1972.6, 582.7, 14.8, 1732.2, 1247.9),
)
_STD = (
    *(633.2, 650.3, 712.1, 965.2, 949.0, 1108.1, 1258.4),
    *(1233.1, 1364.4, 472.4, 14.3, 1310.4, 1087.6),
)


class FMoWSentinelDataModule(ChipDataModule):
    """fMoW-Sentinel, resized to one size, in the authors' parts and with the authors' statistics.

    See :class:`~torchgeo_geosane.datasets.FMoWSentinel`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = {
        band: BandScale(mean, std) for band, mean, std in zip(SENTINEL2, _MEAN, _STD, strict=True)
    }
    statistics_source = 'the authors’'

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = FMoWSentinel.all_bands,
        size: int = 96,
        batch_size: int = 64,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        skip_empty: bool = False,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``fmow-sentinel``.
            bands: Bands in the order of the model's input channels.
            size: Height and width that images are resized to; most have some 50.
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
            FMoWSentinel,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            skip_empty,
            size,
        )
