"""Both callbacks in a training of two processes."""

from pathlib import Path
from typing import Any

import torch
from chips import ChipsDataModule, trainer
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from specs import MakeSpec
from torchgeo.trainers import RegressionTask

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


def test_two_processes_start_from_the_same(tmp_path: Path, make_spec: MakeSpec) -> None:
    # Lightning keeps the processes' models apart where they are spawned, or started apart.
    task = RegressionTask('test_resnet', weights=make_spec().url, in_channels=6)
    run = trainer(
        tmp_path,
        SelectCandidates(2, probe='linear', batches=2),
        ConditionBatchNorm(batches=2),
        Compare(),
        strategy=DDPStrategy(start_method='spawn', process_group_backend='gloo'),
        devices=2,
        num_sanity_val_steps=0,
    )
    run.fit(task, datamodule=ChipsDataModule(target='value'))
    assert {path.name for path in tmp_path.glob('compared-*')} == {'compared-0', 'compared-1'}
    assert (tmp_path / 'candidates.json').exists()
