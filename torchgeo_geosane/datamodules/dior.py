"""Data module of DIOR."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo.datamodules.utils import collate_fn_detection
from torchgeo.datasets import DIOR

from torchgeo_geosane.datamodules.pipelines import BandScale, sensor_scales
from torchgeo_geosane.datamodules.samples import Resize, ShiftLabels
from torchgeo_geosane.datamodules.torchgeo import TorchGeoSetDataModule


class GeoSANEDIORDataModule(TorchGeoSetDataModule):
    """DIOR, photographs of 800 x 800 pixels with boxes around objects of 20 classes.

    Classes count from 1, since 0 is the background to detectors: TorchGeo's data set counts from 0.

    Its part ``test`` has no boxes: one tests on ``val``. A hash of the image's name keeps 15 % of
    ``train`` for validation, so that the test chooses nothing.

    Values are normalised with the statistics of ImageNet, which weights of photographs expect;
    nobody has measured those of the training part (``benchmarks/band_statistics.py`` does). See
    :class:`torchgeo.datasets.DIOR`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = sensor_scales('rgb', ('R', 'G', 'B'))
    statistics_source = 'our sensor `rgb`, that is ImageNet'
    parts: Mapping[str, str] = {'train': 'train', 'val': 'train', 'test': 'val'}

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = ('R', 'G', 'B'),
        size: int = 800,
        batch_size: int = 8,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds the images, the annotations and ``sample_df.csv``.
            bands: Bands in the order of the model's input channels.
            size: Height and width that images are resized to, with their boxes.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on; a smaller one is inside.
            seed: Of that choice.
            download: Whether TorchGeo fetches the data.
            checksum: Whether TorchGeo compares checksums of archives.

        Raises:
            DataError: If ``train_fraction`` or ``size`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            DIOR,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            steps=(Resize(size), ShiftLabels(1)),
            download=download,
            checksum=checksum,
        )
        self.collate_fn = collate_fn_detection

    def _name(self, data: DIOR, index: int) -> str:
        return Path(data.sample_df['image_path'][index]).name
