"""Data module of RESISC45."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo.datamodules import RESISC45DataModule as TorchGeoRESISC45
from torchgeo.datasets import RESISC45

from torchgeo_geosane.datamodules.pipelines import BandScale
from torchgeo_geosane.datamodules.samples import Resize
from torchgeo_geosane.datamodules.torchgeo import TorchGeoSetDataModule


class GeoSANERESISC45DataModule(TorchGeoSetDataModule):
    """RESISC45, photographs of 256 x 256 pixels, in the parts and with the statistics of TorchGeo.

    See :class:`torchgeo.datasets.RESISC45`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = {
        band: BandScale(mean, std)
        for band, mean, std in zip(
            ('R', 'G', 'B'),
            TorchGeoRESISC45.mean.tolist(),
            TorchGeoRESISC45.std.tolist(),
            strict=True,
        )
    }
    statistics_source = 'TorchGeo’s, of the training part'

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = ('R', 'G', 'B'),
        size: int = 256,
        batch_size: int = 64,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``NWPU-RESISC45`` and the lists of the parts.
            bands: Bands in the order of the model's input channels.
            size: Height and width that images are resized to.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on, in which each class
                keeps its share; a smaller one is inside.
            seed: Of that choice.
            download: Whether TorchGeo fetches the data.
            checksum: Whether TorchGeo compares checksums of archives.

        Raises:
            DataError: If ``train_fraction`` or ``size`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            RESISC45,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            steps=(Resize(size),),
            download=download,
            checksum=checksum,
        )

    def _labels(self, data: RESISC45) -> Sequence[int]:
        return data.targets

    def _name(self, data: RESISC45, index: int) -> str:
        return Path(data.imgs[index][0]).name
