"""A part of imagery with its labels and its map, as a sample to be drawn."""

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datamodules.pipelines import normalisation
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.chips import FILL
from torchgeo_geosane.predict.inference import strips
from torchgeo_geosane.predict.model import Model
from torchgeo_geosane.predict.scenes import part_of
from torchgeo_geosane.predict.tiling import Tiling

_MOST = 1024


def map_sample(
    task: LightningModule, module: ImageryDataModule, data: Imagery
) -> dict[str, Tensor]:
    """Predict the largest piece of ground of some imagery, or its middle.

    Args:
        task: A task that predicts classes, on its device.
        module: Whose patch size and normalisation it has.
        data: A part of the module's imagery, with labels.

    Returns:
        ``image``, [bands, height, width], as files hold it, NaN where there is no data; ``mask``
        and ``prediction``, int64, [height, width].

    Raises:
        DataError: If a file is damaged.
    """
    scene = part_of(data, _MOST)
    fill = [FILL.get(unit, 0.0) for unit in data.units.values()]
    model = Model(
        task, normalisation(list(data.units.values()), module.scales(data)), fill, task.device
    )
    size = module.size
    tiling = Tiling(scene.pixels.height, scene.pixels.width, size, size // 4)
    found = [strip.values for strip in strips(model, scene, tiling, module.batch_size or 1)]
    values = torch.cat(found, dim=1).cpu()
    rows, columns = slice(0, scene.pixels.height), slice(0, scene.pixels.width)
    image = scene.read(rows, columns).astype(np.float32)
    sample = {'image': torch.from_numpy(image)}
    if data.labels is not None:
        shown = scene.images[0][0]
        time = shown.start, shown.stop
        mask = data.labels.read(scene.grid, scene.pixels, time, data.stack.cache)
        mask[np.isnan(image).any(axis=0)] = data.ignore_index
        sample['mask'] = torch.from_numpy(mask)
    prediction = values.argmax(0) if len(values) > 1 else (values[0] > 0.5).long()
    return {**sample, 'prediction': prediction}
