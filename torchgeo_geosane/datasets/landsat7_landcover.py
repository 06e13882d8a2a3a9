"""Landsat-7 scene of North Carolina with a land-cover map: chips of one part of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from torchgeo_geosane.datasets.scene import Labels
from torchgeo_geosane.datasets.scene_chips import SceneChips, Split
from torchgeo_geosane.datasets.scene_labels import MapLabels


class Landsat7LandCover(SceneChips):
    """Chips of one Landsat-7 ETM+ scene, with a label for every pixel.

    The scene is split from west to east, see :class:`~.scene_chips.SceneChips`, with 4 columns
    left out.

    Dataset features:

    * 6 bands in digital numbers of 8 bits, uncalibrated, 28.5 m: blue, green, red, near infrared
      and two of shortwave infrared, the colours of sensor ``sentinel2_6``
    * 7 land-cover classes; sediment (0.1 % of the pixels) and agriculture (0.3 %) are rare

    Dataset format:

    * one GeoTIFF a band, ``*_B1.tif`` to ``*_B5.tif`` and ``*_B7.tif``
    * one GeoTIFF ``landcover_*.tif`` on the same grid with the values 1 to 7; 0 is unlabelled

    The scene in ``examples/data/landsat7_landcover`` lies around Raleigh, USA, 2000; its README.md
    names origin and licences.
    """

    all_bands: tuple[str, ...] = ('B1', 'B2', 'B3', 'B4', 'B5', 'B7')
    rgb_bands: tuple[str, ...] = ('B3', 'B2', 'B1')
    classes: ClassVar[tuple[str, ...]] = (
        *('developed', 'agriculture', 'herbaceous', 'shrubland', 'forest', 'water', 'sediment'),
    )
    palette: ClassVar[tuple[str, ...]] = (
        *('#d1495b', '#e6c229', '#a6e35c', '#9c7a3c', '#1a6b2f', '#2e7fd1', '#8d6cab'),
    )
    resolution: ClassVar[float] = 28.5
    dtype: ClassVar[str] = 'uint8'
    gap: ClassVar[int] = 4

    def __init__(
        self,
        root: str | Path = 'examples/data/landsat7_landcover',
        split: Split = 'train',
        bands: Sequence[str] = all_bands,
        patch_size: int = 96,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
    ) -> None:
        """Read the scene and cut out one part, see :class:`~.scene_chips.SceneChips`."""
        super().__init__(root, split, bands, patch_size, transforms)

    def _labels(self) -> Labels:
        return MapLabels('landcover_*.tif', len(self.classes))
