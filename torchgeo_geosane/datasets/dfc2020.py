"""DFC2020: land cover in Sentinel-1 and Sentinel-2 patches, labels of the IEEE GRSS contest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from torchgeo_geosane.datasets.chips import (
    DB,
    SENTINEL1,
    SENTINEL2,
    TOA,
    NoData,
    SegmentationChips,
    Transforms,
)
from torchgeo_geosane.datasets.legend import IGNORE_INDEX
from torchgeo_geosane.datasets.reading import Raster


class DFC2020(SegmentationChips):
    """DFC2020 dataset.

    Land cover at 10 m, of the `2020 IEEE GRSS Data Fusion Contest
    <https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest>`__. The contest has
    no labelled training part: commonly one trains on the larger part, ``'test'``, and tests on
    ``'val'``.

    Dataset features:

    * 6,114 patches of 256 x 256 pixels of 10 m: 986 in ``'val'``, 5,128 in ``'test'``
    * Sentinel-1 GRD, VV and VH in dB, and Sentinel-2 Level-1C, 13 bands, reflectance x 10^4
    * semi-manual labels in the simplified IGBP scheme, of which the contest scores 8 classes

    Dataset format:

    * ``ROIs0000_{validation,test}/{s1,s2,dfc}_<scene>/ROIs0000_<part>_{s1,s2,dfc}_<scene>_p<n>.tif``
    * labels are 1 to 10 (0 invalid); the MODIS labels in ``lc_<scene>`` are not used

    Dataset classes:

    0. forest
    1. shrubland
    2. grassland
    3. wetland
    4. cropland
    5. urban or built-up
    6. barren
    7. water

    Savanna (3 in the files) and snow (8), which the contest leaves out, invalid pixels (0), and
    pixels that a band asked for has no data at, are 255 and to be ignored.

    If you use this dataset in your research, please cite the following papers:

    * Schmitt, Hughes, Ghamisi, Yokoya, Hänsch: "2020 IEEE GRSS Data Fusion Contest", IEEE DataPort,
      https://doi.org/10.21227/rha7-m332
    * Robinson, Malkin, Jojic, Chen, Qin, Xiao, Schmitt, Ghamisi, Hänsch, Yokoya: "Global land-cover
      mapping with weak supervision: outcome of the 2020 IEEE GRSS Data Fusion Contest", IEEE JSTARS
      14, 2021
    """

    all_bands = SENTINEL1 + SENTINEL2
    units: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(SENTINEL1, DB),
        **dict.fromkeys(SENTINEL2, TOA),
    }
    classes = (
        *('forest', 'shrubland', 'grassland', 'wetland'),
        *('cropland', 'urban', 'barren', 'water'),
    )
    palette = (
        *('#1a6b2f', '#9c7a3c', '#a6e35c', '#5fd0c5'),
        *('#e6c229', '#d1495b', '#efe3c2', '#2e7fd1'),
    )
    legend: ClassVar[Mapping[int, int]] = {
        0: IGNORE_INDEX,
        1: 0,
        2: 1,
        3: IGNORE_INDEX,
        4: 2,
        5: 3,
        6: 4,
        7: 5,
        8: IGNORE_INDEX,
        9: 6,
        10: 7,
    }
    splits = ('val', 'test')
    source = (
        'DFC2020 needs an account at IEEE DataPort, doi 10.21227/rha7-m332: unpack '
        'ROIs0000_validation and ROIs0000_test in root. Licence: CC BY 4.0.'
    )

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['val', 'test'] = 'test',
        bands: Sequence[str] = all_bands,
        transforms: Transforms | None = None,
        download: bool = False,
        checksum: bool = False,
        nodata: NoData = 'fill',
    ) -> None:
        """List the patches of a part.

        Args:
            root: Folder that holds ``ROIs0000_validation`` and ``ROIs0000_test``.
            split: Part of the contest.
            bands: Bands in the order wanted: Sentinel-1, Sentinel-2 or both.
            transforms: Applied to each sample.
            download: Has no effect; the error says how to obtain the data.
            checksum: Read every file once, to find damaged ones now; no checksums are published.
            nodata: ``'fill'`` puts -25 dB and reflectance 0 where there is no data, ``'nan'`` NaN.

        Raises:
            DatasetNotFoundError: If ``root`` does not hold the dataset.
            DataError: If files are missing or damaged.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(root, split, bands, transforms, checksum, nodata)

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self._masks)

    def name(self, index: int) -> str:
        """Return the name of a patch, that of its labels."""
        return self._masks[index].stem

    def _find_samples(self) -> None:
        folder = self.root / f'ROIs0000_{"validation" if self.split == "val" else "test"}'
        self._masks = sorted(folder.glob('dfc_*/[!.]*_dfc_*.tif'))
        self._check_files(folder)

    def _rasters(self, index: int) -> list[Raster]:
        mask = self._masks[index]
        s1, s2 = (
            mask.parent.with_name(mask.parent.name.replace('dfc', sensor, 1))
            / mask.name.replace('_dfc_', f'_{sensor}_')
            for sensor in ('s1', 's2')
        )
        return [Raster(s1, SENTINEL1), Raster(s2, SENTINEL2, nodata=0)]

    def _mask_path(self, index: int) -> Path:
        return self._masks[index]
