import pytest
import torch

from torchgeo_geosane.alignment import OUTPUT, find_groups
from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.compare.pruning import prune
from torchgeo_geosane.errors import ComparisonError

SMALL, LARGE = 'tf_efficientnet_b0', 'tf_efficientnet_b1'


def widened(architecture: str, extra: int) -> dict[str, torch.Tensor]:
    """A model with more channels, all of them weak, between the given ones."""
    state = get_architecture(architecture, 3).initialise(0)
    generator = torch.Generator().manual_seed(1)
    for group in find_groups(architecture).groups:
        order = torch.randperm(group.count + extra, generator=generator)
        place = order[: group.count].sort().values
        for name, dim in set(group.axes) - {OUTPUT}:
            shape = list(state[name].shape)
            shape[dim] += extra
            wide = torch.full(shape, 1e-4).index_copy(dim, place, state[name])
            state[name] = wide
    return state


@pytest.mark.parametrize('architecture', ['test_efficientnet', 'test_resnet'])
def test_strong_channels_are_found_again(architecture: str) -> None:
    """Weak channels put in between, at other places in every group, are what is pruned."""
    original = get_architecture(architecture, 3).initialise(0)
    pruned = prune(widened(architecture, extra=5), architecture, 3)
    assert pruned.keys() == original.keys()
    for name, tensor in original.items():
        torch.testing.assert_close(pruned[name], tensor, msg=name)


def test_a_real_family() -> None:
    pruned = prune(get_architecture(LARGE, 6).initialise(0), SMALL, 6)
    target = get_architecture(SMALL, 6).shapes
    assert {name: tuple(tensor.shape) for name, tensor in pruned.items()} == {
        name: wanted.shape for name, wanted in target.items()
    }


@pytest.mark.parametrize(
    ('larger', 'small', 'message'),
    [
        (SMALL, LARGE, 'lacks'),
        ('test_resnet', 'test_efficientnet', 'lacks'),
        ('test_vit', 'test_vit', 'neither attention nor grouped convolutions'),
        ('regnety_002', 'regnety_002', 'neither attention nor grouped convolutions'),
    ],
)
def test_what_cannot_be_pruned(larger: str, small: str, message: str) -> None:
    with pytest.raises(ComparisonError, match=message):
        prune(get_architecture(larger, 3).initialise(0), small, 3)


def test_other_bands() -> None:
    with pytest.raises(ComparisonError, match='in the same bands'):
        prune(get_architecture('test_resnet', 4).initialise(0), 'test_resnet', 3)
