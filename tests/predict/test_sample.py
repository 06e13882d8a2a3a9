"""The figure of a test is a map: no lines between chips."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fits import CLASSES, STACK, network, scene_values, write_scene
from lightning.pytorch import Trainer
from rasters import write_raster
from torchgeo.trainers import SemanticSegmentationTask

from torchgeo_geosane.callbacks import SegmentationFigure
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.predict.sample import map_sample


@pytest.fixture
def module(tmp_path: Path) -> ImageryDataModule:
    values = scene_values(60, 200)
    scene = write_scene(tmp_path / 'images' / 'scene_20210701.tif', values)
    labels = np.random.default_rng(0).integers(1, 4, (60, 200)).astype(np.uint8)
    place = {'crs': 'EPSG:32632', 'transform': (10, 0, 600_000, 0, -10, 5_800_020)}
    write_raster(tmp_path / 'labels.tif', labels, nodata=0, **place)
    return ImageryDataModule(
        {STACK: scene}, tmp_path / 'labels.tif', CLASSES, patch_size=32, batch_size=4
    )


def test_the_figure_is_drawn_of_a_map_and_its_labels(
    module: ImageryDataModule, tmp_path: Path
) -> None:
    task = SemanticSegmentationTask(
        'fcn', in_channels=4, num_filters=8, num_classes=3, ignore_index=255
    )
    network(task)
    options = {'accelerator': 'cpu', 'logger': False, 'enable_progress_bar': False}
    trainer = Trainer(**options, default_root_dir=tmp_path, callbacks=[SegmentationFigure()])
    trainer.test(task, datamodule=module, verbose=False)
    assert (tmp_path / 'test_prediction.png').exists()

    sample = map_sample(task, module, module.test_dataset)
    height, width = sample['prediction'].shape
    assert sample['image'].shape == (4, height, width)
    assert height == 60
    assert set(sample['mask'].unique().tolist()) <= {0, 1, 2, 255}
    # Away from the edges, where a network of six pixels sees them, it is one look at the whole.
    with torch.inference_mode():
        image = module.aug({'image': sample['image'][None]})['image']
        whole = task.eval()(image)[0].argmax(0)
    inner = (slice(8, -8), slice(8, -8))
    assert (sample['prediction'][inner] != whole[inner]).float().mean() < 1e-2
    assert len(whole.unique()) > 1
