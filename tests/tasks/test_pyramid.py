import pytest
import torch
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    LastLevelMaxPool,
    LastLevelP6P7,
)

from torchgeo_geosane.tasks.pyramid import SimpleFeaturePyramid


@pytest.mark.parametrize('stride', [8, 16, 32])
@pytest.mark.parametrize(
    ('extra_blocks', 'above'),
    [(LastLevelMaxPool(), {'pool': 64}), (LastLevelP6P7(8, 8), {'p6': 64, 'p7': 128})],
)
def test_strides(stride: int, extra_blocks: ExtraFPNBlock, above: dict[str, int]) -> None:
    pyramid = SimpleFeaturePyramid(16, stride, (4, 8, 16, 32), 8, extra_blocks)
    height, width = 128, 384
    maps = pyramid({'0': torch.randn(2, 16, height // stride, width // stride)})
    assert {name: tuple(level.shape) for name, level in maps.items()} == {
        name: (2, 8, height // wanted, width // wanted)
        for name, wanted in {'0': 4, '1': 8, '2': 16, '3': 32, **above}.items()
    }


def test_every_level_sees_the_last_map_alone() -> None:
    pyramid = SimpleFeaturePyramid(16, 16, (4, 8, 16, 32), 8, LastLevelMaxPool())
    last = torch.randn(1, 16, 4, 4, requires_grad=True)
    first = torch.randn(1, 16, 4, 4, requires_grad=True)
    for level in list(pyramid({'0': first, '1': last}).values())[:4]:
        last.grad = None
        level.sum().backward(retain_graph=True)
        assert last.grad is not None
    assert first.grad is None


def test_levels_do_not_mix() -> None:
    # No way from the top down: a level's own layers alone make it.
    pyramid = SimpleFeaturePyramid(16, 16, (4, 8, 16, 32), 8, LastLevelMaxPool())
    last = torch.randn(1, 16, 4, 4)
    before = pyramid({'0': last})
    with torch.no_grad():
        for parameter in pyramid.levels[3].parameters():
            parameter.add_(1)
    after = pyramid({'0': last})
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {'0', '1', '2'}
