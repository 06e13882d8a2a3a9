import pytest
import timm
import torch

from torchgeo_geosane.architectures import check_architecture, get_architecture, list_architectures
from torchgeo_geosane.errors import ArchitectureError

FAMILIES = ['resnet18', 'vit_tiny_patch16_224', 'convnext_atto', 'swinv2_cr_tiny_ns_224']


@pytest.mark.parametrize('architecture', FAMILIES)
def test_shapes_are_those_of_the_headless_model(architecture: str) -> None:
    model = timm.create_model(architecture, pretrained=False, num_classes=0, in_chans=5)
    wanted = {name: (tuple(t.shape), t.dtype) for name, t in model.state_dict().items()}
    assert dict(get_architecture(architecture, 5).shapes) == wanted
    assert list(get_architecture(architecture, 5).shapes) == list(wanted)


def test_the_result_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        get_architecture('resnet18', 3).shapes['conv1.weight'] = None  # type: ignore[index]


def test_initialise_is_seeded_and_leaves_the_rng_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = get_architecture('resnet18', 2).initialise(1)
    get_architecture('resnet18', 7)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    same, other = (get_architecture('resnet18', 2).initialise(seed) for seed in (1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one['conv1.weight'], other['conv1.weight'])
    assert {name: (tuple(t.shape), t.dtype) for name, t in one.items()} == dict(
        get_architecture('resnet18', 2).shapes
    )
    assert not any(tensor.requires_grad for tensor in one.values())


def test_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(ArchitectureError, match=r"'resnet5O': did you mean .*'resnet50'"):
        check_architecture('resnet5O')


def test_a_tag_is_not_part_of_an_architecture() -> None:
    with pytest.raises(ArchitectureError, match=r"write 'resnet50', and 'timm:resnet50.a1_in1k'"):
        check_architecture('resnet50.a1_in1k')


def test_no_channels() -> None:
    with pytest.raises(ArchitectureError, match='0 input channels'):
        get_architecture('resnet18', 0)


def test_what_timm_cannot_build_is_explained() -> None:
    @timm.models.register_model
    def picky_for_test(pretrained: bool = False, **kwargs: object) -> torch.nn.Module:
        raise TypeError('this model sees three channels')

    try:
        with pytest.raises(ArchitectureError, match='13 input channels: this model sees three'):
            get_architecture('picky_for_test', 13)
    finally:
        timm.models._registry._model_entrypoints.pop('picky_for_test')
        timm.models._registry._module_to_models[__name__].discard('picky_for_test')


@pytest.mark.parametrize(
    ('architecture', 'head'),
    [
        ('resnet18', {'fc.weight', 'fc.bias'}),
        ('levit_128s', None),  # two heads with norms
        ('aimv2_large_patch14_224', {'head.weight', 'head.bias'}),  # timm builds it without classes
    ],
)
def test_the_head_is_what_the_headless_model_lacks(
    architecture: str, head: set[str] | None
) -> None:
    names = get_architecture(architecture).head
    assert names
    assert not names & get_architecture(architecture, 3).shapes.keys()
    assert head is None or names == head


def test_the_names_that_we_register_are_not_architectures() -> None:
    assert not [name for name in list_architectures() if name.startswith('geosane')]
    with pytest.raises(ArchitectureError, match="unknown architecture 'geosane_resnet18'"):
        check_architecture('geosane_resnet18')
