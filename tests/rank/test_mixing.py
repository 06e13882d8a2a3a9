"""How alike weights are, in what they see and in their values."""

import math
from pathlib import Path

import pytest
import torch
from conftest import ARCHITECTURE
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from toy_tiles import toy_fit

from torchgeo_geosane.alignment import RandomPlaces, find_groups
from torchgeo_geosane.alignment.view import PermutedSource
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.rank import Wanted, rank
from torchgeo_geosane.rank.mixing import Pair, cka

pytestmark = pytest.mark.filterwarnings('ignore')
SEEDS = st.integers(0, 2**16)


@settings(max_examples=20)
@given(SEEDS)
def test_turned_and_scaled_features_are_alike(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(40, 6, generator=generator)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=generator))
    assert cka(features, 3 * features @ turn + 1) == pytest.approx(1, abs=1e-6)


def test_many_features_of_few_rows_are_not_alike_for_that() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(30, 2000, generator=generator) for _ in range(2))
    assert cka(one, other) < 0.2


def test_features_that_never_vary_tell_nothing() -> None:
    assert math.isnan(cka(torch.ones(10, 3), torch.rand(10, 3)))


def test_siblings_and_a_network_in_another_order(seeing: Path, tmp_path: Path) -> None:
    tensors = load_file(seeing)
    generator = torch.Generator().manual_seed(0)
    sibling = {
        name: tensor + 0.3 * tensor.std() * torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1
        else tensor
        for name, tensor in tensors.items()
    }
    save_file(sibling, tmp_path / 'sibling.safetensors')
    groups = find_groups(ARCHITECTURE).within(set(tensors))
    view = PermutedSource(StateDictSource(tensors), RandomPlaces(groups, seed=0))
    moved = {name: view.read(name).contiguous() for name in view.names()}
    save_file(moved, tmp_path / 'moved.safetensors')
    names = tuple(str(tmp_path / f'{name}.safetensors') for name in ('sibling', 'moved'))
    wanted = Wanted(names=(str(seeing), *names), only_names=True, offline=True, splits=2)
    found = {frozenset(map(stem, (p.first, p.second))): p for p in rank(toy_fit(), wanted).pairs}
    near = found[frozenset({'seeing', 'sibling'})]
    assert near.advice.startswith('mix: one lineage')
    assert near.before == near.after
    far = found[frozenset({'seeing', 'moved'})]
    assert of(far, 'before') < 0.15
    assert of(far, 'after') == pytest.approx(1, abs=1e-3)
    assert far.advice.startswith('mix with align=true')
    assert far.features > 0.95, 'another order is no other function'


def stem(name: str) -> str:
    return Path(name).stem


def of(pair: Pair, field: str) -> float:
    value = getattr(pair, field)
    assert isinstance(value, float)
    return value
