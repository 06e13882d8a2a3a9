"""Which units change places where norms take them together."""

import pytest
import torch
from torch import Tensor, nn

from torchgeo_geosane.alignment import groups_of_module


class Normed(nn.Module):
    """Layers, of one or two convolutions joined, between which norms take units together."""

    def __init__(self, widths: tuple[int, ...], norms: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3, width, 1) for width in widths)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, sum(widths)) for groups in norms)
        self.head = nn.Conv2d(sum(widths), 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([layer(x) for layer in self.layers], dim=1)
        return self.head(sum(norm(x) for norm in self.norms).relu())


@pytest.mark.parametrize(
    ('widths', 'norms', 'expected'),
    [
        ((8,), (1,), [(8, 1)]),
        ((8,), (8,), [(8, 1)]),
        # Four pairs, which also change places as a whole.
        ((8,), (4,), [(8, 4)]),
        ((8,), (4, 1), [(8, 4)]),
        # Pairs of one norm within the halves of another: pairs that stay where they are.
        ((8,), (2, 4), [(2, 1)] * 4),
        # One convolution fills one group of the norm, another two.
        ((4, 8), (3,), [(4, 1), (8, 2)]),
        # Of the first group two thirds are of one convolution, a third of the other.
        ((4, 8), (2,), [(4, 1), (2, 1), (6, 1)]),
    ],
)
def test_units_stay_with_those_of_their_norm(
    widths: tuple[int, ...], norms: tuple[int, ...], expected: list[tuple[int, int]]
) -> None:
    with torch.random.fork_rng(devices=[]):
        model = Normed(widths, norms)
    groups = groups_of_module(model, (3, 4, 4), keep_output=True)
    assert not groups.left_out, 'all that is found holds'
    assert [(group.count, group.sets) for group in groups.groups] == expected
