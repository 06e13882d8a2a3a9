"""Labels in rasters of class values."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from torchgeo_geosane.datasets.acquisitions import Paths, find_acquisitions
from torchgeo_geosane.datasets.decoding import decode_values
from torchgeo_geosane.datasets.grid import Grid, Pixels
from torchgeo_geosane.datasets.labels import Labels
from torchgeo_geosane.datasets.legend import Legend
from torchgeo_geosane.datasets.located import Located
from torchgeo_geosane.datasets.open_files import modified
from torchgeo_geosane.sensors import Band, Sensor

_LABEL = Sensor('labels', 'class values', (Band('label', None, 'class'),), '')


class RasterLabels(Labels):
    """Labels in rasters of one band: the nearest pixel, never an overview's, in the file's own type.

    Args:
        paths: A folder, a glob, files or STAC items.
        legend: What the values mean. A file's own value for no data is no label, unless the legend
            names it.

    Raises:
        DataError: If there is no file, one is damaged or has several bands, or the legend has no
            numbers.
    """

    def __init__(self, paths: Paths, legend: Legend) -> None:
        found = find_acquisitions(paths, _LABEL)
        files = [map_.files[0] for map_ in found]
        self._nodata = [file.nodata[0] for file in files]
        # The legend decides what the value for no data means.
        self._maps = [
            replace(map_, files=(replace(file, nodata=(None,)),))
            for map_, file in zip(found, files, strict=True)
        ]
        systems = list(dict.fromkeys(file.crs for file in files))
        numbers = {crs: [at for at, file in enumerate(files) if file.crs == crs] for crs in systems}
        extents = [
            (
                Located(np.array([files[at].grid.outline(files[at].whole) for at in those]), crs),
                np.array(those),
            )
            for crs, those in numbers.items()
        ]
        assert legend.numbers  # A legend of text is refused before any pixel is read.
        super().__init__(legend, extents, [(map_.start, map_.stop) for map_ in found])

    def _stamp(self) -> str:
        return str([(map_.files[0].path, modified(map_.files[0].path)) for map_ in self._maps])

    def _draw(self, grid: Grid, pixels: Pixels, files: Sequence[int]) -> NDArray[Any]:
        ignored = self.ignored
        mask = np.full((pixels.height, pixels.width), ignored, self.legend.dtype)
        for number in files:
            found = decode_values(
                self._maps[number], ('label',), grid, pixels, resampling=Resampling.nearest
            )
            path, nodata = self._maps[number].files[0].path, self._nodata[number]
            known = np.ones(mask.shape, bool) if found.missing is None else ~found.missing[0]
            labelled = np.full_like(mask, ignored)
            labelled[known] = self.legend.of_pixels(found.values[0][known], nodata, path)
            mask = np.where(mask == ignored, labelled, mask)
        return mask
