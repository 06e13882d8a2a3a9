"""The data module of your own imagery: parts, chips, what travels, what is skipped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from rasters import Miniature, read_raster, write_miniature, write_raster
from torch import Tensor

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datamodules.windows import Place, RandomWindows
from torchgeo_geosane.datasets import IGNORE_INDEX
from torchgeo_geosane.errors import DataError

STACK = 'sentinel2_all[B2,B3,B4,B8]'
COVER = {'water': 1, 'forest': 2, 'urban': 3}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature, with a third stack, so that scenes can be divided."""
    folder = write_miniature('imagery', tmp_path_factory.mktemp('imagery'))
    first = sorted((folder / 'stacks').iterdir())[0]
    place = (10, 0, 600_000 + 3840, 0, -10, 5_800_020)
    write_raster(
        folder / 'stacks' / 'scene_20200719_384.tif',
        read_raster(first),
        crs='EPSG:32632',
        transform=place,
    )
    return folder


def module(root: Path, **options: Any) -> ImageryDataModule:
    settings: dict[str, Any] = {
        'images': {STACK: root / 'stacks' / 'scene_20200615_0.tif'},
        'labels': root / 'labels' / 'cover.tif',
        'classes': COVER,
        'patch_size': 16,
        'batch_size': 2,
    }
    return ImageryDataModule(**(settings | options))


