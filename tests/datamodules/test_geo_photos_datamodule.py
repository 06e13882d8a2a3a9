from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from rasters import write_miniature

from torchgeo_geosane.datamodules import GeoPhotosDataModule
from torchgeo_geosane.datamodules.geo_photos import _flipped
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.tasks import GeoAlignmentTask, PointTask


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_miniature('geo_photos', tmp_path_factory.mktemp('geo_photos'))


def datamodule(root: Path, **options: object) -> GeoPhotosDataModule:
    defaults = {'size': 32, 'photo_size': 32, 'batch_size': 8, 'value': 'kind'}
    return GeoPhotosDataModule(
        {'sentinel2_4': str(root / 'scene.tif')}, root / 'photos.csv', **{**defaults, **options}
    )


def trainer(**options: object) -> Trainer:
    quiet = {'enable_progress_bar': False, 'enable_model_summary': False, 'logger': False}
    return Trainer(accelerator='cpu', enable_checkpointing=False, **{**quiet, **options})


def test_images_and_photos_are_normalised(root: Path) -> None:
    module = datamodule(root)
    module.setup('fit')
    raw = next(iter(module.val_dataloader()))
    found = module.on_after_batch_transfer({**raw}, 0)
    mean, std = module.mean.view(-1, 1, 1), module.std.view(-1, 1, 1)
    torch.testing.assert_close(found['image'], (raw['image'].float() - mean) / std)
    red = (raw['photo'][:, 0].float() - 123.675) / 58.395
    torch.testing.assert_close(found['photo'][:, 0], red)


def test_flips_move_the_point_with_the_image() -> None:
    images = torch.zeros(64, 1, 8, 8)
    images[:, 0, 2, 6] = 1
    points = torch.tensor([[2 * 6.5 / 8 - 1, 2 * 2.5 / 8 - 1]]).expand(64, -1)
    flipped, moved = _flipped(images, points)
    assert len({tuple(point) for point in moved.tolist()}) == 4
    for image, point in zip(flipped, moved, strict=True):
        col, row = ((point + 1) / 2 * 8).int().tolist()
        assert image[0, row, col] == 1


def test_alignment_learns_on_it(root: Path) -> None:
    torch.manual_seed(0)
    task = GeoAlignmentTask(
        'test_resnet', 'test_resnet', in_channels=4, embed_dim=16, location_hidden=16, queue_size=64
    )
    run = trainer(max_epochs=1)
    run.fit(task, datamodule=datamodule(root))
    run.test(task, datamodule=datamodule(root), verbose=False)
    assert 0 <= run.callback_metrics['test_photo_to_image_R@1'] <= 1


def test_points_are_told_apart_by_the_colour_below_them(root: Path) -> None:
    torch.manual_seed(0)
    task = PointTask('test_resnet', in_channels=4, num_classes=4, embed_dim=32, lr=3e-3)
    run = trainer(max_epochs=12)
    run.fit(task, datamodule=datamodule(root, file=None, off_centre=0.3))
    assert run.callback_metrics['train_loss'] < 1.0


def test_a_share_of_the_training_places(root: Path) -> None:
    module = datamodule(root, train_fraction=0.5)
    module.setup('fit')
    whole = datamodule(root)
    whole.setup('fit')
    assert len(module.train_dataset) == round(0.5 * len(whole.train_dataset))
    assert set(module.train_dataset.indices) <= set(whole.train_dataset.indices)
    with pytest.raises(DataError, match='train_fraction 2'):
        datamodule(root, train_fraction=2)


def test_predict_serves_all_places(root: Path) -> None:
    module = datamodule(root)
    module.setup('predict')
    assert sum(len(batch['point']) for batch in module.predict_dataloader()) == 60
    assert module.classes == ('blue', 'green', 'red', 'yellow')
