"""GEO-Bench-2 (arXiv 2511.15658), read by its own package ``geobenchv2``, with our names of bands."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchgeo.datasets import NonGeoDataset

from torchgeo_geosane.datasets.chips import checked_bands
from torchgeo_geosane.datasets.geobench2_sets import GEOBENCH2, REFUSED, BenchmarkImages, Look
from torchgeo_geosane.errors import DataError, did_you_mean

_V1_SIGN = 'task_specs.pkl'
_NAMES_OF_PARTS = {'train': 'train', 'val': 'validation', 'test': 'test'}


class GeoBench2(NonGeoDataset):
    """A data set of the benchmark, its images as they lie in the files.

    Samples have ``image``, float32 ``[bands, height, width]``, and ``label``, int64, one class or
    ``[classes]`` of 0 and 1, or ``mask``, int64 ``[height, width]``.

    Attributes:
        bands: Names of the channels, ours.
        classes: Names of the classes.
        means: Mean of each of the set's bands, as the benchmark states it.
        stds: Standard deviation of each.
    """

    def __init__(
        self,
        name: str,
        root: str | Path = 'data',
        split: str = 'train',
        look: str | None = None,
        bands: Sequence[str] | None = None,
        transforms: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        download: bool = False,
    ) -> None:
        """Find the files.

        Args:
            name: Of the set, as ``geobenchv2`` spells it: ``burn_scars``.
            root: Folder of its ``.tortilla`` files.
            split: ``'train'``, ``'val'`` or ``'test'``.
            look: Which of its sensors, for sets with several; None is the first.
            bands: In the order of the channels; None is all.
            transforms: Applied to a sample.
            download: Whether the package fetches the files.

        Raises:
            DataError: If the set is none of the benchmark's, or does not fit TorchGeo's tasks, or the
                package is not installed.
            DatasetNotFoundError: If files are missing.
            SensorError: If a band is unknown or named twice.
        """
        images, self.look = find_set(name, look, root)
        if split not in _NAMES_OF_PARTS:
            raise DataError(f'unknown part {split!r}{did_you_mean(split, _NAMES_OF_PARTS)}')
        self.bands = checked_bands(
            tuple(self.look.bands.values()) if bands is None else bands,
            tuple(self.look.bands.values()),
        )
        maker = _maker(images.maker)
        theirs = {ours: band for band, ours in self.look.bands.items()}
        chosen = [theirs[band] for band in self.bands]
        self._kind, self._transforms = images.kind, transforms
        self._data = maker(
            root=str(root),
            split=_NAMES_OF_PARTS[split],
            band_order={self.look.modality: chosen} if self.look.modality else chosen,
            data_normalizer=nn.Identity(),
            download=download,
            **(self.look.options or {}),
        )
        self.classes = classes_of(maker)
        self.means, self.stds = statistics_of(name, look)

    def __len__(self) -> int:
        """How many samples."""
        return len(self._data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample."""
        found = self._data[index]
        target = 'mask' if self._kind == 'mask' else 'label'
        sample = {
            'image': found[self.look.key].float(),
            target: torch.as_tensor(found[target]).long(),
        }
        return sample if self._transforms is None else self._transforms(sample)

    def name_of(self, index: int) -> str:
        """Name of a sample in the benchmark."""
        return str(self._data.data_df.iloc[index]['tortilla:id'])


def find_set(name: str, look: str | None, root: str | Path = '') -> tuple[BenchmarkImages, Look]:
    """A set of the benchmark and one of its sensors.

    Raises:
        DataError: If there is none, or it does not fit TorchGeo's tasks, or the folder is of
            GEO-Bench v1.
    """
    folder = Path(root)
    if name.startswith('m-') or any(any(folder.glob(f'{deep}{_V1_SIGN}')) for deep in ('', '*/')):
        raise DataError(
            f'{name!r} in {str(root)!r} is of GEO-Bench v1, whose files hold pickles: reading one runs the '
            'code in it, so none is read. Use GEO-Bench-2'
        )
    if name in REFUSED:
        raise DataError(
            f'{name!r} of GEO-Bench-2 has no data module here: {REFUSED[name]}. There are '
            f'{", ".join(GEOBENCH2)}'
        )
    if name not in GEOBENCH2:
        raise DataError(f'{name!r} is no set of GEO-Bench-2{did_you_mean(name, GEOBENCH2)}')
    images = GEOBENCH2[name]
    look = next(iter(images.looks)) if look is None else look
    if look not in images.looks:
        raise DataError(
            f'{name} has no images called {look!r}{did_you_mean(look, images.looks)}: it has '
            f'{", ".join(images.looks)}'
        )
    return images, images.looks[look]


def statistics_of(
    name: str, look: str | None = None
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Mean and standard deviation of each band, by our name, as the benchmark states them.

    Raises:
        DataError: As :func:`find_set`, or if the package is not installed.
    """
    images, seen = find_set(name, look)
    stated = _maker(images.maker).normalization_stats
    return (
        {ours: stated['means'][band] for band, ours in seen.bands.items()},
        {ours: stated['stds'][band] for band, ours in seen.bands.items()},
    )


def classes_of(maker: Any) -> tuple[str, ...]:
    """Names of the classes of one of the package's data sets."""
    named = getattr(maker, 'classes', None) or maker.label_names
    return tuple(map(str, named))


def _maker(name: str) -> Any:
    try:
        from geobench_v2 import datasets
    except ImportError as error:
        raise DataError(
            f'GEO-Bench-2 is read by its own package ({error}): '
            'pip install "torchgeo-geosane[geobench]"'
        ) from error
    return getattr(datasets, name)
