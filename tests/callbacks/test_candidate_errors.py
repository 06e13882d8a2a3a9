"""What candidates cannot be selected for is said, with the reason."""

from pathlib import Path
from typing import Any

import pytest
import torch
from chips import Chips, ChipsDataModule, trainer
from lightning.pytorch import LightningModule
from selecting import classification, fit
from specs import MakeSpec
from torch import Tensor
from torchgeo.trainers import SimCLRTask

from torchgeo_geosane import generate
from torchgeo_geosane.callbacks import SelectCandidates, candidates
from torchgeo_geosane.errors import ArchitectureError, DataError, SpecError


def weighted(task: Any, weights: str) -> LightningModule:
    """As if the task had started from these weights."""
    task.weights = weights
    return task


def test_candidates_that_are_alike_are_said_to_be(
    tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        candidates, 'create', lambda spec, seeds, **_: [generate(spec) for _ in seeds]
    )
    with pytest.warns(UserWarning, match='cannot tell the candidates apart'):
        fit(tmp_path, SelectCandidates(2), classification(make_spec().url))


@pytest.mark.parametrize(
    ('task', 'error', 'message'),
    [
        (lambda url: classification(None), SpecError, 'started from None: name some'),
        (
            lambda url: classification(url, 'test_resnet'),
            DataError,
            '2 training images are too few',
        ),
        (
            lambda url: weighted(SimCLRTask('resnet18', in_channels=6), url),
            ArchitectureError,
            'supported are Classification, Regression',
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    task: Any, error: type[Exception], message: str, tmp_path: Path, make_spec: MakeSpec
) -> None:
    run = trainer(tmp_path, SelectCandidates(2), num_sanity_val_steps=0)
    with pytest.raises(error, match=message):
        run.fit(task(make_spec().url), datamodule=ChipsDataModule(length=2, batch_size=2))


def test_another_architecture_than_the_weights(tmp_path: Path, make_spec: MakeSpec) -> None:
    task = weighted(classification(None), make_spec('test_vit').url)
    with pytest.raises(ArchitectureError, match="backbone is another than 'test_vit'"):
        fit(tmp_path, SelectCandidates(2), task)
    with pytest.raises(ArchitectureError, match='for 3 bands'):
        fit(tmp_path, SelectCandidates(2), weighted(task, make_spec(sensor='rgb').url))


def test_masks_without_labels(tmp_path: Path, make_spec: MakeSpec) -> None:
    class Unlabelled(Chips):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            sample = super().__getitem__(index)
            return {'image': sample['image'], 'label': torch.tensor(7)}

    task = classification(make_spec().url)
    with pytest.raises(DataError, match='no labels to probe for'):
        trainer(tmp_path, SelectCandidates(2), num_sanity_val_steps=0).fit(
            task, datamodule=ChipsDataModule(Unlabelled)
        )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'candidates': 1}, 'draw 2 or more'),
        ({'candidates': 3, 'keep': 4}, '4 of 3 candidates'),
        ({'probe': 'linaer'}, "did you mean 'linear'"),
        ({'batches': 0}, '1 or more'),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        SelectCandidates(**arguments)
