import pickle
from itertools import chain
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor
from torchgeo.datamodules import BaseDataModule
from torchgeo.datasets import DatasetNotFoundError

from torchgeo_geosane.datamodules import Sentinel2LandUseDataModule
from torchgeo_geosane.datamodules.scene import RandomChipSampler
from torchgeo_geosane.datasets import IGNORE_INDEX, Sentinel2LandUse

ROOT = Path(__file__).parents[1] / 'data' / 'sentinel2_landuse'


class Recorder(LightningModule):
    """Keeps the batches as a model gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.batches: dict[str, list[dict[str, Tensor]]] = {'train': [], 'val': [], 'test': []}

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.batches['train'].append(batch)
        return self.weight.sum()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.batches['val'].append(batch)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.batches['test'].append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(datamodule: BaseDataModule) -> dict[str, list[dict[str, Tensor]]]:
    trainer = Trainer(
        accelerator='cpu',
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    recorder = Recorder()
    trainer.fit(recorder, datamodule=datamodule)
    trainer.test(recorder, datamodule=datamodule, verbose=False)
    return recorder.batches


def datamodule(**kwargs) -> Sentinel2LandUseDataModule:
    settings = {'root': ROOT, 'patch_size': 32, 'batch_size': 2, 'length': 5, **kwargs}
    return Sentinel2LandUseDataModule(**settings)


def test_batches_of_a_real_run() -> None:
    batches = run(datamodule())
    assert {split: len(found) for split, found in batches.items()} == {
        'train': 6,
        'val': 4,
        'test': 3,
    }
    for batch in chain.from_iterable(batches.values()):
        assert batch['image'].shape[1:] == (13, 32, 32)
        assert batch['image'].dtype == torch.float32
        assert batch['mask'].shape[1:] == (32, 32)
        assert batch['mask'].dtype == torch.int64
        assert batch['image'].isfinite().all()
        assert (batch['mask'] != IGNORE_INDEX).any()


def test_normalisation_uses_the_training_block_alone() -> None:
    module = datamodule(bands=['B08', 'B02'])
    batches = run(module)
    train = Sentinel2LandUse(ROOT, 'train', ['B08', 'B02'], 32)
    mean, std = train.statistics()
    torch.testing.assert_close(module.mean, mean)
    torch.testing.assert_close(module.std, std)
    test = Sentinel2LandUse(ROOT, 'test', ['B08', 'B02'], 32)
    expected = (test[0]['image'] - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    torch.testing.assert_close(batches['test'][0]['image'][0], expected)


def test_flips_move_image_and_label_together() -> None:
    batches = run(datamodule(bands=['B02'], length=40))
    train = Sentinel2LandUse(ROOT, 'train', ['B02'], 32)
    mean, std = train.statistics()
    for batch in batches['train']:
        classes = (batch['image'][:, 0] * std + mean - 2000).round().long()
        labelled = batch['mask'] != IGNORE_INDEX
        assert torch.equal(classes[labelled], batch['mask'][labelled])


def test_chips_depend_on_the_seed_alone() -> None:
    def epochs(seed: int, draws_before: int) -> list[list[int]]:
        seed_everything(seed, verbose=False)
        torch.rand(draws_before)
        sampler = RandomChipSampler(1000, 20)
        return [list(sampler), list(sampler)]

    assert epochs(1, 0) == epochs(1, 99)
    assert epochs(1, 0) != epochs(2, 0)
    first, second = epochs(1, 0)
    assert first != second
    assert len(first) == len(RandomChipSampler(1000, 20)) == 20


def test_validation_and_test_are_the_same_every_time() -> None:
    one, other = run(datamodule()), run(datamodule())
    for split in ('val', 'test'):
        for a, b in zip(one[split], other[split], strict=True):
            assert torch.equal(a['image'], b['image'])


def test_predict_serves_the_test_block() -> None:
    module = datamodule()
    module.setup('predict')
    module.setup('test')
    predict, test = next(iter(module.predict_dataloader())), next(iter(module.test_dataloader()))
    assert torch.equal(predict['image'], test['image'])


def test_workers_serve_the_same_chips() -> None:
    modules = [datamodule(num_workers=workers) for workers in (0, 1)]
    seed_everything(3, verbose=False)
    for module in modules:
        module.setup('fit')
    here, there = (list(module.train_dataloader()) for module in modules)
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a['image'], b['image'])


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(datamodule())).length == 5


def test_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match='nowhere'):
        datamodule(root=tmp_path / 'nowhere').setup('fit')
