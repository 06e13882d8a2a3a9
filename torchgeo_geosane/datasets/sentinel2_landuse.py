"""Sentinel-2 scene with OpenStreetMap land use: chips of one part of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from torchgeo_geosane.datasets.scene import Labels
from torchgeo_geosane.datasets.scene_chips import SceneChips, Split
from torchgeo_geosane.datasets.scene_labels import PolygonLabels


class Sentinel2LandUse(SceneChips):
    """Chips of one Sentinel-2 Level-1C scene, with land use from OpenStreetMap.

    The scene is split from west to east, see :class:`~.scene_chips.SceneChips`, with 16 columns
    left out. Bilinear resampling lets pixels up to 11 columns (of 10 m) apart share a pixel of a
    60 m band: so no pixel of any band, at any resolution, belongs to two blocks.

    Dataset features:

    * 13 bands, top-of-atmosphere reflectance x 10^4, resampled to 10 m
    * 8 land-use classes; pixels without a polygon (two thirds of them) are 255 and to be ignored

    Dataset format:

    * one JPEG 2000 (or GeoTIFF) file a band, ``*_B01.jp2`` to ``*_B12.jp2``
    * one GeoPackage of polygons with the column ``fclass``

    The scene in ``examples/data/sentinel2_landuse`` lies in Brandenburg, Germany, 2017-02-16; its
    README.md names origin and licences.
    """

    all_bands: tuple[str, ...] = (
        *('B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07'),
        *('B08', 'B8A', 'B09', 'B10', 'B11', 'B12'),
    )
    rgb_bands: tuple[str, ...] = ('B04', 'B03', 'B02')
    classes: ClassVar[tuple[str, ...]] = (
        *('farm', 'forest', 'grass', 'meadow', 'residential', 'scrub', 'water', 'wetland'),
    )
    palette: ClassVar[tuple[str, ...]] = (
        *('#e6c229', '#1a6b2f', '#a6e35c', '#5fb04a', '#d1495b', '#9c7a3c', '#2e7fd1', '#5fd0c5'),
    )
    attribute: ClassVar[str] = 'fclass'
    resolution: ClassVar[float] = 10.0
    dtype: ClassVar[str] = 'uint16'
    gap: ClassVar[int] = 16

    def __init__(
        self,
        root: str | Path = 'examples/data/sentinel2_landuse',
        split: Split = 'train',
        bands: Sequence[str] = all_bands,
        patch_size: int = 128,
        transforms: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
    ) -> None:
        """Read the scene and cut out one part, see :class:`~.scene_chips.SceneChips`."""
        super().__init__(root, split, bands, patch_size, transforms)

    def _labels(self) -> Labels:
        return PolygonLabels(self.classes, self.attribute)
