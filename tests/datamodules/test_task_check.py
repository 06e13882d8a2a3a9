"""What a data module knows is compared with the task before its first step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import LightningModule, Trainer
from rasterio.transform import from_origin
from rasters import Miniature, write_raster
from torchgeo.trainers import SemanticSegmentationTask

from torchgeo_geosane.datamodules import ImageryDataModule, Sen1Floods11DataModule
from torchgeo_geosane.errors import DataError

pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')

RIGHT: dict[str, Any] = {'in_channels': 3, 'num_classes': 3, 'ignore_index': 255}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('checked')
    generator = np.random.default_rng(0)
    place = {'crs': 'EPSG:32633', 'transform': from_origin(500_000, 5_000_000, 10, 10)}
    image = generator.integers(1, 3000, (3, 64, 400)).astype(np.uint16)
    labels = generator.integers(0, 3, (64, 400)).astype(np.uint8)
    labels[::2] = 9
    write_raster(root / 'image.tif', image, **place)
    write_raster(root / 'labels.tif', labels, **place)
    write_raster(
        root / 'many.tif', (np.arange(64 * 400) % 301).reshape(64, 400).astype(np.uint16), **place
    )
    return root


def module(root: Path, **options: Any) -> ImageryDataModule:
    settings: dict[str, Any] = {
        'images': {'sentinel2_rgb': root / 'image.tif'},
        'labels': root / 'labels.tif',
        'classes': ['a', 'b', 'c'],
        'ignored': [9],
        'patch_size': 64,
        'batch_size': 2,
        'length': 4,
    }
    return ImageryDataModule(**(settings | options))


def run(data: Any, stage: str = 'fit', **arguments: Any) -> None:
    task = SemanticSegmentationTask(model='unet', backbone='resnet18', weights=None, **arguments)
    trainer = Trainer(
        max_steps=1,
        limit_val_batches=1,
        limit_test_batches=1,
        accelerator='cpu',
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    getattr(trainer, stage)(task, datamodule=data)


@pytest.mark.parametrize('stage', ['fit', 'validate', 'test'])
def test_a_task_that_fits(root: Path, stage: str) -> None:
    run(module(root), stage, **RIGHT)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'ignore_index': None}, r'pixels without label are 255, .*: set ignore_index: 255'),
        ({'ignore_index': 0}, r'ignore_index=0: set ignore_index: 255'),
        ({'num_classes': 2}, r'3 classes \(a, b, c\), .*num_classes=2: set num_classes: 3'),
        ({'num_classes': 5}, r'set num_classes: 3'),
        ({'in_channels': 13}, r'3 channels \(B4, B3, B2\), .*in_channels=13: set in_channels: 3'),
        ({'task': 'binary', 'num_classes': None}, r'set task: multiclass and num_classes: 3'),
        ({'task': 'multilabel', 'num_classes': None, 'num_labels': 3}, r'the task is multilabel'),
        ({'loss': 'jaccard'}, r"loss 'jaccard' cannot leave out .*: set loss: ce or focal"),
    ],
)
@pytest.mark.parametrize('stage', ['fit', 'test'])
def test_a_task_that_does_not(
    root: Path, stage: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run(module(root), stage, **(RIGHT | arguments))


class OtherTask(LightningModule):
    """A task of another library, that keeps the number of classes elsewhere."""

    def __init__(self, ignore_index: int | None) -> None:
        super().__init__()
        self.save_hyperparameters()

    def validation_step(self, batch: Any) -> None:
        raise AssertionError


def test_tasks_of_others(root: Path) -> None:
    data = module(root)
    for ignored in (None, -100):
        with pytest.raises(DataError, match='set ignore_index: 255'):
            Trainer(accelerator='cpu', logger=False).validate(OtherTask(ignored), datamodule=data)


def test_two_classes_as_one(root: Path) -> None:
    """Where a pixel without label is neither, a binary loss must leave it out."""
    data = module(root, classes=['a', 'b'], ignored=[2, 9])
    binary = {'task': 'binary', 'num_classes': None, 'in_channels': 3, 'ignore_index': 255}
    with pytest.raises(DataError, match=r"loss 'bce' cannot leave out .*: set loss: focal"):
        run(data, loss='bce', **binary)
    run(data, loss='focal', **binary)


def test_more_than_255_classes(root: Path) -> None:
    data = module(
        root, labels=root / 'many.tif', classes=[f'c{at}' for at in range(300)], ignored=[300]
    )
    arguments = RIGHT | {'num_classes': 300}
    with pytest.raises(DataError, match=r'without label are -1, .*: set ignore_index: -1'):
        run(data, **arguments)
    run(data, **(arguments | {'ignore_index': -1}))


def test_without_labels_or_trainer_nothing_is_asked(root: Path) -> None:
    module(root).setup('fit')
    unlabelled = module(root, labels=None, classes=(), ignored=())
    unlabelled.setup('fit')


def test_other_data_sets(miniature: Miniature) -> None:
    root = miniature('sen1floods11')
    data = Sen1Floods11DataModule(root, bands=('VV', 'VH'), batch_size=2)
    for arguments, message in (
        ({'in_channels': 3, 'num_classes': 2, 'ignore_index': 255}, 'set in_channels: 2'),
        ({'in_channels': 2, 'num_classes': 3, 'ignore_index': 255}, 'set num_classes: 2'),
        ({'in_channels': 2, 'num_classes': 2}, 'set ignore_index: 255'),
    ):
        with pytest.raises(DataError, match=message):
            run(data, **arguments)