def columns(module: ImageryDataModule, part: str) -> set[int]:
    """Columns of the miniature that a part's chips show, where they have data."""
    seen = set()
    for batch in getattr(module, f'{part}_dataloader')():
        for image in batch['image']:
            values = image[0].int()
            seen |= {int(value - 1000) // 4 for value in values[values >= 1000]}
    return seen


def test_regions_share_no_column(root: Path) -> None:
    data = module(root, length=60)
    torch.manual_seed(0)
    data.setup('fit')
    data.setup('test')
    train, val, test = (columns(data, part) for part in ('train', 'val', 'test'))
    # A value is four times the column plus the row of at most 95: 24 columns are one.
    assert max(train) < min(val) + 24
    assert max(val) < min(test) + 24
    assert min(train) < 24
    assert max(test) > 160


def test_training_chips_depend_on_the_seed_alone() -> None:
    where = [Place(0, 0, 500, 500, slice(0, 1, 1)), Place(500, 0, 800, 300, slice(0, 1, 1))]
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        torch.rand(seed)
        drawn.append(list(RandomWindows(where, 16, (10, 10), 20)))
    assert drawn[0] == drawn[1] != drawn[2]
    for x, y, _ in drawn[0]:
        inside = [p for p in where if p.left <= x.start and x.stop <= p.right]
        assert len(inside) == 1
        assert inside[0].bottom <= y.start < y.stop <= inside[0].top
        assert x.stop - x.start == y.stop - y.start == 160


def test_a_grid_covers_a_part_once(root: Path) -> None:
    data = module(root, patch_size=20)
    data.setup('test')
    labels = sum(int((batch['mask'] != IGNORE_INDEX).sum()) for batch in data.test_dataloader())
    # A third of 192 columns, 88 labelled rows.
    assert labels == 64 * 88


def labelled_ground(data: ImageryDataModule) -> dict[tuple[int, int], int]:
    """Every labelled pixel that one trains on, by its place."""
    found = {}
    sampler, dataset = data._windows['train'], data.train_dataset
    for query in sampler:
        mask = dataset[query]['mask']
        for row, col in (mask != IGNORE_INDEX).nonzero().tolist():
            place = (round(query[0].start / 10) + col, round(query[1].stop / 10) - row)
            found[place] = int(mask[row, col])
    return found


def test_few_labels_are_squares_of_ground_nested_and_fixed(root: Path) -> None:
    seen, chosen = [], []
    for fraction, patch_size in ((0.2, 32), (0.2, 24), (0.6, 32)):
        torch.manual_seed(0)
        data = module(root, train_fraction=fraction, patch_size=patch_size, length=300)
        data.setup('fit')
        seen.append(labelled_ground(data))
        chosen.append(data.train_dataset._squares.chosen)
        assert not data.train_dataset.skipped
    few, other_size, more = seen
    # 92 columns; the last eight rows have no label.
    squares = {((580_002 - y) // 16, (x - 60_000) // 16) for x, y in few}
    assert len(squares) == round(0.2 * 6 * 6)
    assert squares == chosen[0] == chosen[1] < chosen[2]
    assert few == other_size
    assert few.items() < more.items()
    assert all(label == (x - 60_000) // 16 % 3 for (x, _), label in more.items())


def test_few_images_without_labels_are_chips(root: Path) -> None:
    drawn = []
    for fraction in (0.2, 0.6):
        torch.manual_seed(0)
        data = module(root, labels=None, train_fraction=fraction, length=300)
        data.setup('fit')
        drawn.append({(x.start, y.start) for x, y, _ in data._windows['train']})
    assert drawn[0] < drawn[1]


def test_statistics_of_the_training_part(root: Path) -> None:
    """A band's mean and deviation are those that numpy finds in the file, without the corner."""
    data = module(root, statistics='training', gap=8, nodata_value=0)
    data.setup('fit')
    # A third of 192 columns tests, a sixth validates, eight are left out twice.
    train = read_raster(root / 'stacks' / 'scene_20200615_0.tif')[:, :, :80].astype(float)
    known = np.where((train == 0).all(axis=0), np.nan, train)
    assert data.mean.numpy() == pytest.approx(np.nanmean(known, axis=(1, 2)), rel=1e-6)
    assert data.std.numpy() == pytest.approx(np.nanstd(known, axis=(1, 2)), rel=1e-6)
    part = data._parts['train']
    batch = {'image': part[part.bounds]['image'][None].float()}
    normalised = data.aug(batch)['image'][0][:, ~np.isnan(known[0])]
    assert normalised.mean(1).abs().max() < 1e-4
    assert (normalised.std(1) - 1).abs().max() < 1e-3


@pytest.mark.parametrize(('augment', 'steps'), [('bands', 5), ('flips', 3), ('none', 1)])
def test_augmentation(root: Path, augment: str, steps: int) -> None:
    data = module(root, augment=augment)
    data.setup('fit')
    assert len(list(data.train_aug.children())) == steps


class Counting(LightningModule):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[dict[str, Tensor]] = []

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        self.seen.append(batch)
        return self.weight * batch['image'].mean()

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        self.seen.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters())


def fit(data: ImageryDataModule) -> Counting:
    task = Counting()
    options: Any = {'logger': False, 'enable_checkpointing': False, 'enable_progress_bar': False}
    trainer = Trainer(max_epochs=1, accelerator='cpu', enable_model_summary=False, **options)
    trainer.fit(task, datamodule=data)
    return task


@pytest.mark.parametrize('workers', [0, 2])
def test_numbers_of_the_files_travel_and_the_device_normalises(root: Path, workers: int) -> None:
    data = module(root, length=8, num_workers=workers)
    data.setup('fit')
    batch = next(iter(data.val_dataloader()))
    assert batch['image'].dtype == torch.uint16
    expected = (batch['image'].float() - data.mean[:, None, None]) / data.std[:, None, None]
    task = fit(data)
    first = task.seen[0]['image']
    assert first.dtype == torch.float32
    assert torch.allclose(first, expected, atol=1e-5)


def test_floats_may_travel_as_bfloat16(root: Path) -> None:
    images = {STACK: root / 'stacks' / 'scene_20200615_0.tif', 'sentinel1_grd': root / 's1'}
    plain, short = (module(root, images=images, wire=wire) for wire in ('native', 'bfloat16'))
    batches = []
    for data in (plain, short):
        data.setup('validate')
        batches.append(next(iter(data.val_dataloader()))['image'])
    assert [batch.dtype for batch in batches] == [torch.float32, torch.bfloat16]
    assert (batches[0] - batches[1].float())[:, 4:].abs().max() <= 0.0625


@pytest.mark.parametrize('workers', [0, 2])
def test_empty_chips_are_skipped_and_counted(
    root: Path, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of the training part has no label."""
    cover = read_raster(root / 'labels' / 'cover.tif')
    cover[:, 40:] = 0
    place = (10, 0, 600_000, 0, -10, 5_800_020)
    write_raster(tmp_path / 'cover.tif', cover, nodata=0, crs='EPSG:32632', transform=place)
    data = module(root, labels=tmp_path / 'cover.tif', length=24, num_workers=workers)
    torch.manual_seed(0)
    task = fit(data)
    for batch in task.seen:
        assert all((mask != IGNORE_INDEX).any() for mask in batch['mask'])
    assert 4 < data.train_dataset.skipped < 60


def test_nothing_to_learn_from(root: Path, tmp_path: Path) -> None:
    cover = read_raster(root / 'labels' / 'cover.tif')
    cover[:, :, :100] = 0
    place = (10, 0, 600_000, 0, -10, 5_800_020)
    write_raster(tmp_path / 'cover.tif', cover, nodata=0, crs='EPSG:32632', transform=place)
    data = module(root, labels=tmp_path / 'cover.tif', length=4)
    data.setup('fit')
    with pytest.raises(DataError, match='50 chips drawn at random hold no pixel'):
        next(iter(data.train_dataloader()))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'split': 'regions'}, r"unknown 'regions'.*region"),
        ({'wire': 'float16'}, r"unknown 'float16'"),
        ({'train_fraction': 0}, 'train_fraction 0'),
        ({'mean': [0.0]}, '1 means and 4 standard deviations for 4 bands'),
        ({'split': 'scene'}, r'1 images cannot be divided by scene.*: split by region'),
        ({'statistics': 'train'}, r"unknown 'train'.*training"),
        ({'augment': 'flip'}, r"unknown 'flip'.*flips"),
        ({'gap': 200}, r'by region.*200 are left out .*: neither can they by scene'),
        ({'length': 1}, 'fewer than a batch'),
        ({'cache_gigabytes': 0, 'cache': 'blocks'}, 'a cache of 0 GB'),
    ],
)
def test_settings_that_cannot_be(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        module(root, **options).setup('fit')


def test_the_stock_statistics_may_be_unknown(miniature: Miniature) -> None:
    """Sensors without statistics are told so."""
    root = miniature('imagery')
    data = module(root, mean=[1, 2, 3, 4], std=[1, 1, 1, 1])
    data.setup('validate')
    assert data.mean.tolist() == [1, 2, 3, 4]
