"""From a scene to the rows of its map: reading, prediction and blending, side by side."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from torchgeo_geosane.predict.ahead import ahead
from torchgeo_geosane.predict.blending import Blender, Strip
from torchgeo_geosane.predict.scenes import Scene, Windows, read_windows
from torchgeo_geosane.predict.tiling import Tiling

Predict = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From images to what a :class:`~.model.Model` gives."""


def strips(predict: Predict, scene: Scene, tiling: Tiling, batch: int) -> Iterator[Strip]:
    """Predict a scene from top to bottom.

    A thread reads ahead, two batches at most; two rows of windows is what memory must hold.

    Args:
        predict: The model.
        scene: What to read.
        tiling: Where windows lie.
        batch: Windows at once.

    Yields:
        Rows of the scene, each once, in their order.

    Raises:
        DataError: If a file is damaged.
    """
    runs = ahead(lambda run: read_windows(scene, tiling, *run), tiling.runs(batch))
    return blended(predict, runs, tiling, batch)


def blended(
    predict: Predict, runs: Iterable[Windows], tiling: Tiling, batch: int
) -> Iterator[Strip]:
    """Predict windows that come in rows, and blend them; batches are full where runs are short."""
    blender: Blender | None = None
    for places, images in _batches(runs, batch):
        values, known = predict(images)
        if blender is None:
            blender = Blender(tiling, values.shape[1], values.device)
        for number, place in enumerate(places):
            yield from blender.add(*place, values[number], known[number])
    # Without any window, no pixel has data.
    yield from (blender or Blender(tiling, 1)).finish()


def _batches(runs: Iterable[Windows], size: int) -> Iterator[tuple[list[tuple[int, int]], Tensor]]:
    """Windows and their places, as many as ``size`` at once."""
    windows = (
        ((run.row, column), torch.from_numpy(image))
        for run in runs
        for column, image in zip(run.columns, run.images, strict=True)
    )
    while found := list(islice(windows, size)):
        places, images = zip(*found, strict=True)
        # Where a window lacks data, NaN, it is of another type.
        alike = len({image.dtype for image in images}) == 1
        yield list(places), torch.stack(images if alike else [image.float() for image in images])
