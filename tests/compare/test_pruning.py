import pytest
import timm
import torch

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.compare.pruning import find_channel_groups, prune
from torchgeo_geosane.errors import ComparisonError

SMALL, LARGE = 'tf_efficientnet_b0', 'tf_efficientnet_b1'


def widened(architecture: str, extra: int) -> dict[str, torch.Tensor]:
    """A model with more channels, all of them weak, between the given ones."""
    state = get_architecture(architecture, 3).initialise(0)
    groups = find_channel_groups(architecture, 3)
    generator = torch.Generator().manual_seed(1)
    for group in groups:
        name, dim = group.places[0]
        size = state[name].shape[dim]
        order = torch.randperm(size + extra, generator=generator)
        place = order[:size].sort().values
        for name, dim in group.places:
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


def test_groups_keep_the_function() -> None:
    """Channels of a group can be permuted together, and the network does what it did."""
    model = timm.create_model('test_efficientnet', num_classes=0).eval()
    image = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    groups = find_channel_groups('test_efficientnet', 3)
    last = [group for group in groups if ('conv_head.weight', 0) in group.places]
    with torch.no_grad():
        before = model(image)
        for group in groups:
            if group in last:  # The features themselves.
                continue
            name, dim = group.places[0]
            order = torch.randperm(state[name].shape[dim])
            for name, dim in group.places:
                state[name] = state[name].index_select(dim, order)
        model.load_state_dict(state)
        torch.testing.assert_close(model(image), before, rtol=1e-4, atol=1e-5)


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
        ('test_vit', 'test_vit', 'cannot be traced|does not know'),
        ('resnext50_32x4d', 'resnext50_32x4d', 'grouped convolutions'),
    ],
)
def test_what_cannot_be_pruned(larger: str, small: str, message: str) -> None:
    with pytest.raises(ComparisonError, match=message):
        prune(get_architecture(larger, 3).initialise(0), small, 3)


def test_other_bands() -> None:
    with pytest.raises(ComparisonError, match='in the same bands'):
        prune(get_architecture('test_resnet', 4).initialise(0), 'test_resnet', 3)
