"""SEN12-FLOOD: is there a flood in this image of a Sentinel-1 or Sentinel-2 series?"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from torchgeo_geosane.datasets.chips import (
    LINEAR,
    SENTINEL1,
    SENTINEL2,
    SURFACE,
    ClassificationChips,
    NoData,
    Transforms,
    drawn_part,
)
from torchgeo_geosane.datasets.reading import Raster
from torchgeo_geosane.errors import DataError, SensorError

_LEVEL2A = tuple(band for band in SENTINEL2 if band != 'B10')


@dataclass(frozen=True, order=True)
class FloodImage:
    """One image of a series.

    Attributes:
        sequence: The series, which is the place.
        date: When it was taken, as ``YYYY-MM-DD``.
        filename: How its files begin.
        folder: Where they lie, below the dataset's folder.
        flooding: Its label.
    """

    sequence: str
    date: str
    filename: str
    folder: str
    flooding: bool


class SEN12Flood(ClassificationChips):
    """SEN12-FLOOD dataset.

    Series of images of some 336 places in Africa, the Middle East and Australia, December 2018 to
    May 2019, each image with the label whether a flood is visible. Both sensors see the same
    places, but on other days and other grids: a sample is one image of one sensor.

    Dataset features:

    * Sentinel-1 GRD, VV and VH as linear power (not dB), on a grid of longitude and latitude
    * Sentinel-2 Level-2A, 12 bands (no B10), surface reflectance x 10^4, UTM, 10 m
    * about 512 x 512 pixels; sizes differ, so resize or crop to one before batching

    Dataset format:

    * ``SEN12FLOOD/<sequence>/<filename>_corrected_{VV,VH}.tif``, float32, no data 0
    * ``SEN12FLOOD/<sequence>/S2_YYYY-MM-DD_Bxx.tif``, one file a band, no data 0
    * ``S1list.json`` and ``S2list.json``, in that folder or beside it: date, label and filename

    Dataset classes:

    0. no flood
    1. flood

    After the first flood of a sequence all its images are labelled as flooded, and images of a
    place look alike, so that parts are drawn **by sequence**: the SHA-256 of its name decides,
    70 % train, 15 % val, 15 % test. Nobody publishes split files.

    If you use this dataset in your research, please cite the following papers:

    * Rambour, Audebert, Koeniguer, Le Saux, Datcu: "Flood detection in time series of optical and
      SAR images", ISPRS Archives XLIII-B2-2020, pp. 1343-1346
    * Bischke, Helber, Schulze, Srinivasan, Dengel, Borth: "The multimedia satellite task at
      MediaEval 2019"
    """

    all_bands = SENTINEL1 + _LEVEL2A
    units: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(SENTINEL1, LINEAR),
        **dict.fromkeys(_LEVEL2A, SURFACE),
    }
    classes = ('no flood', 'flood')
    source = (
        'SEN12-FLOOD needs an account at IEEE DataPort, doi 10.21227/w6xz-s898: unpack its folder '
        'SEN12FLOOD in root. Licence: open access; contains modified Copernicus Sentinel data.'
    )

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val', 'test'] = 'train',
        bands: Sequence[str] = SENTINEL1,
        transforms: Transforms | None = None,
        download: bool = False,
        checksum: bool = False,
        nodata: NoData = 'fill',
    ) -> None:
        """List the images of a part.

        Args:
            root: Folder that holds ``SEN12FLOOD``.
            split: Part.
            bands: Bands in the order wanted, of Sentinel-1 or of Sentinel-2.
            transforms: Applied to each sample.
            download: Has no effect; the error says how to obtain the data.
            checksum: Read every file once, to find damaged ones now; no checksums are published.
            nodata: ``'fill'`` puts a power of 10^-2.5 (-25 dB) and reflectance 0 where there is no
                data, ``'nan'`` NaN.

        Raises:
            DatasetNotFoundError: If ``root`` does not hold the dataset.
            DataError: If files are missing or damaged, or a list names absent images.
            SensorError: If a band is unknown or named twice, or bands are of both sensors.
        """
        if 0 < len(set(bands) & set(SENTINEL1)) < len(set(bands)):
            raise SensorError(
                f'bands {list(bands)} mix Sentinel-1 and Sentinel-2, which SEN12-FLOOD has on '
                'other days and other grids: make one dataset for each'
            )
        super().__init__(root, split, bands, transforms, checksum, nodata)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def name(self, index: int) -> str:
        """Return sequence and file name of an image."""
        return f'{self.images[index].folder}/{self.images[index].filename}'

    def _find_samples(self) -> None:
        name = f'S{1 if self.bands[0] in SENTINEL1 else 2}list.json'
        paths = (self.root / 'SEN12FLOOD' / name, self.root / name)
        listed_in = next((path for path in paths if path.is_file()), None)
        if listed_in is None:
            raise self._not_found()
        self.images = [
            image
            for image in sorted(_listed(listed_in))
            if drawn_part(image.sequence) == self.split
        ]
        self._check_files(listed_in)

    def _rasters(self, index: int) -> list[Raster]:
        image = self.images[index]
        start = self.root / 'SEN12FLOOD' / image.folder / image.filename
        between = '_corrected' if self.bands[0] in SENTINEL1 else ''
        return [
            Raster(start.with_name(f'{start.name}{between}_{band}.tif'), (band,), nodata=0)
            for band in self.bands
        ]

    def _label(self, index: int) -> int:
        return int(self.images[index].flooding)


def _listed(path: Path) -> Iterator[FloodImage]:
    """The images in a list: sequence to ``{"folder": …, "1": {"date": …, …}, "2": …}``."""
    try:
        sequences: dict[str, dict[str, Any]] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f'cannot read {path} ({error}): restore the file') from error
    if not isinstance(sequences, dict):
        raise DataError(f'{path} is no list of sequences: restore the file')
    for sequence, entries in sequences.items():
        try:
            folder = entries.get('folder', sequence)
            for number, entry in entries.items():
                if number.isdigit():
                    yield _image(sequence, folder, entry)
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f'{path}, sequence {sequence!r}: {type(error).__name__} {error}: restore the file'
            ) from error


def _image(sequence: str, folder: str, entry: dict[str, Any]) -> FloodImage:
    image = FloodImage(sequence, entry['date'], entry['filename'], folder, entry['FLOODING'])
    if not isinstance(image.flooding, bool):
        raise TypeError(f'FLOODING is {image.flooding!r}, expected true or false')
    if not all(isinstance(text, str) for text in (folder, image.date, image.filename)):
        raise TypeError(f'folder, date and filename of {entry!r} are to be texts')
    return image
