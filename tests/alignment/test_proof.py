"""A proof notices what changes a network's function, and nothing else."""

import pytest
import torch
from torch import Tensor, nn

from torchgeo_geosane.alignment import find_groups
from torchgeo_geosane.alignment.groups import Group, Part, Use, span
from torchgeo_geosane.alignment.proof import Proof
from torchgeo_geosane.alignment.trace import trace


class Sorting(nn.Module):
    """A network that depends on the order of its units in one place, not in the other."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.one(x.mean((2, 3))).relu()
        return self.three(self.two(hidden).relu() * torch.arange(6, device=x.device))


def test_what_changes_the_function_is_found() -> None:
    with torch.random.fork_rng(devices=[]):
        model = Sorting()
    image = torch.ones(1, 3, 4, 4)
    groups = trace(model, image).groups
    failing = Proof(model, image).failing(groups)
    assert {group.name for group in groups} == {'one.weight', 'two.weight', 'three.weight'}
    assert [group.name for group in failing] == ['two.weight']


def test_rounding_does_not_grow_with_depth() -> None:
    """Seventy layers, whose activations would grow from each to the next."""
    assert not find_groups('efficientnetv2_rw_t').left_out
    assert not find_groups('resnest50d_1s4x24d').left_out, 'each unit is listed four times'


@pytest.mark.parametrize('momentum', [0.1, None])
def test_a_proof_leaves_norms_as_they_were_told_to_be(momentum: float | None) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8, momentum=momentum), nn.ReLU())
    Proof(model, torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert model[1].momentum == momentum
    assert not model[1].training


@pytest.mark.parametrize(('count', 'sets'), [(2, 1), (3, 1), (8, 1), (8, 2), (6, 3), (4, 4)])
@pytest.mark.parametrize('seed', range(5))
def test_no_unit_of_a_proof_stays(count: int, sets: int, seed: int) -> None:
    group = Group('0', (Part((Use('0', 0, count, span(count)),)),), sets)
    (order,) = group.displace(torch.Generator().manual_seed(seed))
    assert order.sort().values.equal(torch.arange(count))
    assert (order != torch.arange(count)).all()
    size = count // sets
    assert len({tuple(run.tolist()) for run in order.view(sets, size) // size}) == sets


@pytest.mark.parametrize('forgotten', ['weight', 'bias', 'running_mean', 'running_var'])
def test_a_norm_that_stays_behind_is_noticed(forgotten: str) -> None:
    """Also one that is constant as it comes from the factory."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 2, 1))
    names = [
        '0.weight',
        '0.bias',
        *(f'1.{n}' for n in ('weight', 'bias', 'running_mean', 'running_var')),
    ]
    uses = [Use(name, 0, 8, span(8)) for name in names] + [Use('3.weight', 1, 8, span(8))]
    whole = Group('0.weight', (Part(tuple(uses)),))
    lame = Group('0.weight', (Part(tuple(u for u in uses if u.tensor != f'1.{forgotten}')),))
    proof = Proof(model, torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    assert proof.hold([whole])
    assert not proof.hold([lame])
