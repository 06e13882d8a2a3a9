"""Which windows a training sees: in every process, with any number of workers, after a break."""

import dataclasses
import itertools
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import LightningModule, Trainer
from torch import nn

from torchgeo_geosane.collection import ManifestEntry
from torchgeo_geosane.training import FoundryDataModule, TokenWindows
from torchgeo_geosane.training.families import family_of
from torchgeo_geosane.training.windows import RankSampler, WindowLoader, shares


def seen(batch) -> list[tuple[int, int]]:
    """Model and first token of each window."""
    starts = batch['positions'][:, 0, 0].tolist()
    return list(zip(batch['model'].tolist(), starts, strict=True))


def batches(windows, rank=0, ranks=1, workers=0):
    sampler = RankSampler(windows, rank, ranks)
    loader = WindowLoader(
        *(windows, sampler, lambda: 0),
        batch_size=4 // ranks,
        num_workers=workers,
    )
    return [seen(batch) for batch in loader]


@pytest.mark.parametrize('workers', [0, 2])
def test_ranks_and_workers_share_the_same_windows(models, foundry, workers):
    windows = TokenWindows(models, foundry, 24, seed=3)
    alone = batches(windows)
    ranks = [batches(windows, rank, 2, workers=workers) for rank in range(2)]
    assert [len(part) for part in ranks] == [6, 6]
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert sorted(whole) == sorted(itertools.chain(*parts)), 'the same windows in every step'
    assert len({window for batch in alone for window in batch}) > 18


@settings(max_examples=40, deadline=None)
@given(ranks=st.integers(1, 5), steps=st.integers(1, 6), data=st.data())
def test_an_epoch_is_covered_wherever_it_goes_on(ranks, steps, data):
    per_step = ranks * data.draw(st.integers(1, 3))
    first = per_step * data.draw(st.integers(0, steps))
    samplers = [RankSampler(range(steps * per_step), rank, ranks) for rank in range(ranks)]
    for sampler in samplers:
        sampler.first = first
    parts = [list(sampler) for sampler in samplers]
    assert sorted(itertools.chain(*parts)) == list(range(first, steps * per_step))
    assert len({len(part) for part in parts}) == 1


class Recorder(LightningModule):
    """Notes the windows of every micro-batch; writes a checkpoint before the third step."""

    def __init__(self, checkpoint: Path) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.batches: list[list[tuple[int, int]]] = []
        self._checkpoint = checkpoint

    def on_train_batch_start(self, batch, batch_idx):
        if batch_idx == 4:
            self.trainer.save_checkpoint(self._checkpoint)

    def training_step(self, batch, batch_idx):
        self.batches.append(seen(batch))
        return self.weight * 0

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings('error:.*not resumable')
@pytest.mark.parametrize('workers', [0, 2])
def test_goes_on_in_the_middle_of_an_epoch(tmp_path, foundry, collection, optimisation, workers):
    options = dataclasses.replace(optimisation, steps=6, accumulate=2, workers=workers)

    def fit(folder, checkpoint=None):
        folder.mkdir()
        data, task = FoundryDataModule(foundry, collection, options), Recorder(folder / 'a.ckpt')
        trainer = Trainer(
            max_steps=6,
            max_epochs=1,
            accelerator='cpu',
            accumulate_grad_batches=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(task, datamodule=data, ckpt_path=checkpoint)
        return task.batches

    whole = fit(tmp_path / 'whole')
    assert len(whole) == 12
    again = fit(tmp_path / 'again', tmp_path / 'whole' / 'a.ckpt')
    assert again == whole[4:]


def test_workers_get_no_open_files(models, foundry):
    windows = TokenWindows(models, foundry, 8, seed=3, permute=True)
    expected = windows[2]
    copy = pickle.loads(pickle.dumps(windows))
    assert all(copy[2][key].equal(expected[key]) for key in expected)


def entry(name: str, architecture: str | None, tokens: int) -> ManifestEntry:
    return ManifestEntry(
        *(),
        name=name,
        split='trained',
        package='',
        version='',
        file='',
        parameters=0,
        tokens=tokens,
        modality='general',
        task='',
        architecture=architecture,
    )


@pytest.mark.parametrize(
    ('name', 'architecture', 'family'),
    [
        ('timm/tf_efficientnet_b4.aa_in1k', 'tf_efficientnet_b4', 'efficientnet'),
        ('torchgeo/ViTSmall16_Weights.SENTINEL2_ALL_MAE', 'ViTSmall16', 'vit'),
        ('timm/vit_small_patch16_224.dino', 'vit_small_patch16_224', 'vit'),
        ('timm/seresnext50_32x4d.a', 'seresnext50_32x4d', 'resnext'),
        ('ukis-csmask/6b_l1c', 'U-Net, EfficientNet-B4 encoder', 'unet'),
        ('huggingface/someone/flood-segformer-b0/model.safetensors', None, 'segformer'),
        ('timm/coatnet_0', 'coatnet_0', 'coatnet'),
        ('folder/models/a.pt', None, 'unknown'),
    ],
)
def test_families(name, architecture, family):
    assert family_of(entry(name, architecture, 1)) == family


@pytest.fixture
def uneven(models):
    """Two of one family, one of another; the first has half of all tokens."""
    names = ('resnet18', 'resnet50', 'vit_base')
    renamed = []
    for model, name in zip(models, names, strict=True):
        described = dataclasses.replace(model.entry, architecture=name)
        renamed.append(dataclasses.replace(model, entry=described, number=len(renamed)))
    first = renamed[0].layout
    half = dataclasses.replace(first, segments=first.segments[:1])
    return [renamed[0], *(dataclasses.replace(m, layout=half) for m in renamed[1:])]


@pytest.mark.parametrize('weighting', ['size', 'family', 'model'])
def test_shares(uneven, foundry, weighting):
    sizes = [len(model.layout) for model in uneven]
    total = sizes[0] + sizes[1]
    expected = {
        'size': [size / sum(sizes) for size in sizes],
        'family': [sizes[0] / total / 2, sizes[1] / total / 2, 0.5],
        'model': [1 / 3] * 3,
    }[weighting]
    found = shares(uneven, weighting)
    assert [share / sum(found) for share in found] == pytest.approx(expected)
    small = dataclasses.replace(foundry, window=4)
    windows = TokenWindows(uneven, small, 1200, 0, weighting)
    drawn = torch.bincount(torch.stack([windows[i]['model'] for i in range(1200)])) / 1200
    assert drawn.tolist() == pytest.approx(expected, abs=0.05)
