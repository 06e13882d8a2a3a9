"""Data module of SpaceNet 1."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo.datasets import SpaceNet1

from torchgeo_geosane.datamodules.pipelines import BandScale, sensor_scales
from torchgeo_geosane.datamodules.samples import Pad
from torchgeo_geosane.datamodules.task_check import Facts
from torchgeo_geosane.datamodules.torchgeo import TorchGeoSetDataModule
from torchgeo_geosane.datasets import IGNORE_INDEX

# The next multiples of 32, the stride of most encoders, above 406 x 439.
_HEIGHT, _WIDTH = 416, 448


class GeoSANESpaceNet1DataModule(TorchGeoSetDataModule):
    """SpaceNet 1, photographs of Rio de Janeiro and a mask of buildings.

    Images of 406 x 439 pixels are padded to 416 x 448; there the mask is 255, to be ignored, and
    0 is background, 1 a building. (TorchGeo's data module makes them 0, 1 and 2.) The images of
    eight bands, of a quarter of the resolution, are not read.

    Only the part ``train`` has masks. A hash of the image's name divides it: 70 % train, 15 %
    validate, 15 % test. Images are neighbours of each other, so that the test is kinder than
    another city would be.

    Values are normalised with the statistics of ImageNet, which weights of photographs expect;
    nobody has measured those of the training part (``benchmarks/band_statistics.py`` does). See
    :class:`torchgeo.datasets.SpaceNet1`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = sensor_scales('rgb', ('R', 'G', 'B'))
    statistics_source = 'our sensor `rgb`, that is ImageNet'
    parts: Mapping[str, str] = {'train': 'train', 'val': 'train', 'test': 'train'}

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = ('R', 'G', 'B'),
        batch_size: int = 16,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``SN1_buildings``.
            bands: Bands in the order of the model's input channels.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on; a smaller one is inside.
            seed: Of that choice.
            download: Whether TorchGeo fetches the data.
            checksum: Whether TorchGeo compares checksums of archives.

        Raises:
            DataError: If ``train_fraction`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            SpaceNet1,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            steps=(Pad(_HEIGHT, _WIDTH, IGNORE_INDEX),),
            image='3band',
            download=download,
            checksum=checksum,
        )

    def _facts(self) -> Facts:
        return Facts(self.bands, ('other', 'building'), IGNORE_INDEX)

    def _name(self, data: SpaceNet1, index: int) -> str:
        return Path(data.images[index]).name
