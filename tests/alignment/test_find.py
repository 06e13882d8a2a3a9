"""The groups of timm's architectures: what moves with them leaves the network's function alone."""

from collections.abc import Callable

import pytest
import timm
import torch
from timm.models.beit import Beit
from timm.models.densenet import DenseNet
from timm.models.sequencer import Sequencer2d
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from torchgeo_geosane.alignment import (
    Axis,
    PermutedSource,
    RandomPlaces,
    find_groups,
    groups_of,
    groups_of_module,
)
from torchgeo_geosane.alignment.groups import Group, Part, Use
from torchgeo_geosane.alignment.trace import OUTPUT, Trace, trace
from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.foundry.source import StateDictSource

# Of each kind of coupling one: residual streams, depthwise layers with squeeze-and-excitation,
# attention heads with tables, patches that are merged, concatenations, grouped convolutions.
ARCHITECTURES = {
    'test_resnet': ('conv1.0.weight', 'layer2.0.bn2.running_var', 'layer4.0.conv1.weight'),
    'test_efficientnet': ('conv_stem.weight', 'blocks.4.0.se.conv_expand.bias', 'conv_head.weight'),
    'test_vit': ('pos_embed', 'blocks.0.attn.qkv.bias', 'blocks.1.mlp.fc2.weight'),
    'test_convnext': ('stem.0.weight', 'stages.1.downsample.1.weight', 'head.norm.weight'),
    'test_nfnet': ('stem.conv1.weight',),
    'regnety_002': ('s4.b7.conv2.conv.weight', 's1.b1.se.fc1.bias', 's4.b7.conv3.conv.weight'),
}


def trained(architecture: str, num_classes: int = 0) -> nn.Module:
    """A network in which no two values are alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = timm.create_model(architecture, num_classes=num_classes).double().eval()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and (tensor.ndim < 2 or 'table' in name):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return model


@torch.inference_mode()
def run(model: nn.Module) -> Tensor:
    size = model.pretrained_cfg['input_size']  # type: ignore[index]
    return model(torch.randn(1, *size, generator=torch.Generator().manual_seed(2)).double())


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_the_function_stays_the_same(architecture: str) -> None:
    groups = find_groups(architecture)
    model = trained(architecture)
    before, expected = dict(model.state_dict()), run(model)
    places = RandomPlaces(groups, seed=3)
    source = PermutedSource(StateDictSource(before), places)
    after = {name: source.read(name) for name in source.names() if name in before}
    model.load_state_dict(after)
    assert not groups.left_out
    moved = {
        name
        for name, tensor in trained(architecture).state_dict().items()
        if not tensor.equal(after[name])
    }
    assert moved >= {*ARCHITECTURES[architecture]}
    order = places[OUTPUT]
    assert not order.equal(torch.arange(len(order)))
    difference = run(model) - expected[:, order]
    assert difference.abs().max() < 1e-8 * expected.abs().max()


def test_a_head_follows_and_classes_keep_their_order() -> None:
    model = trained('test_resnet', num_classes=7)
    state, expected = model.state_dict(), run(model)
    shapes = {name: tuple(t.shape) for name, t in state.items() if t.is_floating_point()}
    groups = groups_of(shapes, 'test_resnet')
    source = PermutedSource(StateDictSource(state), RandomPlaces(groups, seed=3))
    model.load_state_dict({name: source.read(name) for name in source.names()})
    assert ('fc.weight', 1) in groups.by_axis
    assert ('fc.weight', 0) not in groups.by_axis
    assert (run(model) - expected).abs().max() < 1e-8 * expected.abs().max()


def test_other_tensors_than_timms_are_judged_by_their_names() -> None:
    """A decoder looks at an encoder's residual streams: they stay, what lies inside a block moves."""
    state = trained('test_resnet').state_dict()
    shapes = {f'encoder.{n}': tuple(t.shape) for n, t in state.items() if t.is_floating_point()}
    names = {name for name, _ in groups_of(shapes, 'test_resnet').by_axis}
    assert 'encoder.layer1.0.conv1.weight' in names
    assert 'encoder.layer1.0.bn3.weight' not in names
    assert groups_of(shapes, None).count == groups_of(shapes, 'test_resnet').count > 0


def swin() -> nn.Module:
    """Patches that are merged; windows, and a table of their heads."""
    return SwinTransformer(
        img_size=64, embed_dim=8, depths=(2, 2), num_heads=(2, 4), window_size=4, num_classes=0
    )


def densenet() -> nn.Module:
    """Units of many layers one after the other."""
    return DenseNet(growth_rate=4, block_config=(2, 2), num_classes=0)


@pytest.mark.parametrize(
    ('build', 'moving'),
    [
        (
            swin,
            {('layers.1.downsample.norm.weight', 0), ('layers.1.downsample.reduction.weight', 1)},
        ),
        (
            densenet,
            {('features.denseblock1.denselayer1.conv2.weight', 0), ('features.norm5.bias', 0)},
        ),
    ],
)
def test_modules(build: Callable[[], nn.Module], moving: set[Axis]) -> None:
    with torch.random.fork_rng(devices=[]):
        model = build()
    groups = groups_of_module(model, (3, 64, 64))
    assert moving <= groups.by_axis.keys()
    assert not groups.left_out


