"""Data module of EuroSAT."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo.datamodules.eurosat import MEAN, STD
from torchgeo.datasets import EuroSAT

from torchgeo_geosane.datamodules.pipelines import BandScale
from torchgeo_geosane.datamodules.torchgeo import TorchGeoSetDataModule
from torchgeo_geosane.datasets.chips import TOA


class GeoSANEEuroSATDataModule(TorchGeoSetDataModule):
    """EuroSAT, Sentinel-2 patches of 64 x 64 pixels, in the parts and with the statistics of TorchGeo.

    Its bands come in an order of their own: B8A is the last. See
    :class:`torchgeo.datasets.EuroSAT`.
    """

    unit = TOA
    scales: ClassVar[Mapping[str, BandScale]] = {
        band: BandScale(MEAN[band], STD[band]) for band in EuroSAT.all_band_names
    }
    statistics_source = 'TorchGeo’s'

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = EuroSAT.all_band_names,
        batch_size: int = 64,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``ds`` and the lists of the parts.
            bands: Bands in the order of the model's input channels.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on, in which each class
                keeps its share; a smaller one is inside.
            seed: Of that choice.
            download: Whether TorchGeo fetches the data.
            checksum: Whether TorchGeo compares checksums of archives.

        Raises:
            DataError: If ``train_fraction`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            EuroSAT,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            download=download,
            checksum=checksum,
        )
        self.kwargs['bands'] = self.bands

    def _read(self) -> Sequence[str]:
        return self.bands

    def _labels(self, data: EuroSAT) -> Sequence[int]:
        return data.targets

    def _name(self, data: EuroSAT, index: int) -> str:
        return Path(data.imgs[index][0]).name
