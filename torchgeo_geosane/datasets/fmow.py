"""fMoW: what is the place in this satellite photograph for? 62 categories."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from torchgeo_geosane.datasets.chips import ClassificationChips, Transforms
from torchgeo_geosane.datasets.reading import Raster, check_files, read_image
from torchgeo_geosane.errors import DataError, did_you_mean

CATEGORIES = (
    *('airport', 'airport_hangar', 'airport_terminal', 'amusement_park', 'aquaculture'),
    *('archaeological_site', 'barn', 'border_checkpoint', 'burial_site', 'car_dealership'),
    *('construction_site', 'crop_field', 'dam', 'debris_or_rubble', 'educational_institution'),
    *('electric_substation', 'factory_or_powerplant', 'fire_station', 'flooded_road', 'fountain'),
    *('gas_station', 'golf_course', 'ground_transportation_station', 'helipad', 'hospital'),
    *('impoverished_settlement', 'interchange', 'lake_or_pond', 'lighthouse', 'military_facility'),
    *('multi-unit_residential', 'nuclear_powerplant', 'office_building', 'oil_or_gas_facility'),
    *('park', 'parking_lot_or_garage', 'place_of_worship', 'police_station', 'port', 'prison'),
    *('race_track', 'railway_bridge', 'recreational_facility', 'road_bridge', 'runway'),
    *('shipyard', 'shopping_mall', 'single-unit_residential', 'smokestack', 'solar_farm'),
    *('space_facility', 'stadium', 'storage_tank', 'surface_mine', 'swimming_pool', 'toll_booth'),
    *('tower', 'tunnel_opening', 'waste_disposal', 'water_treatment_facility', 'wind_farm', 'zoo'),
)
"""The categories of fMoW, in the order of their class indices."""


class FMoW(ClassificationChips):
    """Functional Map of the World dataset, fMoW-rgb.

    Satellite images of places from over 200 countries, each with what the place is for. The test
    images come without labels and are not read.

    Dataset features:

    * 363,572 images to train and 53,041 to validate, red, green and blue, 8 bits
    * several images of a place; validation has other places
    * sizes differ, up to many thousand pixels, so resize or crop to one before batching

    Dataset format:

    * ``{train,val}/<category>/<category>_<place>/<category>_<place>_<image>_rgb.jpg``
    * a ``.json`` of the same name beside each, with the bounding box of the place

    Dataset classes: the 62 of :data:`CATEGORIES`, in alphabetical order.

    If you use this dataset in your research, please cite the following paper:

    * Christie, Fendley, Wilson, Mukherjee: "Functional Map of the World", CVPR 2018,
      https://arxiv.org/abs/1711.07846
    """

    all_bands = ('R', 'G', 'B')
    rgb_bands = all_bands
    units: ClassVar[Mapping[str, str]] = dict.fromkeys(all_bands, '8-bit')
    classes = CATEGORIES
    splits = ('train', 'val')
    source = (
        'fMoW-rgb is published as single files without checksums, see '
        'https://github.com/fMoW/dataset: copy its folders train and val into root. '
        'Licence: Functional Map of the World Challenge Public License.'
    )

    def __init__(
        self,
        root: str | Path = 'data',
        split: Literal['train', 'val'] = 'train',
        bands: Sequence[str] = all_bands,
        context: float | None = None,
        transforms: Transforms | None = None,
        download: bool = False,
        checksum: bool = False,
    ) -> None:
        """List the images of a part.

        Args:
            root: Folder that holds ``train`` and ``val``.
            split: Part.
            bands: Bands in the order wanted.
            context: None reads whole images. A number reads the bounding box of the place alone,
                widened on each side by this fraction of its width and height.
            transforms: Applied to each sample.
            download: Has no effect; the error says how to obtain the data.
            checksum: Read every file once, to find damaged ones now; no checksums are published.

        Raises:
            DatasetNotFoundError: If ``root`` does not hold the dataset.
            DataError: If a category is unknown, ``context`` negative, or files are missing or
                damaged.
            SensorError: If a band is unknown or named twice.
        """
        if context is not None and context < 0:
            raise DataError(f'context {context} is negative: use a fraction of the box, or None')
        self.context = context
        super().__init__(root, split, bands, transforms, checksum)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def name(self, index: int) -> str:
        """Return the name of an image, as in ``'zoo_12_3'``."""
        return self._images[index].removesuffix('_rgb.jpg')

    def _find_samples(self) -> None:
        part = self.root / self.split
        # Names alone: with a path object each, the training part takes hundreds of megabytes.
        self._images: list[str] = []
        for category in sorted(path.name for path in part.glob('[!.]*') if path.is_dir()):
            if category not in CATEGORIES:
                hint = did_you_mean(category, CATEGORIES)
                raise DataError(f'{part / category} is no category of fMoW{hint}')
            files = (part / category).glob(f'{category}_*/{category}_*_rgb.jpg')
            self._images += sorted(path.name for path in files)
        if self.context is not None:
            boxes = (self._path(index).with_suffix('.json') for index in range(len(self)))
            check_files(boxes, part)

    def _path(self, index: int) -> Path:
        name = self._images[index]
        place = name.removesuffix('_rgb.jpg').rpartition('_')[0]
        return self.root / self.split / place.rpartition('_')[0] / place / name

    def _rasters(self, index: int) -> list[Raster]:
        return [Raster(self._path(index), self.all_bands)]

    def _image(self, index: int) -> NDArray[np.float32]:
        if self.context is None:
            return super()._image(index)
        left, top, width, height = self._box(index)
        right, down = self.context * width, self.context * height
        window = Window(
            round(left - right),
            round(top - down),
            round(width + 2 * right),
            round(height + 2 * down),
        )
        return read_image(self._rasters(index), self.bands, window)

    def _box(self, index: int) -> tuple[float, float, float, float]:
        """Left, top, width and height of the place in an image."""
        path = self._path(index).with_suffix('.json')
        try:
            boxes = json.loads(path.read_bytes())['bounding_boxes']
            boxes = [boxes] if isinstance(boxes, dict) else boxes
            category = self.classes[self._label(index)]
            box = next(box['box'] for box in boxes if box['category'] == category)
            left, top, width, height = map(float, box)
        except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
            reason = f'{type(error).__name__} {error}'
            raise DataError(f'{path} states no box ({reason}): restore the file') from error
        return left, top, width, height

    def _label(self, index: int) -> int:
        return CATEGORIES.index(self._path(index).parts[-3])
