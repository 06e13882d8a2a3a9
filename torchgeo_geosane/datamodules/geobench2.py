"""Data module of GEO-Bench-2."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchgeo_geosane.datamodules.images import ImageDataModule
from torchgeo_geosane.datamodules.pipelines import BandScale
from torchgeo_geosane.datamodules.task_check import Facts
from torchgeo_geosane.datasets.geobench2 import GeoBench2, find_set, statistics_of
from torchgeo_geosane.sensors import get_sensor


class GeoBench2DataModule(ImageDataModule):
    """A set of GEO-Bench-2 in its own parts, with its own statistics and our names of bands.

    The extra ``geobench`` brings the package that reads the files. Sets whose samples are single images
    with classes, labels or masks are served. See :class:`~torchgeo_geosane.datasets.GeoBench2`.

    Attributes:
        sensor: What weights for these bands are asked for: ``sentinel2_all[B2,B3,B4,B8A,B11,B12]``.
    """

    statistics_source = 'the benchmark’s'

    def __init__(
        self,
        name: str,
        root: str | Path = 'data',
        look: str | None = None,
        bands: Sequence[str] | None = None,
        batch_size: int = 32,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        download: bool = False,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            name: Of the set, as ``geobenchv2`` spells it: ``burn_scars``.
            root: Folder of its ``.tortilla`` files.
            look: Which of its sensors, for sets with several; None is the first.
            bands: Bands in the order of the model's input channels; None is all.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on; a smaller one is inside.
            seed: Of that choice.
            download: Whether the package fetches the files.

        Raises:
            DataError: If the set is unknown or not served, the package is not installed, or
                ``train_fraction`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        images, seen = find_set(name, look, root)
        means, stds = statistics_of(name, look)
        self.scales = {band: BandScale(means[band], stds[band]) for band in means}  # type: ignore[misc]
        whole = get_sensor(seen.sensor)
        units = {band: whole.band(band).units for band in means}
        chosen = tuple(means) if bands is None else bands
        super().__init__(
            GeoBench2,
            chosen,
            units,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            name=name,
            root=str(root),
            look=look,
            download=download,
        )
        self.kwargs['bands'] = self.bands
        self.sensor = whole.select(self.bands).name
        self._ignored = images.ignored

    def _facts(self) -> Facts:
        return Facts(self.bands, ignored=self._ignored)

    def _name(self, data: Any, index: int) -> str:
        return str(data.name_of(index))
