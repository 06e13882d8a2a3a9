"""Data module of fMoW."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from torchgeo_geosane.datamodules.chips import ChipDataModule
from torchgeo_geosane.datamodules.pipelines import BandScale, sensor_scales
from torchgeo_geosane.datasets import FMoW


class FMoWDataModule(ChipDataModule):
    """fMoW, photographs resized to one size.

    The data set has two labelled parts: one tests on ``val``. A hash of the place keeps 15 % of the
    places of ``train`` for validation, so that the test chooses nothing.

    Values are normalised with the statistics of ImageNet, which weights of photographs expect;
    nobody has measured those of the training part (``benchmarks/band_statistics.py`` does). See
    :class:`~torchgeo_geosane.datasets.FMoW`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = sensor_scales('rgb', FMoW.all_bands)
    statistics_source = 'our sensor `rgb`, that is ImageNet'
    parts: Mapping[str, str] = {'train': 'train', 'val': 'train', 'test': 'val'}

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = FMoW.all_bands,
        context: float | None = None,
        size: int = 224,
        batch_size: int = 64,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        skip_empty: bool = False,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``train`` and ``val``.
            bands: Bands in the order of the model's input channels.
            context: None takes whole photographs. A number takes the bounding box of the place,
                widened on each side by this fraction of its width and height.
            size: Height and width that images are resized to.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on, in which each class keeps its
                share; a smaller one is inside.
            seed: Of that choice.
            skip_empty: Train without images that hold no data; reads every file of the training
                part once.

        Raises:
            DataError: If ``train_fraction`` or ``size`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            FMoW,
            root,
            bands,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            skip_empty,
            size,
            context=context,
        )

    def _group(self, name: str) -> str:
        """The place, as in ``'zoo_12'``: its images are alike."""
        return name.rpartition('_')[0]
