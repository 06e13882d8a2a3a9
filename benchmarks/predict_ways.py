"""Ways from a scene to a map that ``predict.py`` measures, each in a process of its own."""

import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import rasterio
import torch
from measure import memory, peak_memory
from torch import Tensor, nn
from torchgeo.trainers import SemanticSegmentationTask

from torchgeo_geosane.datamodules.pipelines import normalisation
from torchgeo_geosane.predict.finding import find_scenes
from torchgeo_geosane.predict.finetuned import Finetuned, load
from torchgeo_geosane.predict.mapping import Inference, Mapper
from torchgeo_geosane.predict.model import Precision
from torchgeo_geosane.predict.tiling import Tiling

SIZE, OVERLAP, BATCH = 128, 32, 8


class PixelTask(SemanticSegmentationTask):
    """One linear map for each pixel: what it takes besides is what a map of a scene takes."""

    def configure_models(self) -> None:
        """Build it."""
        self.model = nn.Conv2d(self.hparams['in_channels'], self.hparams['num_classes'], 1)


def ours(finetuned: Finetuned, scene: Path, out: Path, precision: Precision = '32') -> None:
    """This package's way."""
    inference = Inference(window=SIZE, overlap=OVERLAP, batch_size=BATCH, precision=precision)
    (found,) = find_scenes(finetuned.data, str(scene)).scenes.values()
    Mapper(finetuned, found.data, inference).map(found, out)


def plain(finetuned: Finetuned, scene: Path, out: Path, batch: int = 1) -> None:
    """A loop over windows that holds the scene, and what it sums, in memory."""
    task, normalise = finetuned.task.eval(), _normalisation(finetuned, scene)
    with rasterio.open(scene) as file:
        image = torch.from_numpy(file.read().astype(np.float32))
    tiling = Tiling(*image.shape[1:], SIZE, OVERLAP)
    down, across = tiling.down, tiling.across
    padded = torch.nn.functional.pad(image[None], (SIZE,) * 4, mode='reflect')[0]
    total: Tensor | None = None
    places = [
        (row, column) for row in range(len(down.starts)) for column in range(len(across.starts))
    ]
    for first in range(0, len(places), batch):
        now = places[first : first + batch]
        where = [(_window(down.starts[row]), _window(across.starts[column])) for row, column in now]
        windows = torch.stack([padded[:, *each] for each in where])
        with torch.no_grad():
            seen = task(normalise({'image': windows})['image']).softmax(1)
        if total is None:
            total = torch.zeros(seen.shape[1], *padded.shape[1:])
        for (row, column), each, values in zip(now, where, seen, strict=True):
            weight = down.weights[row][:, None] * across.weights[column]
            total[:, *each] += values * torch.from_numpy(weight)
    assert total is not None
    _write(total[:, SIZE:-SIZE, SIZE:-SIZE], scene, out)


def in_batches(finetuned: Finetuned, scene: Path, out: Path) -> None:
    """The same, several windows at once."""
    plain(finetuned, scene, out, BATCH)


def terratorch(finetuned: Finetuned, scene: Path, out: Path) -> None:
    """TerraTorch's tiled inference, on the scene in memory."""
    from terratorch.tasks.tiled_inference import tiled_inference

    task, normalise = finetuned.task.eval(), _normalisation(finetuned, scene)
    with rasterio.open(scene) as file:
        image = torch.from_numpy(file.read().astype(np.float32))[None]
    image = normalise({'image': image})['image']
    with torch.no_grad():
        seen = tiled_inference(
            lambda windows, **_: task(windows).softmax(1),
            image,
            crop=SIZE,
            stride=SIZE - OVERLAP,
            delta=OVERLAP // 4,
            batch_size=BATCH,
            average_patches=True,
            blend_overlaps=True,
            padding='reflect',
        )
    _write(seen[0], scene, out)


WAYS: dict[str, Callable[[Finetuned, Path, Path], None]] = {
    'predict --scene': ours,
    'predict --scene --precision bf16': partial(ours, precision='bf16'),
    'plain loop': plain,
    'plain loop, batches': in_batches,
    'TerraTorch': terratorch,
}


def _normalisation(finetuned: Finetuned, scene: Path) -> Callable[..., dict[str, Tensor]]:
    (found,) = find_scenes(finetuned.data, str(scene)).scenes.values()
    return normalisation(list(found.data.units.values()), finetuned.data.scales(found.data))


def _window(start: int) -> slice:
    """A window in the padded scene."""
    return slice(SIZE + start, 2 * SIZE + start)


def _write(probabilities: Tensor, scene: Path, out: Path) -> None:
    with rasterio.open(scene) as file:
        profile = {key: file.profile[key] for key in ('height', 'width', 'crs', 'transform')}
    classes = probabilities.argmax(0).to(torch.uint8).numpy()
    with rasterio.open(
        out, 'w', driver='COG', count=1, dtype='uint8', nodata=255, **profile
    ) as file:
        file.write(classes, 1)


def measured(way: str, *paths: Path) -> dict[str, float]:
    """One way, in a process of its own: seconds, CPU seconds, and MB on top of the model's.

    Args:
        way: Its name.
        paths: Checkpoint, config, scene and map.
    """
    # Forked, it has imported everything; nothing has been computed here before.
    context = get_context('fork')
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(there, way, *paths))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        raise SystemExit(f'{way} failed') from None
    finally:
        process.join()


def _measure(
    result: Connection, way: str, checkpoint: Path, config: Path, scene: Path, out: Path
) -> None:
    finetuned = load(checkpoint, config)
    before = memory('RssAnon')
    cpu, began = time.process_time(), time.perf_counter()
    with peak_memory() as peak:
        WAYS[way](finetuned, scene, out)
    seconds, spent = time.perf_counter() - began, time.process_time() - cpu
    result.send({'seconds': seconds, 'cpu': spent, 'memory': peak[0] - before})
