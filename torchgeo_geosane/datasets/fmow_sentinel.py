"""fMoW-Sentinel: Sentinel-2 images of the places of fMoW."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from torchgeo_geosane.datasets.chips import SENTINEL2, TOA, ClassificationChips, NoData, Transforms
from torchgeo_geosane.datasets.fmow import CATEGORIES
from torchgeo_geosane.datasets.reading import Raster, check_files
from torchgeo_geosane.errors import DataError, did_you_mean


class FMoWSentinel(ClassificationChips):
    """fMoW-Sentinel dataset.

    Sentinel-2 images of the places of fMoW: cloud composites of 90 days around the date of an
    image of fMoW, or, where ``image_id`` is 100 or more, around the middle of half a year.

    Dataset features:

    * 712,874 images to train, 84,939 to validate and 84,966 to test
    * 13 bands, reflectance x 10^4
    * sizes differ, mostly some 50 pixels of 10 m, so resize or crop to one before batching

    Dataset format:

    * ``fmow-sentinel/{train,val,test_gt}.csv`` with columns ``category``, ``location_id`` and
      ``image_id``; the column ``image_path`` is not used, since it does not match the files
    * ``fmow-sentinel/<part>/<category>/<category>_<location>/<category>_<location>_<image>.tif``

    Dataset classes: the 62 of :data:`~.fmow.CATEGORIES`, in alphabetical order.

    If you use this dataset in your research, please cite the following papers:

    * Cong, Khanna, Meng, Liu, Rozi, He, Burke, Lobell, Ermon: "SatMAE: pre-training transformers
      for temporal and multi-spectral satellite imagery", NeurIPS 2022,
      https://arxiv.org/abs/2207.08051
    * Christie, Fendley, Wilson, Mukherjee: "Functional Map of the World", CVPR 2018,
      https://arxiv.org/abs/1711.07846
    """

    all_bands = SENTINEL2
    units: ClassVar[Mapping[str, str]] = dict.fromkeys(SENTINEL2, TOA)
    classes = CATEGORIES
    source = (
        'fMoW-Sentinel is published by the Stanford Digital Repository, doi 10.25740/vg497cb6002: '
        'unpack it in root and put its csv files into the folder fmow-sentinel. Licence: Functional '
        'Map of the World Challenge Public License for the labels, Sentinel-2 terms for images.'
    )

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        bands: Sequence[str] = all_bands,
        transforms: Transforms | None = None,
        download: bool = False,
        checksum: bool = False,
        nodata: NoData = 'fill',
    ) -> None:
        """List the images of a part.

        Args:
            root: Folder that holds ``fmow-sentinel``.
            split: Part; ``'test'`` is the part ``test_gt``.
            bands: Bands in the order wanted.
            transforms: Applied to each sample.
            download: Has no effect; the error says how to obtain the data.
            checksum: Read every file once, to find damaged ones now; no checksums are published.
            nodata: ``'fill'`` puts 0 where there is no data, ``'nan'`` NaN.

        Raises:
            DatasetNotFoundError: If ``root`` does not hold the dataset.
            DataError: If files are missing or damaged, or a csv file names absent images.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(root, split, bands, transforms, checksum, nodata)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._labels)

    def name(self, index: int) -> str:
        """Return category, location and image, as in ``'zoo_12_103'``."""
        category = CATEGORIES[self._labels[index]]
        return f'{category}_{self._locations[index]}_{self._numbers[index]}'

    def _find_samples(self) -> None:
        self._part = 'test_gt' if self.split == 'test' else self.split
        listed_in = self.root / 'fmow-sentinel' / f'{self._part}.csv'
        if not listed_in.is_file():
            raise self._not_found()
        table = _read_table(listed_in)
        self._labels = table['category'].map(CATEGORIES.index).to_numpy(np.uint8)
        self._locations = table['location_id'].to_numpy(np.int32)
        self._numbers = table['image_id'].to_numpy(np.int32)
        check_files((self._path(index) for index in range(len(self))), listed_in)

    def _path(self, index: int) -> str:
        name = self.name(index)
        place = name.rpartition('_')[0]
        category = CATEGORIES[self._labels[index]]
        return f'{self.root}/fmow-sentinel/{self._part}/{category}/{place}/{name}.tif'

    def _rasters(self, index: int) -> list[Raster]:
        return [Raster(Path(self._path(index)), SENTINEL2, nodata=0)]

    def _label(self, index: int) -> int:
        return int(self._labels[index])


def _read_table(path: Path) -> pd.DataFrame:
    columns = {'category': str, 'location_id': np.int64, 'image_id': np.int64}
    try:
        table = pd.read_csv(path, usecols=list(columns), dtype=columns, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    unknown = sorted(set(table['category']) - set(CATEGORIES))
    if unknown:
        hint = did_you_mean(unknown[0], CATEGORIES)
        raise DataError(f'{path} names the category {unknown[0]!r}{hint}')
    return table
