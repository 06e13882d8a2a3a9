import pytest
import torch

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.layout import Layout, layer_kind

SHAPES: dict[str, tuple[int, ...]] = {
    'conv.weight': (4, 3, 2, 2),
    'norm.weight': (5,),
    'norm.bias': (5,),
    'norm.running_mean': (5,),
    'cls_token': (1, 1, 8),
    'gain.weight': (),
    'empty.weight': (0, 7),
    'fc.weight': (6, 3),
    'fc.bias': (6,),
    'odd.weight': (6, 3),
    'odd.bias': (3,),
}


def test_dense_layout() -> None:
    layout = Layout.plan(SHAPES, 10)
    named = {segment.weight: segment for segment in layout.segments}
    assert list(named) == ['conv.weight', 'norm.weight', 'gain.weight', 'fc.weight', 'odd.weight']
    assert [segment.bias for segment in layout.segments] == [
        None, 'norm.bias', None, 'fc.bias', None,
    ]  # fmt: skip
    assert [(segment.rows, segment.columns) for segment in layout.segments] == [
        (4, 12), (5, 2), (1, 1), (6, 4), (6, 3),
    ]  # fmt: skip
    assert [(s.start, s.stop) for s in layout.segments] == [
        (0, 5),
        (5, 6),
        (6, 7),
        (7, 10),
        (10, 12),
    ]
    assert len(layout) == 12


def test_matrices_layout_leaves_vectors_and_biases() -> None:
    layout = Layout.plan(SHAPES, 10, 'matrices')
    assert layout.names == {'conv.weight', 'fc.weight', 'odd.weight'}


def test_positions_and_mask() -> None:
    layout = Layout.plan(SHAPES, 10)
    assert layout.positions(4, 9).tolist() == [
        [4, 0, 4],
        [5, 1, 0],
        [6, 2, 0],
        [7, 3, 0],
        [8, 3, 1],
    ]
    mask = layout.mask(0, len(layout))
    assert mask.sum(dim=1).tolist() == [10, 10, 10, 10, 8, 10, 1, 10, 10, 4, 10, 8]
    # Real values come first in every token.
    assert (mask.long().diff(dim=1) <= 0).all()
    for start in range(len(layout)):
        for stop in range(start + 1, len(layout) + 1):
            assert torch.equal(layout.mask(start, stop), mask[start:stop])
            assert torch.equal(
                layout.positions(start, stop), layout.positions(0, len(layout))[start:stop]
            )


def test_relative_positions_end_at_one() -> None:
    layout = Layout.plan(SHAPES, 10)
    relative = layout.relative_positions(0, len(layout))
    assert relative[0].tolist() == [0, 0, 0]
    assert relative[-1].tolist() == [1, 1, 1]
    assert relative.min() >= 0
    assert relative.max() <= 1
    assert torch.equal(layout.relative_positions(3, 8), relative[3:8])


@pytest.mark.parametrize(
    ('name', 'shape', 'kind'),
    [
        ('conv1d.weight', (8, 4, 3), 0),
        ('conv1.weight', (8, 4, 3, 3), 1),
        ('conv3d.weight', (8, 4, 3, 3, 3), 2),
        ('fc.weight', (10, 2), 3),
        ('token_embed.weight', (10, 4), 4),
        ('words.weight', (11, 2), 4),
        ('bn1.weight', (8,), 5),
        ('ln_1.weight', (8,), 6),
        ('norm1.weight', (8,), 7),
        ('downsample.1.weight', (8,), 8),
        ('scale.weight', (), 8),
    ],
)
def test_layer_kinds(name: str, shape: tuple[int, ...], kind: int) -> None:
    assert layer_kind(name, shape) == kind


def test_kinds_of_tokens() -> None:
    layout = Layout.plan(SHAPES, 10)
    assert layout.kinds(0, 12).tolist() == [1] * 5 + [7] + [8] + [3] * 3 + [3] * 2
    assert layout.kinds(4, 8).tolist() == [1, 7, 8, 3]


@pytest.mark.parametrize('shapes', [{}, {'pos_embed': (1, 3)}, {'a.weight': (0, 3)}])
def test_nothing_to_cut(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(TokenError, match='nothing to cut'):
        Layout.plan(shapes, 10)