@pytest.mark.parametrize('classes', [2, 3])
def test_classes_keep_their_order(classes: int) -> None:
    """Also where there are so few that an order drawn at random is often the one they have."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, classes, 1))
    groups = groups_of_module(model, (3, 4, 4), keep_output=True)
    assert [group.name for group in groups.groups] == ['0.weight']
    assert not groups.left_out, 'they are no units'
    (output,) = (g for g in trace(model, torch.ones(1, 3, 4, 4)).groups if OUTPUT in g.axes)
    free = groups_of_module(model, (3, 4, 4))
    assert {group.name for group in free.groups} == {'0.weight', output.name}


def test_what_cannot_be_traced_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError('no way')

    monkeypatch.setattr('torchgeo_geosane.alignment.find.trace', refuse)
    groups = find_groups.__wrapped__('test_resnet')
    assert groups.count == 0
    assert groups.left_out == {'': 'the network cannot be traced: no way'}


@pytest.mark.parametrize('bound', ['_MOST_USES', '_MOST_PLACES'])
def test_groups_without_end_are_left_out_and_said(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = find_groups('test_resnet')
    monkeypatch.setattr(f'torchgeo_geosane.alignment.trace.{bound}', 3)
    groups = find_groups.__wrapped__('test_resnet')
    assert len(groups.groups) < len(whole.groups)
    assert {*groups.left_out} <= {name for name, _ in whole.by_axis}
    assert all('finds no end' in reason for reason in groups.left_out.values())


@pytest.mark.parametrize(
    ('architecture', 'reason', 'moving'),
    [
        # Its modulation cuts channels in a way that torch-pruning follows for ever.
        ('focalnet_tiny_lrf', 'finds no end', 'layers.0.blocks.0.mlp.fc1.weight'),
        # Its gate takes the channels for pixels: one more place each turn.
        ('ecaresnetlight', 'finds no end', 'layer1.0.conv1.weight'),
    ],
)
def test_what_torch_pruning_cannot_follow_leaves_the_rest(
    architecture: str, reason: str, moving: str
) -> None:
    groups = find_groups(architecture)
    assert reason in ''.join(groups.left_out.values())
    assert '' not in groups.left_out
    assert (moving, 0) in groups.by_axis


def test_so_does_what_makes_torch_pruning_fail() -> None:
    """Its LSTMs run along rows and columns."""
    with torch.random.fork_rng(devices=[]):
        model = Sequencer2d(
            img_size=32,
            num_classes=0,
            layers=(1, 1),
            patch_sizes=(4, 2),
            embed_dims=(8, 16),
            hidden_sizes=(4, 8),
            mlp_ratios=(2.0, 2.0),
        )
    groups = groups_of_module(model, (3, 32, 32))
    assert groups.left_out == {
        f'stages.{stage}.blocks.0.mlp_channels.fc2.weight': (
            'its units cannot be followed: list index out of range'
        )
        for stage in (1, 0)
    }
    assert {group.name for group in groups.groups} == {
        f'stages.{stage}.blocks.0.mlp_channels.fc1.weight' for stage in (0, 1)
    }


def test_what_is_traced_into_attention_is_said() -> None:
    """BEiT's biases are joined where it runs: tracing takes all that adds to them for one."""
    with torch.random.fork_rng(devices=[]):
        model = Beit(img_size=32, patch_size=16, embed_dim=16, depth=1, num_heads=2, num_classes=0)
    groups = groups_of_module(model, (3, 32, 32))
    assert groups.left_out == {'cls_token': 'tracing takes its units for those of another layer'}
    assert ('blocks.0.attn.qkv.weight', 0) in groups.by_axis


def test_a_trace_that_contradicts_the_shapes_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest moves all the same."""

    def lie(model: nn.Module, image: Tensor) -> Trace:
        first, *others = trace(model, image).groups
        (part,) = first.parts
        beyond = [Use(use.tensor, use.dim, use.size, use.places + 1) for use in part.uses]
        return Trace([Group(first.name, (Part(tuple(beyond)),)), *others], {})

    whole = find_groups('test_resnet')
    monkeypatch.setattr('torchgeo_geosane.alignment.find.trace', lie)
    groups = find_groups.__wrapped__('test_resnet')
    assert len(groups.groups) == len(whole.groups) - 1
    assert list(groups.left_out.values()) == ['what tracing says of it contradicts the shapes']


def test_unknown_architecture() -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'resnet50'"):
        find_groups('resnet5O')


def test_groups_of_a_model_that_lacks_a_tensor() -> None:
    groups = find_groups('test_efficientnet')
    names = {name for name, _ in groups.by_axis} - {'conv_head.weight', 'bn2.weight', ''}
    assert {name for name, _ in groups.within(names).by_axis} == names


def test_global_random_state_is_untouched() -> None:
    before = torch.random.get_rng_state()
    find_groups.__wrapped__('test_resnet')
    assert torch.random.get_rng_state().equal(before)
