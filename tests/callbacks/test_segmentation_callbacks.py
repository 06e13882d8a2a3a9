import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger
from torchgeo.main import main as torchgeo_main
from torchgeo.trainers import SemanticSegmentationTask
from torchmetrics.classification import MulticlassJaccardIndex

from torchgeo_geosane.callbacks import MeanIoU, SegmentationFigure
from torchgeo_geosane.callbacks.mean_iou import mean_iou
from torchgeo_geosane.datamodules import ImageryDataModule

ROOT = Path(__file__).parents[1] / 'data' / 'sentinel2_landuse'
QUICKSTART = Path(__file__).parents[2] / 'examples' / 'quickstart.yaml'


def task(in_channels: int = 13) -> SemanticSegmentationTask:
    return SemanticSegmentationTask(
        'unet', 'resnet18', in_channels=in_channels, num_classes=8, ignore_index=255
    )


def trainer(folder: Path, **kwargs) -> Trainer:
    settings = {
        'accelerator': 'cpu',
        'max_steps': 1,
        'logger': CSVLogger(folder),
        'enable_checkpointing': False,
        'enable_progress_bar': False,
        'enable_model_summary': False,
        'num_sanity_val_steps': 0,
        'callbacks': [MeanIoU(), SegmentationFigure()],
    }
    return Trainer(**{**settings, **kwargs})


def imagery() -> dict[str, object]:
    data = yaml.safe_load(QUICKSTART.read_text())['data']['init_args']
    places = {'images': {'sentinel2_all': str(ROOT)}, 'labels': str(ROOT / 'landuse.gpkg')}
    return {**data, **places, 'patch_size': 32}


def datamodule(**kwargs) -> ImageryDataModule:
    return ImageryDataModule(**{**imagery(), 'batch_size': 2, 'length': 2, **kwargs})


def test_figure_and_mean_iou_of_a_real_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed_everything(0, verbose=False)
    model, data, run = task(), datamodule(), trainer(tmp_path)
    run.fit(model, datamodule=data)
    assert 0 <= run.callback_metrics['val_mIoU'] <= 1
    run.test(model, datamodule=data, verbose=False)

    path = Path(run.log_dir) / 'test_prediction.png'
    assert f'Figure of the test: {path}' in capsys.readouterr().out
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 200
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20

    expected = MulticlassJaccardIndex(8, ignore_index=255)
    model.eval()
    for batch in data.test_dataloader():
        image = data.aug({'image': batch['image'].float()})['image']
        with torch.no_grad():
            expected.update(model(image), batch['mask'])
    torch.testing.assert_close(run.callback_metrics['test_mIoU'].cpu(), expected.compute())
    assert not model._forward_hooks

    metrics = (Path(run.log_dir) / 'metrics.csv').read_text()
    rows = list(csv.DictReader(metrics.splitlines()))
    assert any(row['test_mIoU'] for row in rows)


def test_bands_without_colour_warn_instead_of_failing(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    with pytest.warns(UserWarning, match='no figure of the test'):
        run.test(task(2), datamodule=datamodule(bands=['B8', 'B11']), verbose=False)
    assert 'test_mIoU' in run.callback_metrics


def test_a_failing_run_leaves_no_hook(tmp_path: Path) -> None:
    model = task()
    model.model = task(in_channels=4).model
    with pytest.raises(RuntimeError):
        trainer(tmp_path).fit(model, datamodule=datamodule())
    assert not model._forward_hooks


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9))
def test_mean_iou_is_the_mean_over_labelled_classes(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    label, prediction = rng.integers(0, classes, (2, 40))
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (label, prediction), 1)
    ious = [
        ((label == c) & (prediction == c)).sum() / ((label == c) | (prediction == c)).sum()
        for c in np.unique(label)
    ]
    assert mean_iou(torch.from_numpy(confusion)).item() == pytest.approx(np.mean(ious), abs=1e-6)


def test_mean_iou_without_labels_is_zero() -> None:
    assert mean_iou(torch.zeros(3, 3, dtype=torch.long)) == 0


def test_quickstart_runs_with_the_stock_command(tmp_path: Path) -> None:
    """The shipped configuration, on the miniature, without weights and on a small backbone."""
    config = yaml.safe_load(QUICKSTART.read_text())
    config['model']['init_args'] |= {'weights': None, 'backbone': 'resnet18'}
    config['data']['init_args'] = {**imagery(), 'length': 4}
    config['trainer'] |= {'max_epochs': 1, 'accelerator': 'cpu', 'log_every_n_steps': 1}
    config['trainer']['logger']['init_args']['save_dir'] = str(tmp_path)
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(config))
    torchgeo_main(['fit', '--config', str(path)])
    (checkpoint,) = tmp_path.rglob('best.ckpt')
    torchgeo_main(['test', '--config', str(path), '--ckpt_path', str(checkpoint)])
    assert len(list(tmp_path.rglob('test_prediction.png'))) == 1
