"""Rows of a permuted model: the same as of the whole tensor, and no more is read than that takes."""

import pytest
import torch
from torch import Tensor

from torchgeo_geosane.alignment import PermutedSource
from torchgeo_geosane.foundry.source import StateDictSource


class Counting(StateDictSource):
    """Counts the values that are read."""

    values = 0

    def read(self, name: str) -> Tensor:
        return self._count(super().read(name))

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self._count(super().rows(name, start, stop))

    def _count(self, tensor: Tensor) -> Tensor:
        self.values += tensor.numel()
        return tensor


@pytest.mark.parametrize('shape', [(2048, 1200), (600, 400, 3, 3), (64, 16, 3, 3), (7,)])
@pytest.mark.parametrize('rows', [slice(0, 5), slice(2, None)])
def test_rows_are_those_of_the_permuted_tensor(shape: tuple[int, ...], rows: slice) -> None:
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(shape, generator=generator)
    places = {
        ('weight', dim): torch.randperm(size, generator=generator)
        for dim, size in enumerate(shape[:2])
    }
    source = Counting({'weight': tensor})
    view = PermutedSource(source, places)
    start, stop, _ = rows.indices(shape[0])
    found = view.rows('weight', start, stop)
    assert torch.equal(found, view.read('weight').reshape(shape[0], -1)[rows])
    assert found.dtype == tensor.dtype


def test_a_few_rows_of_a_large_tensor_are_all_that_is_read() -> None:
    source = Counting({'weight': torch.zeros(2048, 1200)})
    view = PermutedSource(source, {('weight', 0): torch.arange(2048).flip(0)})
    view.rows('weight', 100, 140)
    assert source.values == 40 * 1200
