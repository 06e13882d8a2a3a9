"""The loaders of all data modules of images."""

import os
import signal

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from torchgeo_geosane.datamodules import DFC2020DataModule
from torchgeo_geosane.errors import DataError


class Chips(Dataset[dict[str, Tensor]]):
    """Numbered chips; asked for the last one, a worker is killed as by a system without memory."""

    def __init__(self, deadly: bool) -> None:
        self.deadly = deadly

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if self.deadly and index == len(self) - 1 and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return {'image': torch.full((1, 2, 2), float(index))}


def served(workers: int, deadly: bool = False) -> list[float]:
    module = DFC2020DataModule(batch_size=2, num_workers=workers)
    module.train_dataset = module.test_dataset = Chips(deadly)
    batches = [*module.train_dataloader(), *module.test_dataloader()]
    assert all(batch['image'].shape == (2, 1, 2, 2) for batch in batches)
    return [value for batch in batches for value in batch['image'][:, 0, 0, 0].tolist()]


@pytest.mark.parametrize('workers', [0, 2])
def test_an_epoch_of_training_is_shuffled_and_one_of_testing_is_not(workers: int) -> None:
    torch.manual_seed(0)
    values = served(workers)
    assert sorted(values[:8]) == list(range(8)) != values[:8]
    assert values[8:] == list(range(8))


def test_a_killed_worker_is_named() -> None:
    with pytest.raises(DataError, match=r'worker process .* num_workers'):
        served(workers=2, deadly=True)
