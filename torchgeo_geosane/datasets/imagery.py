"""Your own imagery: any of our sensors, in the files you have, with labels of any kind."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pyproj import CRS
from torchgeo.datasets import GeoDataset

from torchgeo_geosane.datasets.acquisitions import Files, Paths
from torchgeo_geosane.datasets.block_cache import BlockCache
from torchgeo_geosane.datasets.chips import FILL, NoData
from torchgeo_geosane.datasets.decoding import KEPT
from torchgeo_geosane.datasets.footprints import make_index, moved_index, outlines, target_grid
from torchgeo_geosane.datasets.grid import grid_of
from torchgeo_geosane.datasets.index_table import IndexTable, Query, restored
from torchgeo_geosane.datasets.label_files import find_labels
from torchgeo_geosane.datasets.label_polygons import Layer
from torchgeo_geosane.datasets.legend import IGNORE_INDEX, Legend, Value
from torchgeo_geosane.datasets.plotting import class_colours, composite, plot_segmentation
from torchgeo_geosane.datasets.product import Radar
from torchgeo_geosane.datasets.sources import find_sources
from torchgeo_geosane.datasets.stack import Stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from torchgeo_geosane.datasets.labels import Labels

Sample = dict[str, Any]


class Imagery(GeoDataset):
    """Your own imagery, with or without labels: a data set of TorchGeo's kind.

    Images of one or several sensors in folders, lists or STAC items; GeoTIFF, COG, JPEG 2000 or
    what else GDAL reads; all bands in a file, or one file a band; of any resolution and CRS. Labels
    are rasters or polygons. TorchGeo's samplers, ``&``, ``|`` and splits work on it.

    A chip is read from the images that lie below it: where the first has no data, from the next.
    With several sensors the first one leads: chips lie where it has images, and the others' images
    nearest in time come first. What lies beyond ``index``, as TorchGeo's splits leave it, has no
    data.

    Example:
        >>> images = {'sentinel2_all': 'data/scenes'}
        >>> classes = ['farm', 'forest', 'water']
        >>> data = Imagery(images, labels='landuse.gpkg', attribute='kind', classes=classes)
        >>> x, y, time = data.bounds
        >>> data.plot(data[x.start : x.start + 2560, y.start : y.start + 2560])

    Attributes:
        bands: Bands in the order of the channels.
        units: Unit of each band.
        classes: Names of the classes in the order of their indices.
        ignore_index: Class index of pixels without label: 255, or -1 where there are more classes.
        labels: The labels, or None.
        stack: The sensors, whose bands follow each other.
    """

    is_image = True

    def __init__(
        self,
        images: Mapping[str, Files],
        bands: Sequence[str] | None = None,
        labels: Paths | None = None,
        classes: Sequence[str | int] | Mapping[str, Value] = (),
        attribute: str | None = None,
        background: str | None = None,
        layer: Layer | None = None,
        ignored: Sequence[Value] = (),
        crs: str | None = None,
        res: float | tuple[float, float] | None = None,
        nodata: NoData = 'fill',
        nodata_value: float | None = None,
        radar: Radar | None = None,
        native: bool = False,
        transforms: Callable[[Sample], Sample] | None = None,
        cache: str | Path | None = None,
        cache_gigabytes: float = 20.0,
    ) -> None:
        """List the images and read their headers.

        Args:
            images: Sensor, as ``'sentinel2_all'`` or, for files of some bands,
                ``'sentinel2_all[B4,B3,B2]'``, to its files: a folder, a glob, a file, a JSON file of
                STAC items, or a list of these. Where files do not say what they hold, a mapping
                does: ``{'files': 'data', 'bands': {'R': 3, 'G': 2, 'B': 1}}``, also with ``scale``,
                ``offset`` and ``radar``, see :class:`~.raster_files.Told`.
            bands: Bands in the order wanted, those of one sensor together; None is all.
            labels: Rasters of one band, or polygons; files, folders (a geodatabase is one), globs,
                archives or STAC items.
            classes: Names of the classes in the order of their indices. Polygons hold the names,
                rasters numbers from 0, or the names where they are numbers; else a mapping from
                name to value.
            attribute: Column of the polygons' values; None where all are of one class.
            background: Class of pixels that no polygon covers; None leaves them without label.
            layer: Name or number of the polygons' layer, where a file has several.
            ignored: Values of labels that count as no label.
            crs: Coordinate reference system of the chips, as ``'EPSG:32633'``; None is the first
                image's.
            res: Size of a pixel in its units; None is that of the first image's finest band.
            nodata: ``'fill'`` puts what the sensor reports where nothing returns, ``'nan'`` NaN.
            nodata_value: Value that means no data in bands whose file states none.
            radar: What radar files hold: ``'dB'``, ``'linear'`` power, ``'amplitude'``, or
                ``'complex'``, whose intensity is read; None is what they say, or dB. Chips of all
                but dB hold linear power, see :attr:`units`.
            native: Whether images keep the files' data type where that is uint8, int16 or uint16;
                else they are float32.
            transforms: Applied to each sample.
            cache: Folder of decoded blocks; None keeps none.
            cache_gigabytes: How much it may take, in 10^9 bytes.

        Raises:
            DataError: If files are missing, damaged, without georeference or contradict each other,
                labels are not in the legend, or images and labels do not overlap.
            SensorError: If a sensor or a band is unknown or named twice.
        """
        blocks = None if cache is None else BlockCache(cache, cache_gigabytes)
        self.stack = Stack(tuple(find_sources(images, bands, nodata_value, radar)), blocks)
        self.bands = tuple(band.name for band in self.stack.channels)
        self.units = {
            name: unit for source in self.stack.sources for name, unit in source.units.items()
        }
        self.nodata, self.transforms = nodata, transforms
        leader = self.stack.leader
        self.paths = [file.path for one in leader.acquisitions for file in one.files]
        fill = [FILL.get(unit, 0.0) for unit in self.units.values()]
        self._fill = np.array(fill, np.float32)[:, None, None]
        kept = native and nodata == 'fill' and self.stack.dtype in KEPT
        self._dtype = self.stack.dtype if kept else np.dtype(np.float32)
        self._arrays: IndexTable | None = None
        legend = None if labels is None else Legend.of(classes, ignored)
        self.classes = () if legend is None else tuple(legend.classes)
        self.ignore_index = IGNORE_INDEX if legend is None else legend.ignore_index
        self.labels: Labels | None = None
        if labels is not None and legend is not None:
            self.labels = find_labels(labels, legend, attribute, background, layer)
        target, self._res = target_grid(leader, crs, res)
        self.index = make_index(leader, target, self._res, self._limits(target))
        self._warn_of_dates()

    def _limits(self, crs: CRS) -> dict[str, gpd.GeoSeries]:
        """What chips must lie below beside the leading sensor's images."""
        others = zip(self.stack.sources[1:], self.stack.others(crs), strict=True)
        limits = {source.sensor.name: area for source, area in others}
        if self.labels is not None:
            leader = self.stack.leader
            images = outlines(leader.acquisitions, leader.bands, crs)
            limits['the labels'] = self.labels.outline(images)
        return limits

    def _warn_of_dates(self) -> None:
        undated = any(image.start == pd.Timestamp.min for image in self.stack.leader.acquisitions)
        if undated and self.labels is not None and self.labels.are_of_several_times:
            warnings.warn(
                'labels are of several dates, but some images state none: where labels overlap, the '
                'first by name counts there; put dates into the names of the images',
                stacklevel=3,
            )

    @property
    def index(self) -> gpd.GeoDataFrame:
        """Where and when the images are, one row each; TorchGeo's splits set another one."""
        return self._index

    @index.setter
    def index(self, index: gpd.GeoDataFrame) -> None:
        before = self.__dict__.get('_index')
        self._index = index if before is None else restored(index, before)

    def __getstate__(self) -> dict[str, Any]:
        """What copies are given: not the table, since TorchGeo changes an index in place."""
        return {**self.__dict__, '_arrays': None}

    @property
    def _table(self) -> IndexTable:
        # TorchGeo's splits give a copy of the data set another index.
        if self._arrays is None or self._arrays.index is not self.index:
            self._arrays = IndexTable.of(self.index, self.stack.others(self.index.crs))
        return self._arrays

    @property
    def bounds(self) -> Query:
        """The whole extent, as a query."""
        left, bottom, right, top, start, stop = self._table.extent
        return (
            slice(left, right, self.res[0]),
            slice(bottom, top, self.res[1]),
            slice(start, stop, 1),
        )

    @property
    def crs(self) -> CRS:
        """Coordinate reference system of queries; setting it moves the index."""
        return self.index.crs

    @crs.setter
    def crs(self, new_crs: CRS) -> None:
        if new_crs != self.index.crs:
            self.index = moved_index(self.index, CRS(new_crs))

    def __getitem__(self, index: Any) -> Sample:
        """Read one chip.

        Args:
            index: Where and when, as TorchGeo's samplers say it: slices of x, y and time; a step is
                the size of a pixel.

        Returns:
            ``image``, [bands, height, width], float32 or the files' type, in the units of
            :attr:`units`; with labels ``mask``, int64, [height, width], those nearest in time to
            the image, :attr:`ignore_index` without label or where a band has no data; and where it
            lies, as TorchGeo's own data sets say it.

        Raises:
            IndexError: If no image lies there.
            DataError: If a file is damaged, or a label is not in the legend.
        """
        query = self._disambiguate_slice(index)
        image = self.stack.read(self._table, query)
        # kornia wants the image first.
        sample: Sample = {'image': torch.from_numpy(self._filled(image))}
        if self.labels is not None:
            sample['mask'] = torch.from_numpy(self._read_mask(query, image))
        sample |= self._place(query)
        return sample if self.transforms is None else self.transforms(sample)

    def pixels(self, index: Any) -> NDArray[Any]:
        """Read one chip as the files hold it: their type or float32, NaN where there is no data.

        Raises:
            IndexError: If no image lies there.
            DataError: If a file is damaged.
        """
        return self.stack.read(self._table, self._disambiguate_slice(index))

    def is_empty(self, index: Any) -> bool:
        """Whether a chip holds nothing to learn from: no pixel with data and, if any, label."""
        query = self._disambiguate_slice(index)
        if self.labels is None:
            return bool(np.isnan(self.pixels(query)).all())
        if (self._read_mask(query) == self.ignore_index).all():
            return True  # Labels are quick to read.
        return bool((self._read_mask(query, self.pixels(query)) == self.ignore_index).all())

    def _read_mask(self, query: Query, image: NDArray[Any] | None = None) -> NDArray[np.int64]:
        assert self.labels is not None
        time = self._table.time_of(query)
        mask = self.labels.read(*grid_of(self._table.wkt, *query[:2]), time, self.stack.cache)
        if image is not None and image.dtype.kind == 'f':
            mask[np.isnan(image).any(axis=0)] = self.ignore_index
        return mask

    def _filled(self, image: NDArray[Any]) -> NDArray[Any]:
        if self.nodata == 'fill' and image.dtype.kind == 'f':
            image = np.where(np.isnan(image), self._fill, image)
        return image.astype(self._dtype, copy=False)

    def _place(self, query: Query) -> Sample:
        """Where a chip lies: TorchGeo 0.8 gives query and CRS, later ones tensors."""
        if not hasattr(self, '_slice_to_tensor'):
            return {'crs': self.crs, 'bounds': query}
        x, y, _ = query
        transform = [x.step, 0, x.start, 0, -y.step, y.stop, 0, 0, 1]
        return {
            'bounds': self._slice_to_tensor(query),
            'transform': torch.tensor(transform, dtype=torch.float32),
        }

    def plot(
        self, sample: Sample, show_titles: bool = True, suptitle: str | None = None
    ) -> 'Figure':
        """Draw image and, where the sample has them, label and prediction.

        Args:
            sample: A sample of this data set, possibly with ``prediction``.
            show_titles: Whether to title the panels.
            suptitle: Title of the figure.

        Returns:
            A matplotlib figure; without colours it shows VV, VH and their difference.

        Raises:
            RGBBandsMissingError: If ``bands`` has neither red, green and blue nor VV and VH.
        """
        maps = {'Label': sample.get('mask'), 'Prediction': sample.get('prediction')}
        shown = {band.description: band.name for band in self.stack.channels}
        return plot_segmentation(
            rgb=composite(
                sample['image'].float().numpy(),
                self.bands,
                [shown.get(colour, '') for colour in ('red', 'green', 'blue')],
            ),
            maps={name: labels.numpy() for name, labels in maps.items() if labels is not None},
            classes=dict(zip(self.classes, class_colours(self.classes), strict=True)),
            show_titles=show_titles,
            suptitle=suptitle,
        )
