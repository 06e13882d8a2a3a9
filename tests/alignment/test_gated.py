"""Units of gated layers."""

from typing import Any

import pytest
import torch
from timm.layers import GluMlp
from torch import Tensor, nn

from torchgeo_geosane.alignment import groups_of_module


class Gated(nn.Module):
    """Tokens, and a layer of theirs that is cut in two halves."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.stem, self.mlp, self.head = nn.Conv2d(3, 8, 2, 2), mlp, nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        return self.head((x + self.mlp(x)).mean(1))


@pytest.mark.parametrize('options', [{}, {'norm_layer': nn.LayerNorm}, {'gate_last': False}])
def test_a_unit_of_a_gated_layer_is_a_row_of_each_half(options: dict[str, Any]) -> None:
    with torch.random.fork_rng(devices=[]):
        model = Gated(GluMlp(8, 12, **options))
    groups = groups_of_module(model, (3, 8, 8), keep_output=True)
    assert not groups.left_out
    (hidden,) = (group for group in groups.groups if group.name == 'mlp.fc1.weight')
    assert (hidden.count, hidden.sets) == (6, 1)
    assert ('mlp.norm.weight' in dict(hidden.axes)) == ('norm_layer' in options)


def test_what_only_looks_gated_does_not_move() -> None:
    """It depends on the order of its rows."""

    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(8, 12), nn.Linear(6, 8)

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.fc1(x).chunk(2, dim=-1)
            return self.fc2(first.cumsum(-1) * second)

    with torch.random.fork_rng(devices=[]):
        groups = groups_of_module(Gated(Half()), (3, 8, 8), keep_output=True)
    assert groups.left_out == {'mlp.fc1.weight': 'its halves lie in an order that is not known'}
