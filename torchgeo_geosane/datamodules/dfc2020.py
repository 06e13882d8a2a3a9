"""Data module of DFC2020."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo_geosane.datamodules.chips import ChipDataModule
from torchgeo_geosane.datamodules.pipelines import BandScale, sensor_scales
from torchgeo_geosane.datasets import DFC2020
from torchgeo_geosane.datasets.chips import SENTINEL1, SENTINEL2


class DFC2020DataModule(ChipDataModule):
    """DFC2020, patches of 256 x 256 pixels.

    The contest has no labelled training part. As is common, one trains on its larger part, ``test``,
    and tests on ``val``. A hash of a patch's name keeps 15 % of ``test`` for validation; neighbours
    of a patch may be in training, so that validation is kinder than the test, which lies elsewhere.

    Values are clipped as in the contest, radar to -25 … 0 dB and reflectance to 0 … 10^4, and
    normalised with the statistics of our sensors: nobody has measured those of the training part
    (``benchmarks/band_statistics.py`` does). See :class:`~torchgeo_geosane.datasets.DFC2020`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = {
        **sensor_scales('sentinel1_grd', SENTINEL1, limits=(-25.0, 0.0)),
        **sensor_scales('sentinel2_all', SENTINEL2, limits=(0.0, 1e4)),
    }
    statistics_source = 'our sensors, after the clipping of the contest'
    parts: Mapping[str, str] = {'train': 'test', 'val': 'test', 'test': 'val'}

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = DFC2020.all_bands,
        batch_size: int = 16,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        skip_empty: bool = False,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``ROIs0000_validation`` and ``ROIs0000_test``.
            bands: Bands in the order of the model's input channels.
            batch_size: Patches a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on; a smaller one is inside.
            seed: Of that choice.
            skip_empty: Train without patches that have no pixel with data and label; reads every
                file of the training part once.

        Raises:
            DataError: If ``train_fraction`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            DFC2020, root, bands, batch_size, num_workers, train_fraction, seed, skip_empty
        )
