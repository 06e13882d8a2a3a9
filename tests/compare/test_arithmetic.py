from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.architectures import TensorSpec
from torchgeo_geosane.callbacks.candidates import average
from torchgeo_geosane.compare.arithmetic import (
    State,
    dare,
    select,
    ties,
    with_equal_noise,
)
from torchgeo_geosane.errors import ComparisonError

VALUES = st.floats(-8, 8, width=32)


def model(values: list[float], variance: float = 1.0) -> State:
    return {
        'conv.weight': torch.tensor(values, dtype=torch.float32),
        'bn.running_var': torch.tensor([float(variance)]),
        'bn.num_batches_tracked': torch.tensor(7),
    }


models = st.lists(VALUES, min_size=3, max_size=3).map(model)


def assert_same(one: State, other: State, tolerance: float = 1e-6) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.allclose(tensor, other[name], atol=tolerance, rtol=1e-5), name


MERGES: list[Callable[[list[State]], State]] = [
    average,
    lambda states: ties(states, average(states), 0.4),
    lambda states: dare(states, average(states), 0.4, seed=0),
]


@pytest.mark.parametrize('merge', MERGES)
@given(state=models, copies=st.integers(1, 4))
def test_equal_models_merge_into_themselves(
    merge: Callable[[list[State]], State], state: State, copies: int
) -> None:
    merged = merge([state] * copies)
    assert_same(merged, state)
    assert merged['conv.weight'].data_ptr() != state['conv.weight'].data_ptr()


@given(state=models, base=models)
def test_the_whole_task_vector_of_one_model_is_the_model(state: State, base: State) -> None:
    assert_same(ties([state], base, 1.0), state, 1e-5)
    assert_same(dare([state], base, 1.0, seed=0), state, 1e-5)


@given(states=st.lists(models, min_size=1, max_size=4), base=models)
def test_dare_that_drops_nothing_is_the_average(states: list[State], base: State) -> None:
    assert_same(dare(states, base, 1.0, seed=3), average(states), 1e-4)


def test_average() -> None:
    assert_same(average([model([1, 2, 3], 1), model([3, 2, 1], 3)]), model([2, 2, 2], 2))


def test_ties_keeps_the_largest_and_averages_what_agrees() -> None:
    base = model([0, 0, 0])
    states = [model([4, 1, 3]), model([-1, 2, 5]), model([2, -3, 0])]
    # Two of three entries are kept: [4, _, 3], [_, 2, 5], [2, -3, _].
    assert_same(ties(states, base, 2 / 3), model([3, -3, 4]))


def test_ties_without_a_majority_stays_at_the_base() -> None:
    states = [model([1, -2, 5]), model([3, 2, 4])]
    assert_same(ties(states, average(states), 1.0), average(states))


def test_dare_keeps_the_expectation() -> None:
    base, state = {'a': torch.zeros(20_000)}, {'a': torch.ones(20_000)}
    merged = dare([state], base, 0.25, seed=1)['a']
    assert set(merged.unique().tolist()) == {0.0, 4.0}
    assert abs(merged.mean() - 1) < 0.05
    assert not torch.equal(merged, dare([state], base, 0.25, seed=2)['a'])


@pytest.mark.parametrize('merge', MERGES[1:])
def test_variances_are_averaged(merge: Callable[[list[State]], State]) -> None:
    """Merged as differences, they could turn negative."""
    states = [model([1, 2, 3], 0.1), model([2, 2, 4], 9.0), model([0, 1, 0], 0.2)]
    assert merge(states)['bn.running_var'].item() == pytest.approx(3.1)


def test_noise_is_as_large_as_the_change() -> None:
    state = {name: torch.randn(50, 40) for name in ('changed', 'same')} | {'n': torch.tensor(3)}
    state['bn.running_var'] = torch.rand(50)
    changed = {name: tensor + 1 for name, tensor in state.items()} | {'same': state['same']}
    noisy = with_equal_noise(state, changed, seed=0)
    assert (noisy['changed'] - state['changed']).norm().item() == pytest.approx(2000**0.5, 1e-4)
    for name in ('same', 'n', 'bn.running_var'):
        assert torch.equal(noisy[name], state[name])
    assert not torch.equal(with_equal_noise(state, changed, 1)['changed'], noisy['changed'])


def spec(*shape: int) -> TensorSpec:
    return TensorSpec(shape, torch.float32)


def test_selection_takes_evenly_spaced_elements() -> None:
    large = {'w': torch.arange(24.0).view(6, 4), 'b': torch.arange(6.0), 'more': torch.ones(1)}
    small = select(large, {'w': spec(3, 2), 'b': spec(3)})
    assert small['b'].tolist() == [0, 2, 4]
    assert small['w'].tolist() == [[0, 2], [8, 10], [16, 18]]


@given(sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)).map(sorted))
def test_selected_elements_differ(sizes: list[int]) -> None:
    wanted, available = sizes
    chosen = select({'w': torch.arange(float(available))}, {'w': spec(wanted)})['w']
    assert len(set(chosen.tolist())) == wanted


@pytest.mark.parametrize('large', [{}, {'w': torch.ones(2, 2)}, {'w': torch.ones(4)}])
def test_nothing_is_selected_from_a_smaller_model(large: dict[str, Tensor]) -> None:
    with pytest.raises(ComparisonError, match="selected for 'w'"):
        select(large, {'w': spec(3, 2)})
