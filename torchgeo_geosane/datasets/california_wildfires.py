"""California wildfires: is there a fire in this Sentinel-2 image?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from torchgeo_geosane.datasets.chips import (
    ClassificationChips,
    NoData,
    Transforms,
    drawn_part,
)
from torchgeo_geosane.datasets.reading import Raster

_FOLDERS = ('no-fire', 'fire')


class CaliforniaWildfires(ClassificationChips):
    """California wildfires dataset.

    Sentinel-2 images of three infrared bands, with or without a fire. This is not TorchGeo's
    CaBuAr, which maps burned areas.

    Dataset features:

    * bands B8A, B11 and B12; values as the files hold them, whose unit is not documented
    * sizes differ, so resize or crop to one before batching

    Dataset format:

    * ``images/{fire,no-fire}/<id>_{B11,B12,B8A}.tif``, one file a band, no data 0

    Dataset classes:

    0. no fire
    1. fire

    Parts are drawn by id, so that an id that occurs in both folders is in one part: its SHA-256
    decides, 70 % train, 15 % val, 15 % test. Split files are not known.

    If you use this dataset in your research, please cite its authors. We know of no publication
    of its own; it is one of the datasets of GeoSANE, https://arxiv.org/abs/2603.23408.
    """

    all_bands = ('B8A', 'B11', 'B12')
    rgb_bands = ('B12', 'B11', 'B8A')
    units: ClassVar[Mapping[str, str]] = dict.fromkeys(all_bands, 'as in the files')
    classes = ('no fire', 'fire')
    source = (
        'No public place of the California wildfires images is known to us, nor their licence: ask '
        'the authors of GeoSANE (arXiv 2603.23408), and unpack the folder images in root.'
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
            root: Folder that holds ``images``.
            split: Part.
            bands: Bands in the order wanted.
            transforms: Applied to each sample.
            download: Has no effect; the error says how to obtain the data.
            checksum: Read every file once, to find damaged ones now; no checksums are published.
            nodata: ``'fill'`` puts 0 where there is no data, ``'nan'`` NaN.

        Raises:
            DatasetNotFoundError: If ``root`` does not hold the dataset.
            DataError: If files are missing or damaged.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(root, split, bands, transforms, checksum, nodata)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._samples)

    def name(self, index: int) -> str:
        """Return folder and id of an image."""
        label, identifier = self._samples[index]
        return f'{_FOLDERS[label]}/{identifier}'

    def _find_samples(self) -> None:
        images = self.root / 'images'
        found = {
            (label, path.stem.removesuffix(f'_{band}'))
            for label, folder in enumerate(_FOLDERS)
            for band in self.all_bands
            for path in (images / folder).glob(f'[!.]*_{band}.tif')
        }
        self._samples = sorted(sample for sample in found if drawn_part(sample[1]) == self.split)
        self._check_files(images)

    def _rasters(self, index: int) -> list[Raster]:
        start = self.root / 'images' / self.name(index)
        return [
            Raster(start.with_name(f'{start.name}_{band}.tif'), (band,), nodata=0)
            for band in self.all_bands
        ]

    def _label(self, index: int) -> int:
        return self._samples[index][0]
