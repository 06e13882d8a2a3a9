"""Both callbacks in a training of two processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from chips import ChipsDataModule, trainer
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from specs import MakeSpec
from torchgeo.trainers import ClassificationTask

from torchgeo_geosane.callbacks import ConditionBatchNorm, SelectCandidates
from torchgeo_geosane.provenance import digest


class Compare(Callback):
    """Compares the processes before their first step."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        selection = next(c for c in trainer.callbacks if isinstance(c, SelectCandidates))  # type: ignore[attr-defined]
        state = {name: tensor.detach() for name, tensor in pl_module.state_dict().items()}
        own = (batch['image'].sum().item(), selection.choice, digest(state))
        both: list[Any] = [None, None]
        torch.distributed.all_gather_object(both, own)
        (one, *same), (other, *alike) = both
        assert one != other, 'both saw the same data'
        assert same == alike
        Path(trainer.default_root_dir, f'compared-{trainer.global_rank}').touch()


@pytest.fixture
def by_name() -> Iterator[None]:
    """Tensors travel to processes by the names of files: the forkserver takes few open files."""
    usual = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy('file_system')
    yield
    torch.multiprocessing.set_sharing_strategy(usual)


@pytest.mark.usefixtures('processes', 'by_name')
def test_two_processes_start_from_the_same(tmp_path: Path, make_spec: MakeSpec) -> None:
    weights = make_spec().url
    task = ClassificationTask('test_resnet', weights, in_channels=6, num_classes=2)
    run = trainer(
        tmp_path,
        SelectCandidates(2, batches=2),
        ConditionBatchNorm(batches=2),
        Compare(),
        strategy=DDPStrategy(start_method='forkserver', process_group_backend='gloo'),
        devices=2,
        num_sanity_val_steps=0,
    )
    run.fit(task, datamodule=ChipsDataModule())
    assert {path.name for path in tmp_path.glob('compared-*')} == {'compared-0', 'compared-1'}
    assert (tmp_path / 'candidates.json').exists()
