"""Siblings are told by what two architectures have in common, whatever its names."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.collection.kin import group, kin
from torchgeo_geosane.foundry.source import StateDictSource

State = dict[str, Tensor]


def backbone(seed: int) -> State:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(8, 3, 3, 3), (16, 8, 3, 3), (16, 16, 3, 3), (32, 16, 3, 3)]
    return {
        f'layer{at}.weight': torch.randn(shape, generator=generator)
        for at, shape in enumerate(shapes)
    }


def inside(state: State, head: int) -> State:
    """With other names, and layers of its own before and after."""
    before = {'norm.weight': torch.ones(3), 'mix.weight': torch.randn(3, 3)}
    renamed = {f'model.encoder.{name}': tensor for name, tensor in state.items()}
    return before | renamed | {'head.weight': torch.randn(head, 32)}


def related(*states: State) -> list[list[bool]]:
    return kin(
        [
            (StateDictSource(state), {name: tuple(t.shape) for name, t in state.items()})
            for state in states
        ]
    ).tolist()


def test_a_backbone_inside_of_something_else() -> None:
    trained = backbone(0)
    further = {name: tensor + 0.3 * torch.randn_like(tensor) for name, tensor in trained.items()}
    found = related(trained, inside(further, 10), inside(backbone(1), 20))
    assert found == [[False, True, False], [True, False, False], [False, False, False]]


def test_what_has_little_in_common_is_not_compared() -> None:
    trained = backbone(0)
    larger = inside(trained, 10) | {'layer.weight': torch.randn(512, 512)}
    other = {**trained, 'wide.weight': torch.randn(400, 400)}
    assert related(larger, other) == [[False] * 2] * 2


def test_models_without_matrices() -> None:
    assert related({'a': torch.ones(3)}, {'b': torch.ones(3)}) == [[False] * 2] * 2


@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_groups_are_those_that_paths_connect(pairs: set[tuple[int, int]]) -> None:
    matrix = torch.zeros(8, 8, dtype=torch.bool)
    for one, other in pairs:
        matrix[one, other] = matrix[other, one] = True
    reach = matrix | torch.eye(8, dtype=torch.bool)
    for _ in range(3):
        reach = (reach.float() @ reach.float()) > 0
    assert group(matrix) == [row.index(True) for row in reach.tolist()]
