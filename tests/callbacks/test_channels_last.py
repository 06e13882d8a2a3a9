"""Channels-last weights: another order in memory, the same training."""

from pathlib import Path

import torch
from chips import ChipsDataModule, trainer
from lightning.pytorch import seed_everything
from torch import Tensor, nn
from torchgeo.trainers import SemanticSegmentationTask

from torchgeo_geosane.callbacks import ChannelsLast


def is_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def test_the_same_training_in_another_order(tmp_path: Path) -> None:
    tasks, losses = [], []
    for callbacks in ([], [ChannelsLast()]):
        seed_everything(0, verbose=False)
        task = SemanticSegmentationTask('unet', 'resnet18', in_channels=6, num_classes=2)
        run = trainer(tmp_path, *callbacks, max_steps=1, limit_val_batches=0)
        seed_everything(1, verbose=False)
        run.fit(task, datamodule=ChipsDataModule(target='mask'))
        tasks.append(task)
        losses.append(run.callback_metrics['train_loss'])
    plain, ordered = (task.model.encoder.layer1[0].conv1 for task in tasks)
    assert isinstance(ordered, nn.Conv2d)
    assert is_channels_last(ordered.weight)
    assert not is_channels_last(plain.weight)
    activation = ordered(torch.randn(2, 64, 8, 8))
    assert is_channels_last(activation), 'a convolution hands the order on'
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-5)


def test_checkpoints_load_as_ever(tmp_path: Path) -> None:
    task = SemanticSegmentationTask('unet', 'resnet18', in_channels=6, num_classes=2)
    run = trainer(tmp_path, ChannelsLast(), max_steps=1, limit_val_batches=0)
    run.fit(task, datamodule=ChipsDataModule(target='mask'))
    run.save_checkpoint(tmp_path / 'last.ckpt')
    plain = SemanticSegmentationTask.load_from_checkpoint(tmp_path / 'last.ckpt')
    for name, tensor in task.state_dict().items():
        assert torch.equal(plain.state_dict()[name].cpu(), tensor.cpu()), name
