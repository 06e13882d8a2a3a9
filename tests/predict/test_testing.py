"""The test of a scene: its metrics and its figure are those of one map, without lines between chips."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fits import CLASSES, STACK, network, scene_values, write_scene
from lightning.pytorch import LightningModule, Trainer
from rasters import write_raster
from torchgeo.trainers import PixelwiseRegressionTask, SemanticSegmentationTask
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from torchgeo_geosane.callbacks import MapMetrics, MeanIoU, SegmentationFigure
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict import testing
from torchgeo_geosane.predict.testing import PartMaps

PLACE = {'crs': 'EPSG:32632', 'transform': (10, 0, 600_000, 0, -10, 5_800_020)}


@pytest.fixture
def module(tmp_path: Path) -> ImageryDataModule:
    """A scene with a hole in its eastern third, where the test is; not all of it is labelled."""
    values = scene_values(60, 200)
    values[:, 40:, 150:170] = 0
    scene = write_scene(tmp_path / 'images' / 'scene_20210701.tif', values)
    labels = np.random.default_rng(0).integers(1, 4, (60, 200)).astype(np.uint8)
    labels[:10] = 0
    write_raster(tmp_path / 'labels.tif', labels, nodata=0, **PLACE)
    return ImageryDataModule(
        {STACK: scene}, tmp_path / 'labels.tif', CLASSES, patch_size=32, batch_size=4
    )


def segmentation() -> SemanticSegmentationTask:
    options = {'num_classes': 3, 'ignore_index': 255}
    task = SemanticSegmentationTask('fcn', in_channels=4, num_filters=8, **options)
    network(task)
    return task


def run_test(
    task: LightningModule, module: ImageryDataModule, folder: Path, *callbacks: object
) -> dict[str, float]:
    options = {'accelerator': 'cpu', 'logger': False, 'enable_progress_bar': False}
    trainer = Trainer(**options, default_root_dir=folder, callbacks=list(callbacks))
    (metrics,) = trainer.test(task, datamodule=module, verbose=False)
    return metrics


def one_look(task: LightningModule, module: ImageryDataModule) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels, and classes by one look, of the whole test part."""
    data = module.test_dataset
    sample = data[data.bounds]
    with torch.inference_mode():
        image = module.aug({'image': sample['image'][None].float()})['image']
        return sample['mask'], task.eval()(image)[0].argmax(0)


def test_metrics_are_those_of_one_map(module: ImageryDataModule, tmp_path: Path) -> None:
    task = segmentation()
    found = run_test(task, module, tmp_path, MeanIoU(), MapMetrics())
    mask, classes = one_look(task, module)
    iou = MulticlassJaccardIndex(3, ignore_index=255)(classes, mask)
    accuracy = MulticlassAccuracy(3, ignore_index=255, average='micro')(classes, mask)
    # The network sees six pixels far: at the edges, which are mirrored, it sees others here.
    assert found['test_map_mIoU'] == pytest.approx(float(iou), abs=0.01)
    micro = [value for name, value in found.items() if name.startswith('test_map_')]
    assert pytest.approx(float(accuracy), abs=0.01) in micro
    of_chips = {name for name in found if not name.startswith('test_map_')} - {'test_loss'}
    assert {name.replace('test_', 'test_map_') for name in of_chips} <= set(found)
    assert found['test_mIoU'] != found['test_map_mIoU']


def test_each_pixel_of_the_part_counts_once(module: ImageryDataModule, tmp_path: Path) -> None:
    task = segmentation()
    run_test(task, module, tmp_path)
    maps = PartMaps(task, module, module.test_dataset)
    (scene,) = maps.scenes
    rows = list(maps.rows(scene))
    mask, _ = one_look(task, module)
    assert (mask == 255).any()
    assert torch.equal(torch.cat([each.mask for each in rows]), mask)
    ends = np.cumsum([0, *(len(each.mask) for each in rows)])
    assert [each.first for each in rows] == ends[:-1].tolist()


def test_the_figure_is_of_the_map_that_is_counted(
    module: ImageryDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With metrics of maps it is their map's middle; without, the middle alone is predicted."""
    monkeypatch.setattr(testing, '_MOST', 40)
    drawn, plot = [], Imagery.plot

    def draw(data: Imagery, sample: dict) -> object:
        drawn.append(sample)
        return plot(data, sample)

    monkeypatch.setattr(Imagery, 'plot', draw)
    task, metrics = segmentation(), MapMetrics()
    run_test(task, module, tmp_path, metrics, SegmentationFigure())
    assert (tmp_path / 'test_prediction.png').exists()
    assert drawn[0] is metrics.sample
    run_test(task, module, tmp_path, SegmentationFigure())
    mask, classes = one_look(task, module)
    top, left = ((length - 40) // 2 for length in mask.shape)
    inner = slice(8, -8), slice(8, -8)
    for sample in drawn:
        assert sample['image'].shape == (4, 40, 40)
        expected = classes[top : top + 40, left : left + 40]
        assert (sample['prediction'][inner] != expected[inner]).float().mean() < 1e-2
        assert torch.equal(sample['mask'], mask[top : top + 40, left : left + 40])


def test_other_tasks_warn_and_go_on(tmp_path: Path, module: ImageryDataModule) -> None:
    task = PixelwiseRegressionTask('fcn', in_channels=4, num_filters=8, num_outputs=1)
    with pytest.warns(UserWarning, match='no metrics of maps: they want a segmentation'):
        found = run_test(task, module, tmp_path, MapMetrics())
    assert not any(name.startswith('test_map_') for name in found)


def test_data_without_labels_are_refused(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / 'scene.tif', scene_values(40, 200))
    module = ImageryDataModule({STACK: scene}, patch_size=32)
    module.setup('predict')
    with pytest.raises(DataError, match='set labels'):
        PartMaps(segmentation(), module, module.predict_dataset)
