"""Two processes train what one trains."""

import csv
import dataclasses
import os
import socket

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.distributed.tensor import DTensor

from torchgeo_geosane.collection.collect import SOURCES
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.training import HardwareConfig, train_foundry
from torchgeo_geosane.training.module import FoundryTask


class KilledError(Exception):
    """Stands for whatever ends all processes."""


@pytest.fixture
def optimisation(optimisation):
    # What does not depend on how a batch is shared out.
    return dataclasses.replace(
        optimisation,
        gamma=0.0,
        noise=0.0,
        normalisation='token',
        linear_start=False,
        steps=6,
        checkpoint_every=3,
    )


def keep_gradient(task: FoundryTask, folder) -> None:
    """Store the gradient of the first step."""
    gradients = {
        name: p.grad.full_tensor() if isinstance(p.grad, DTensor) else p.grad.clone()
        for name, p in task.named_parameters()
        if p.grad is not None
    }
    if task.global_step == 0 and task.global_rank == 0:
        torch.save(gradients, folder / 'gradient.pt')


def train(folder, arguments, hardware, kill_at=None):
    def before(task, optimizer):
        keep_gradient(task, folder)
        if task.global_step == kill_at:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FoundryTask, 'on_before_optimizer_step', before)
        return train_foundry(*arguments, folder / 'out', hardware, progress=False)


def process(rank, port, folder, toys, arguments, strategy) -> None:
    """One of two; killed in its fifth step, and resumed after the third."""
    SOURCES['toy'] = toys
    os.environ |= {
        'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(port),
        'LOCAL_RANK': str(rank),
        'NODE_RANK': '0',
    }
    rank_zero_only.rank = rank
    hardware = HardwareConfig(accelerator='cpu', devices=2, strategy=strategy)
    with pytest.raises(KilledError):
        train(folder, arguments, hardware, kill_at=4)
    reports = train(folder, arguments, hardware)
    assert bool(reports) == (rank == 0)


def losses(folder) -> list[list[float]]:
    rows = csv.DictReader((folder / 'out' / 'training.csv').read_text().splitlines())
    names = ('train/loss', 'learning_rate', 'relative_error/trained', 'relative_error/held_out')
    return [[float(row[name] or 'nan') for name in names] for row in rows]


@pytest.fixture
def alone(tmp_path, foundry, collection, optimisation):
    """What one process gives, with the same batch."""
    folder = tmp_path / 'alone'
    folder.mkdir()
    train(folder, (foundry, collection, optimisation), HardwareConfig(accelerator='cpu'))
    return folder


@pytest.mark.parametrize(('strategy', 'accumulate'), [('ddp', 2), ('fsdp', 1)])
def test_two_processes(
    tmp_path, foundry, collection, toys, optimisation, alone, processes, strategy, accumulate
):
    folder = tmp_path / strategy
    folder.mkdir()
    options = dataclasses.replace(optimisation, accumulate=accumulate)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    arguments = (port, folder, toys, (foundry, collection, options), strategy)
    both = [processes.Process(target=process, args=(rank, *arguments)) for rank in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert [each.exitcode for each in both] == [0, 0]

    expected, found = (torch.load(each / 'gradient.pt') for each in (alone, folder))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert losses(folder) == [pytest.approx(row, rel=1e-3, nan_ok=True) for row in losses(alone)]
    shipped, reference = (Foundry.load(str(each / 'out')) for each in (folder, alone))
    assert set(os.listdir(folder / 'out')) == set(os.listdir(alone / 'out'))
    for name, tensor in reference.model.state_dict().items():
        torch.testing.assert_close(shipped.model.state_dict()[name], tensor, rtol=0, atol=5e-3)
