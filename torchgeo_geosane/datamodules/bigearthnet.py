"""Data module of BigEarthNet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo.datasets import BigEarthNet

from torchgeo_geosane.datamodules.pipelines import BandScale, sensor_scales
from torchgeo_geosane.datamodules.torchgeo import TorchGeoSetDataModule
from torchgeo_geosane.datasets.chips import DB, SURFACE

# Files of a patch are read in the order of their names, Sentinel-1's before Sentinel-2's.
_RADAR = ('VH', 'VV')
_OPTICAL = (*('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B11', 'B12'),)


class GeoSANEBigEarthNetDataModule(TorchGeoSetDataModule):
    """BigEarthNet, patches of 120 x 120 pixels with several labels each, in the parts of TorchGeo.

    Only the files of the sensors that ``bands`` names are read. TorchGeo rounds backscatter to
    whole dB.

    TorchGeo knows the smallest and largest values alone, so bands are normalised with the
    statistics of our sensors, for Sentinel-2 of top-of-atmosphere reflectance although the images
    are surface reflectance: nobody has measured those of the training part
    (``benchmarks/band_statistics.py`` does). See :class:`torchgeo.datasets.BigEarthNet`.
    """

    unit = SURFACE
    units: ClassVar[Mapping[str, str]] = dict.fromkeys(_RADAR, DB)
    scales: ClassVar[Mapping[str, BandScale]] = {
        **sensor_scales('sentinel1_grd', _RADAR),
        **sensor_scales('sentinel2_all', _OPTICAL),
    }
    statistics_source = 'our sensors'

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = _OPTICAL,
        num_classes: int = 19,
        batch_size: int = 64,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        download: bool = False,
        checksum: bool = True,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``BigEarthNet-v1.0``, ``BigEarthNet-S1-v1.0`` and the lists of
                the parts.
            bands: Bands in the order of the model's input channels, of one sensor or two.
            num_classes: 19, or 43.
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
        radar, optical = (not set(bands).isdisjoint(sensor) for sensor in (_RADAR, _OPTICAL))
        self._sensors = 'all' if radar and optical else 's1' if radar else 's2'
        super().__init__(
            BigEarthNet,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            num_classes=num_classes,
            download=download,
            checksum=checksum,
        )
        self.kwargs['bands'] = self._sensors

    def _read(self) -> Sequence[str]:
        return {'s1': _RADAR, 's2': _OPTICAL, 'all': _RADAR + _OPTICAL}[self._sensors]

    def _name(self, data: BigEarthNet, index: int) -> str:
        return Path(data.folders[index]['s2']).name
