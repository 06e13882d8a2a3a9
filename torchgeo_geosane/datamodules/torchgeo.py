"""What the data modules over TorchGeo's own data sets have in common."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torchgeo.datasets import NonGeoDataset

from torchgeo_geosane.datamodules.images import ImageDataModule
from torchgeo_geosane.datamodules.samples import Chain, Channels, Sample


class TorchGeoSetDataModule(ImageDataModule):
    """Batches of one of TorchGeo's data sets, with the settings of our other data modules.

    Attributes:
        unit: Unit of the bands.
        units: Unit of each band where they differ.
    """

    unit: ClassVar[str] = '8-bit'
    units: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        dataset_class: type[NonGeoDataset],
        root: str | Path,
        bands: Sequence[str],
        batch_size: int,
        num_workers: int,
        train_fraction: float,
        seed: int,
        steps: Sequence[Callable[[Sample], Sample]] = (),
        **options: Any,
    ) -> None:
        """Keep the settings; no file is read yet.

        Args:
            dataset_class: The data set.
            root: Its folder.
            bands: Bands in the order of the model's input channels.
            batch_size: Images a batch.
            num_workers: Worker processes.
            train_fraction: Share of the training part to train on.
            seed: Of that choice.
            steps: Transforms of a sample, after its bands are chosen.
            options: What else the data set is given.

        Raises:
            DataError: If ``train_fraction`` is out of range.
            SensorError: If a band is unknown or named twice.
        """
        units = {band: self.units.get(band, self.unit) for band in self.scales}
        super().__init__(
            dataset_class,
            bands,
            units,
            batch_size,
            num_workers,
            train_fraction,
            seed,
            root=str(root),
            **options,
        )
        read = self._read()
        self._choice = Channels(tuple(read.index(band) for band in self.bands))
        self.kwargs['transforms'] = Chain((self._choice, *steps))

    def _read(self) -> Sequence[str]:
        """The bands that the data set delivers, in its order."""
        return tuple(self.scales)

    def _undo(self, data: Any) -> None:
        # Its images have both names for it: TorchGeo's folders of classes keep their own.
        data.transforms = data.tg_transforms = self._choice
