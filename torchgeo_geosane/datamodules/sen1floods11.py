"""Data module of Sen1Floods11."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from torchgeo_geosane.datamodules.chips import ChipDataModule
from torchgeo_geosane.datamodules.pipelines import BandScale
from torchgeo_geosane.datasets import Sen1Floods11
from torchgeo_geosane.datasets.chips import SENTINEL1, SENTINEL2, ChipDataset
from torchgeo_geosane.datasets.sen1floods11 import Labels

_LOW, _HIGH = -50.0, 1.0

# The authors': of (clip(dB, -50, 1) + 50) / 51, and of reflectance.
_RADAR = {'mean': (0.6851, 0.5235), 'std': (0.0820, 0.1102)}
_OPTICAL = {
    'mean': (
        *(0.1645, 0.1413, 0.1380, 0.1235, 0.1481, 0.2399, 0.2859),
        *(0.2635, 0.3090, 0.0491, 0.0065, 0.2045, 0.1191),
    ),
    'std': (
        *(0.0698, 0.0741, 0.0737, 0.0869, 0.0778, 0.0911, 0.1069),
        *(0.1010, 0.1180, 0.0338, 0.0146, 0.0977, 0.0766),
    ),
}


class Sen1Floods11DataModule(ChipDataModule):
    """Sen1Floods11, chips of 512 x 512 pixels, in the authors' parts.

    Bands are normalised with the authors' statistics: radar clipped to -50 … 1 dB before. See
    :class:`~torchgeo_geosane.datasets.Sen1Floods11`.
    """

    scales: ClassVar[Mapping[str, BandScale]] = {
        **{
            band: BandScale(mean * (_HIGH - _LOW) + _LOW, std * (_HIGH - _LOW), (_LOW, _HIGH))
            for band, mean, std in zip(SENTINEL1, *_RADAR.values(), strict=True)
        },
        **{
            band: BandScale(mean * 1e4, std * 1e4)
            for band, mean, std in zip(SENTINEL2, *_OPTICAL.values(), strict=True)
        },
    }
    statistics_source = 'the authors’'

    def __init__(
        self,
        root: str | Path = 'data',
        bands: Sequence[str] = Sen1Floods11.all_bands,
        labels: Labels = 'hand',
        test_part: Literal['test', 'bolivia'] = 'test',
        batch_size: int = 8,
        num_workers: int = 0,
        train_fraction: float = 1.0,
        seed: int = 0,
        skip_empty: bool = False,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            root: Folder that holds ``v1.1``.
            bands: Bands in the order of the model's input channels.
            labels: To train on: by ``'hand'``, or weak ones, ``'otsu'`` or ``'index'``. One
                validates and tests on labels by hand.
            test_part: ``'bolivia'`` is the event that no other part has seen.
            batch_size: Chips a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on; a smaller one is inside.
            seed: Of that choice.
            skip_empty: Train without chips that have no pixel with data and label; reads every
                file of the training part once.

        Raises:
            DataError: If ``train_fraction`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        super().__init__(
            Sen1Floods11, root, bands, batch_size, num_workers, train_fraction, seed, skip_empty
        )
        self.labels = labels
        self.parts = {**self.parts, 'test': test_part}

    def _dataset(self, part: str) -> ChipDataset:
        labels = self.labels if part == 'train' else 'hand'
        data: ChipDataset = self._make(split=self.parts[part], labels=labels, **self.kwargs)
        return data
