"""Networks come back into order, siblings stay as they are, and what cannot be aligned says so."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.alignment import (
    Alignment,
    Groups,
    PermutedSource,
    RandomPlaces,
    align,
    find_groups,
    from_bytes,
    recall,
    similarity,
    to_bytes,
)
from torchgeo_geosane.alignment.assignment import assign
from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import AlignmentError, CacheError
from torchgeo_geosane.foundry.source import StateDictSource

ARCHITECTURES = ['test_resnet', 'test_efficientnet', 'test_vit']


def network(architecture: str, seed: int) -> dict[str, Tensor]:
    """Random weights, norms and biases among them."""
    state = get_architecture(architecture, 3).initialise(seed)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.ndim < 2:
            state[name] = torch.rand(tensor.shape, generator=generator) + 0.5
    return state


def finetuned(state: dict[str, Tensor], size: float) -> dict[str, Tensor]:
    """The same network a few steps later."""
    generator = torch.Generator().manual_seed(7)
    return {
        name: tensor + size * tensor.std() * torch.randn(tensor.shape, generator=generator)
        if tensor.is_floating_point() and tensor.ndim > 1
        else tensor
        for name, tensor in state.items()
    }


def disordered(state: dict[str, Tensor], groups: Groups, seed: int = 5) -> dict[str, Tensor]:
    """The same network with its units in another order."""
    present = groups.within(state)
    source = PermutedSource(StateDictSource(state), RandomPlaces(present, seed))
    return {name: source.read(name) for name in state}


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_a_permuted_network_comes_back_whole(architecture: str) -> None:
    groups = find_groups(architecture)
    reference = network(architecture, 0)
    source = StateDictSource(disordered(reference, groups))
    found = align(source, StateDictSource(reference), groups)
    aligned = found.view(source)
    assert all(aligned.read(name).equal(reference[name]) for name in reference)
    assert found.before < 0.3
    assert found.after > 0.999
    assert found.chance is not None
    assert found.chance < 0.7
    assert 0.8 * found.units < found.moved <= found.units


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_a_finetuned_network_comes_back_too(architecture: str) -> None:
    """Though no value is what it was."""
    groups = find_groups(architecture)
    reference = network(architecture, 0)
    later = finetuned(reference, 0.3)
    source = StateDictSource(disordered(later, groups))
    aligned = align(source, StateDictSource(reference), groups).view(source)
    assert all(aligned.read(name).equal(later[name]) for name in later)


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_siblings_stay_as_they_are(architecture: str) -> None:
    reference = network(architecture, 0)
    source = StateDictSource(finetuned(reference, 0.7))
    found = align(source, StateDictSource(reference), find_groups(architecture))
    assert found.moved == 0
    assert found.view(source) is source
    assert found.before == found.after > 0.7


def test_strangers_come_no_closer_than_chance() -> None:
    groups = find_groups('test_resnet')
    one, other = (
        StateDictSource(get_architecture('test_resnet', 3).initialise(seed)) for seed in (0, 1)
    )
    found = align(one, other, groups)
    assert found.moved > 0
    assert found.before < found.after
    assert found.chance is not None
    assert abs(found.after - found.chance) < 0.05


def test_dead_units_stay() -> None:
    """Units without weights resemble all alike."""
    groups = find_groups('test_resnet')
    reference = network('test_resnet', 0)
    for name in ('layer1.0.conv1.weight', 'layer1.0.bn1.weight', 'layer1.0.bn1.bias'):
        reference[name][4:9] = 0
    source = StateDictSource(finetuned(reference, 0.1))
    assert align(source, StateDictSource(reference), groups).moved == 0


def test_an_all_zero_tensor_is_no_trouble() -> None:
    groups = find_groups('test_resnet')
    reference = network('test_resnet', 0)
    reference['layer1.0.conv1.weight'].zero_()
    found = align(
        StateDictSource(disordered(reference, groups)), StateDictSource(reference), groups
    )
    assert found.after > 0.99


def test_what_a_network_lacks_does_not_move() -> None:
    """Encoders without the last convolution are aligned all the same."""
    groups = find_groups('test_efficientnet')
    reference = network('test_efficientnet', 0)
    reference = {
        name: t for name, t in reference.items() if not name.startswith(('conv_head', 'bn2'))
    }
    source = StateDictSource(disordered(reference, groups))
    aligned = align(source, StateDictSource(reference), groups).view(source)
    assert all(aligned.read(name).equal(reference[name]) for name in reference)


def test_other_bands_in_the_stem() -> None:
    """A stem of another shape says nothing, but follows."""
    groups = find_groups('test_resnet')
    reference = network('test_resnet', 0)
    other = disordered(reference, groups)
    other['conv1.0.weight'] = other['conv1.0.weight'].repeat(1, 2, 1, 1)
    source = StateDictSource(other)
    aligned = align(source, StateDictSource(reference), groups).view(source)
    assert aligned.read('conv1.0.weight')[:, :3].equal(reference['conv1.0.weight'])


def test_two_architectures_in_one_alignment() -> None:
    groups = find_groups('test_resnet')
    one, other = (StateDictSource(network(name, 0)) for name in ('test_resnet', 'test_vit'))
    with pytest.raises(AlignmentError, match='different architectures cannot be aligned: of '):
        align(one, other, groups)
    wider = {
        name: torch.cat([t, t]) if t.ndim > 1 else t
        for name, t in network('test_resnet', 0).items()
    }
    with pytest.raises(AlignmentError, match=r'has shape .* in the reference'):
        align(StateDictSource(wider), one, groups)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_values_that_are_no_numbers(value: float) -> None:
    groups = find_groups('test_resnet')
    state = network('test_resnet', 0)
    state['layer1.0.conv1.weight'][0, 0] = value
    good = StateDictSource(network('test_resnet', 1))
    for pair in ((StateDictSource(state), good), (good, StateDictSource(state))):
        with pytest.raises(AlignmentError, match=r"'layer1.0.conv1.weight' holds NaN or infinite"):
            align(*pair, groups)


def test_no_groups_no_change() -> None:
    """A model that cannot be traced is left as it is, and that is said."""
    one, other = (StateDictSource(network('test_resnet', seed)) for seed in (0, 1))
    found = align(one, other, Groups((), {'': 'it cannot be traced'}))
    assert found.view(one) is one
    assert (found.units, found.moved) == (0, 0)
    assert found.left_out == {'': 'it cannot be traced'}


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31))
def test_an_assignment_is_undone(sets: int, size: int, seed: int) -> None:
    """Whatever order sets and the units in them are in."""
    generator = torch.Generator().manual_seed(seed)
    units = [torch.randn(sets * size, 40, generator=generator) for _ in range(2)]
    outer = torch.randperm(sets, generator=generator)
    orders = [
        torch.cat([s * size + torch.randperm(size, generator=generator) for s in outer.tolist()])
        for _ in range(2)
    ]
    likeness = [unit[order] @ unit.T for unit, order in zip(units, orders, strict=True)]
    found = assign(likeness, sets)
    for unit, order, back in zip(units, orders, found, strict=True):
        assert unit[order][back].equal(unit)


def test_similarity() -> None:
    one = {'a': torch.tensor([[1.0, 0.0]]), 'b': torch.tensor([1.0])}
    other = {'a': torch.tensor([[1.0, 1.0]]), 'b': torch.tensor([-1.0])}
    found = similarity(StateDictSource(one), StateDictSource(other))
    assert found == pytest.approx(0.5**0.5)


@pytest.fixture(scope='module')
def found() -> Alignment:
    groups = find_groups('test_vit')
    one, other = (StateDictSource(network('test_vit', seed)) for seed in (0, 1))
    return align(one, other, groups)


def same(one: Alignment, other: Alignment) -> bool:
    return one.places.keys() == other.places.keys() and all(
        places.equal(other.places[axis]) for axis, places in one.places.items()
    )


def test_bytes_are_the_alignment(found: Alignment) -> None:
    again = from_bytes(to_bytes(found))
    assert same(found, again)
    assert (again.moved, again.before, again.chance) == (found.moved, found.before, found.chance)


def test_damaged_bytes_are_noticed(found: Alignment) -> None:
    data = to_bytes(found)
    twice = bytearray(data)
    twice[-4:] = twice[-8:-4]  # An order that has a unit twice is none.
    for bad in (data[:-3], b'', b'nonsense', bytes(twice)):
        with pytest.raises(CacheError, match='not an alignment'):
            from_bytes(bad)


def test_it_is_found_once(found: Alignment) -> None:
    calls = []

    def find() -> Alignment:
        calls.append(1)
        return found

    assert all(same(recall(['one', 'two'], find), found) for _ in range(3))
    assert len(calls) == 1
    recall(['two', 'one'], find)
    assert len(calls) == 2
