"""Data module of SEN12-FLOOD."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo_geosane.datamodules.chips import ChipDataModule
from torchgeo_geosane.datamodules.pipelines import BandScale, sensor_scales
from torchgeo_geosane.datasets import SEN12Flood
from torchgeo_geosane.datasets.chips import SENTINEL1


class SEN12FloodDataModule(ChipDataModule):
    """SEN12-FLOOD, single images of one sensor, resized, in parts by sequence.

    Radar, linear power in the files, is resized as power, becomes dB on the device, and is
    normalised in dB. The statistics are those of our sensors, for Sentinel-2 of top-of-atmosphere
    reflectance although the images are surface reflectance: nobody has measured those of the
    training part (``benchmarks/band_statistics.py`` does). See
    :class:`~torchgeo_geosane.datasets.SEN12Flood`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = {
        **sensor_scales('sentinel1_grd', SENTINEL1),
        **sensor_scales('sentinel2_all', SEN12Flood.all_bands[len(SENTINEL1) :]),
    }
    statistics_source = 'our sensors, radar in dB'

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = SENTINEL1,
        size: int = 256,
        batch_size: int = 32,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        skip_empty: bool = False,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``SEN12FLOOD``.
            bands: Bands in the order of the model's input channels, of one sensor.
            size: Height and width that images are resized to; most have about 512.
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
            SEN12Flood,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            skip_empty,
            size,
        )
