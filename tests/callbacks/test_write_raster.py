"""Maps from Lightning's ``predict``: those of the command."""

from pathlib import Path

import numpy as np
import pytest
from fits import CLASSES, STACK, Fit, scene_values, write_fit, write_scene
from lightning.pytorch import Trainer
from rasters import read_raster
from torchgeo.datamodules import EuroSATDataModule

from torchgeo_geosane.callbacks import WriteRaster
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.finetuned import load
from torchgeo_geosane.predict.mapping import Inference
from torchgeo_geosane.predict.run import Request, predict


@pytest.fixture(scope='module')
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    return write_fit(tmp_path_factory.mktemp('fit'), scene_values(64, 64))


def trainer(*callbacks: WriteRaster) -> Trainer:
    return Trainer(
        accelerator='cpu', logger=False, enable_progress_bar=False, callbacks=list(callbacks)
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('scenes')
    for number in range(2):
        values = scene_values(50, 70, seed=number)
        values[:, :30, :40] = 0
        write_scene(root / f'scene{number}.tif', values)
    return root


def module(folder: Path) -> ImageryDataModule:
    return ImageryDataModule({STACK: folder}, classes=CLASSES, patch_size=32, batch_size=3)


def test_maps_are_those_of_the_command(fit: Fit, folder: Path, tmp_path: Path) -> None:
    task = load(fit.checkpoint).task
    writer = WriteRaster(tmp_path / 'ours', window=32, overlap=8)
    trainer(writer).predict(task, datamodule=module(folder))
    inference = Inference(window=32, overlap=8)
    predict(Request(fit.checkpoint, str(folder), tmp_path / 'theirs', inference=inference))
    names = sorted(path.name for path in (tmp_path / 'ours').iterdir())
    assert names == ['scene0.tif', 'scene1.tif']
    for name in names:
        one, other = (read_raster(tmp_path / each / name) for each in ('ours', 'theirs'))
        assert (one != other).mean() < 1e-3
        assert len(np.unique(one)) > 2
    with pytest.raises(DataError, match='set force: true'):
        trainer(writer).predict(task, datamodule=module(folder))


def test_what_goes_wrong_leaves_no_map(fit: Fit, folder: Path, tmp_path: Path) -> None:
    class Failing(WriteRaster):
        def on_predict_batch_end(self, *arguments: object, **keywords: object) -> None:
            super().on_predict_batch_end(*arguments, **keywords)
            raise KeyboardInterrupt

    task = load(fit.checkpoint).task
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trainer(Failing(tmp_path / 'maps')).predict(task, datamodule=module(folder))
    assert list((tmp_path / 'maps').iterdir()) == []


def test_other_data_are_refused(fit: Fit, tmp_path: Path) -> None:
    data = EuroSATDataModule(root=str(tmp_path))
    data.setup = lambda stage: None
    with pytest.raises(DataError, match='of an ImageryDataModule'):
        trainer(WriteRaster(tmp_path)).predict(load(fit.checkpoint).task, datamodule=data)
