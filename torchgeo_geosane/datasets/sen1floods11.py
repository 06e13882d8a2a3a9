"""Sen1Floods11: surface water in Sentinel-1 and Sentinel-2 chips of eleven floods."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from torchgeo_geosane.errors import DataError, did_you_mean

Labels = Literal['hand', 'otsu', 'index']


@dataclass(frozen=True)
class _Layers:
    """A folder and its layers; a layer is a folder below and the ending of its files."""

    folder: str
    s1: str
    s2: str
    label: str


_LAYERS = {
    'hand': _Layers('HandLabeled', 'S1Hand', 'S2Hand', 'LabelHand'),
    'otsu': _Layers('WeaklyLabeled', 'S1Weak', 'S2Weak', 'S1OtsuLabelWeak'),
    'index': _Layers('WeaklyLabeled', 'S1Weak', 'S2Weak', 'S2IndexLabelWeak'),
}


class Sen1Floods11(SegmentationChips):
    """Sen1Floods11 dataset, version 1.1.

    Surface water, flooded or permanent, in chips of eleven floods on six continents.

    Dataset features:

    * 446 chips labelled by hand and some 4,380 weakly labelled ones, 512 x 512 pixels of 10 m
    * Sentinel-1 GRD, VV and VH in dB, and Sentinel-2 Level-1C, 13 bands, reflectance x 10^4
    * weak labels are thresholds: Otsu's on VH, or indices of Sentinel-2

    Dataset format:

    * ``v1.1/data/flood_events/{HandLabeled,WeaklyLabeled}/<layer>/<event>_<chip>_<layer>.tif``
    * Sentinel-1: float32, no data NaN; Sentinel-2: int16, no data 0; labels: int16
    * ``v1.1/splits/flood_handlabeled/flood_{train,valid,test,bolivia}_data.csv``, without header

    Dataset classes:

    0. no water
    1. water

    No data (-1 in the files), and pixels that a band asked for has no data at, are 255 and to be
    ignored: they are not "no water".

    Labels by hand come in the authors' parts: 252 chips to train, 89 to validate, 90 to test, and
    15 of Bolivia, an event that no other part has seen. Weak labels are for training alone; their
    chips of Bolivia are left out, to keep it unseen.

    If you use this dataset in your research, please cite the following paper:

    * Bonafilia, Tellman, Anderson, Issenberg: "Sen1Floods11: a georeferenced dataset to train and
      test deep learning flood algorithms for Sentinel-1", CVPR Workshops 2020, pp. 210-211
    """

    all_bands = SENTINEL1 + SENTINEL2
    units: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(SENTINEL1, DB),
        **dict.fromkeys(SENTINEL2, TOA),
    }
    classes = ('no water', 'water')
    palette = ('#c9b79c', '#2e7fd1')
    legend: ClassVar[Mapping[int, int]] = {-1: IGNORE_INDEX, 0: 0, 1: 1}
    splits = ('train', 'val', 'test', 'bolivia')
    source = (
        'Sen1Floods11 is published as single files without checksums, in the bucket '
        'gs://sen1floods11: copy its folder v1.1 into root. '
        'Licence: none stated with the files; the imagery is Copernicus Sentinel data.'
    )

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test', 'bolivia'] = 'train',
        bands: Sequence[str] = all_bands,
        labels: Labels = 'hand',
        transforms: Transforms | None = None,
        download: bool = False,
        checksum: bool = False,
        nodata: NoData = 'fill',
    ) -> None:
        """List the chips of a part.

        Args:
            root: Folder that holds ``v1.1``.
            split: Part; ``'bolivia'`` is the unseen event.
            bands: Bands in the order wanted: Sentinel-1, Sentinel-2 or both.
            labels: By ``'hand'``, or weak ones: ``'otsu'`` or ``'index'``, which have ``'train'``
                alone.
            transforms: Applied to each sample.
            download: Has no effect; the error says how to obtain the data.
            checksum: Read every file once, to find damaged ones now; no checksums are published.
            nodata: ``'fill'`` puts -25 dB and reflectance 0 where there is no data, ``'nan'`` NaN.

        Raises:
            DatasetNotFoundError: If ``root`` does not hold the dataset.
            DataError: If files are missing or damaged, or a split file names absent chips.
            SensorError: If a band is unknown or named twice.
        """
        if labels not in _LAYERS:
            raise DataError(f'unknown labels {labels!r}{did_you_mean(labels, _LAYERS)}')
        self.labels = labels
        self._layers = _LAYERS[labels]
        super().__init__(root, split, bands, transforms, checksum, nodata)

    def __len__(self) -> int:
        """Return the number of chips."""
        return len(self._names)

    def name(self, index: int) -> str:
        """Return event and number of a chip, as in ``'Spain_7370579'``."""
        return self._names[index]

    def _find_samples(self) -> None:
        if not (self.root / 'v1.1').is_dir():
            raise self._not_found()
        if self.labels == 'hand':
            part = 'valid' if self.split == 'val' else self.split
            listed_in = self.root / 'v1.1/splits/flood_handlabeled' / f'flood_{part}_data.csv'
            self._names = _read_split(listed_in)
        else:
            listed_in = self._folder / self._layers.label
            self._names = self._weak_names()
        self._check_files(listed_in)

    @property
    def _folder(self) -> Path:
        return self.root / 'v1.1/data/flood_events' / self._layers.folder

    def _path(self, index: int, layer: str) -> Path:
        return self._folder / layer / f'{self._names[index]}_{layer}.tif'

    def _rasters(self, index: int) -> list[Raster]:
        return [
            Raster(self._path(index, self._layers.s1), SENTINEL1),
            Raster(self._path(index, self._layers.s2), SENTINEL2, nodata=0),
        ]

    def _mask_path(self, index: int) -> Path:
        return self._path(index, self._layers.label)

    def _weak_names(self) -> list[str]:
        if self.split != 'train':
            raise DataError(
                f'weak labels have no split {self.split!r}: use labels by hand to evaluate'
            )
        ending = f'_{self._layers.label}.tif'
        files = (self._folder / self._layers.label).glob(f'[!.]*{ending}')
        names = sorted(path.name.removesuffix(ending) for path in files)
        return [name for name in names if not name.startswith('Bolivia_')]


def _read_split(path: Path) -> list[str]:
    """Names of the chips in a split file, whose rows are ``<name>_S1Hand.tif,<name>_LabelHand.tif``."""
    try:
        with path.open(newline='') as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    names = []
    for number, row in enumerate(rows, start=1):
        image, label = (cell.strip() for cell in row) if len(row) == 2 else ('', '')
        name = image.removesuffix('_S1Hand.tif')
        if not name or f'{name}_LabelHand.tif' != label:
            raise DataError(
                f'{path}, row {number}, is {",".join(row)!r}, expected '
                '<chip>_S1Hand.tif,<chip>_LabelHand.tif: restore the file'
            )
        names.append(name)
    if not names:
        raise DataError(f'{path} names no chip: restore the file')
    return names
