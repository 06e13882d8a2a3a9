"""Statistics of the bands of one's own imagery."""

from collections.abc import Iterator

import torch
from torch import Tensor
from tqdm.auto import tqdm

from torchgeo_geosane.datamodules.pipelines import in_decibels
from torchgeo_geosane.datamodules.statistics import band_statistics
from torchgeo_geosane.datamodules.windows import grid_windows
from torchgeo_geosane.datasets import Imagery

_MOST = 1000


def measured(data: Imagery, size: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each band over all pixels that have data, radar in dB.

    Args:
        data: The imagery, of which a grid of chips is read, at most a thousand, evenly spread.
        size: Height and width of a chip in pixels.

    Raises:
        DataError: If a band has no data in any of them, or a file is damaged.
    """
    mean, std = band_statistics(_images(data, size))
    return mean.tolist(), std.tolist()


def sensor_statistics(data: Imagery) -> tuple[list[float | None], list[float | None]]:
    """Mean and standard deviation of each band as its sensor knows them, else None."""
    channels = data.stack.channels
    return [band.mean for band in channels], [band.std for band in channels]


def _images(data: Imagery, size: int) -> Iterator[Tensor]:
    steps = in_decibels(list(data.units.values()))
    windows = grid_windows(data, size)
    read = [windows[at * len(windows) // _MOST] for at in range(_MOST)]
    read = windows if len(windows) <= _MOST else read
    for window in tqdm(read, 'measuring bands', unit='chip', delay=2, leave=False):
        image = torch.from_numpy(data.pixels(window).astype('float32'))
        for step in steps:
            image = step(image)
        yield image
