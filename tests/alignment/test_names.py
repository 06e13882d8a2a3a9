"""Hidden units change places; what the network computes does not."""

import copy
import itertools
from collections import OrderedDict
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import GroupNormAct
from timm.models.metaformer import MetaFormer, SepConv
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from torchgeo_geosane.alignment import Groups, PermutedSource, RandomPlaces
from torchgeo_geosane.alignment.names import find_hidden_units
from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.foundry.source import StateDictSource


class DoubleConvUNet(nn.Module):
    """Two levels with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = self._double(3, 8)
        self.outer = self._double(8, 8)
        self.decoder = self._double(16, 8)
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)

    @staticmethod
    def _double(first: int, last: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels in (first, last):
            layers += [nn.Conv2d(channels, last, 3, padding=1), nn.BatchNorm2d(last), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.inner(x)
        coarse = self.up(self.outer(nn.functional.max_pool2d(fine, 2)))
        return self.decoder(torch.cat([fine, coarse], dim=1))


class LeNet(nn.Module):
    """One chain of layers with names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 6 * 6, 20)
        self.fc2 = nn.Linear(20, 12)
        self.fc3 = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x[..., :32, :32]).relu()).relu()
        x = nn.functional.adaptive_max_pool2d(x, 6).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


class ResidualMLP(nn.Module):
    """A chain by its names, with a connection that has none."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x[:, 0]).relu()
        return self.fc3(x + self.fc2(x).relu())


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 5)
    )


def bottleneck() -> nn.Module:
    attention = {'attn_layer': 'se'}
    return ResNet(
        Bottleneck, (1, 1, 1, 1), channels=(4, 8, 8, 8), num_classes=4, block_args=attention
    )


def swin() -> nn.Module:
    return SwinTransformer(
        img_size=64, patch_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 4), window_size=4
    )


def trained(model: nn.Module) -> nn.Module:
    """Every tensor is random: zeros and ones would hide that a norm or bias stayed behind."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and (tensor.ndim < 2 or 'table' in name):
            values = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(values + 0.5 if 'var' in name or 'weight' in name else values - 0.5)
    return model.double().eval()


def find(model: nn.Module, heads: dict[int, int] | None = None) -> Groups:
    state = model.state_dict()
    shapes = {name: tuple(t.shape) for name, t in state.items() if t.is_floating_point()}
    return find_hidden_units(shapes, heads)


def permute(model: nn.Module, hidden: Groups, seed: int) -> nn.Module:
    source = PermutedSource(StateDictSource(model.state_dict()), RandomPlaces(hidden, seed))
    other = copy.deepcopy(model)
    other.load_state_dict({name: source.read(name) for name in source.names()})
    return other


def changed(model: nn.Module, other: nn.Module) -> set[str]:
    before, after = model.state_dict(), other.state_dict()
    return {name for name in before if not before[name].equal(after[name])}


@torch.inference_mode()
def difference(model: nn.Module, other: nn.Module, size: int = 64) -> float:
    """Relative difference of the outputs."""
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1)).double()
    expected, found = model(images), other(images)
    return float((found - expected).norm() / expected.norm())


# What must move in each: some of the tensors that take part.
TIMM = {
    'test_resnet': ['layer1.0.conv1.weight', 'layer1.0.bn1.running_var', 'layer1.0.conv2.weight'],
    'resnet18': ['layer4.1.conv1.weight', 'layer4.1.bn1.bias', 'layer4.1.conv2.weight'],
    'mobilenetv2_035': ['blocks.1.0.conv_pw.weight', 'blocks.1.0.conv_dw.weight'],
    'test_efficientnet': [
        *('blocks.4.0.conv_dw.weight', 'blocks.4.0.se.conv_reduce.weight'),
        *('blocks.4.0.se.conv_expand.bias', 'blocks.4.0.conv_pwl.weight'),
        'blocks.1.0.conv_exp.weight',
    ],
    'test_vit': [
        *('blocks.0.attn.qkv.weight', 'blocks.0.attn.qkv.bias', 'blocks.0.attn.proj.weight'),
        *('blocks.0.mlp.fc1.bias', 'blocks.0.mlp.fc2.weight'),
    ],
    'test_convnext': ['stages.0.blocks.0.mlp.fc1.weight', 'stages.0.blocks.0.mlp.fc2.weight'],
}


@pytest.mark.parametrize('architecture', TIMM)
def test_timms_networks_compute_the_same(architecture: str) -> None:
    size = timm.get_pretrained_cfg(architecture).input_size[-1] if 'vit' in architecture else 64
    model = trained(timm.create_model(architecture))
    other = permute(
        model, find(model, dict(get_architecture(architecture).attention_heads)), seed=3
    )
    assert changed(model, other) >= {*TIMM[architecture]}
    assert difference(model, other, size) < 1e-10


OWN: dict[str, tuple[Any, set[str]]] = {
    'mlp': (mlp, {'0.weight', '0.bias', '2.weight', '2.bias', '4.weight'}),
    'chain': (
        LeNet,
        {
            *('conv1.weight', 'conv1.bias', 'conv2.weight'),
            *('fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias', 'fc3.weight'),
        },
    ),
    'unet': (
        DoubleConvUNet,
        {
            f'{block}.{tensor}'
            for block in ('inner', 'outer', 'decoder')
            for tensor in ('0.weight', '0.bias', '3.weight')
        }
        | {
            f'{block}.1.{tensor}'
            for block in ('inner', 'outer', 'decoder')
            for tensor in ('weight', 'bias', 'running_mean', 'running_var')
        },
    ),
    'residual connection without a name': (ResidualMLP, set()),
}


@pytest.mark.parametrize('name', OWN)
def test_exactly_what_may_move_moves(name: str) -> None:
    build, moving = OWN[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = trained(build())
    other = permute(model, find(model), seed=3)
    assert changed(model, other) == moving
    assert difference(model, other) < 1e-10


def test_window_attention_takes_its_table_along() -> None:
    """Swin's heads are known from its tables."""
    model = trained(swin())
    other = permute(model, find(model), seed=3)
    moved = changed(model, other)
    assert 'layers.1.blocks.1.attn.proj.weight' in moved
    assert any(name.endswith('relative_position_bias_table') for name in moved)
    assert difference(model, other) < 1e-10


def test_bottlenecks_move_at_both_places() -> None:
    model = trained(bottleneck())
    other = permute(model, find(model), seed=3)
    tensors = ('conv1.weight', 'bn1.running_mean', 'conv2.weight', 'bn2.bias', 'conv3.weight')
    assert {f'layer4.0.{tensor}' for tensor in tensors} <= changed(model, other)
    assert 'layer4.0.se.fc1.weight' in changed(model, other)
    assert 'layer4.0.bn3.weight' not in changed(model, other)
    assert difference(model, other) < 1e-10


def trunk() -> nn.Module:
    """A VGG in small."""
    layers: list[nn.Module] = []
    for first, last in itertools.pairwise((3, 8, 8, 16, 16, 16)):
        layers += [nn.Conv2d(first, last, 3), nn.ReLU(), nn.MaxPool2d(2, 1)]
    head = nn.Sequential(nn.Flatten(), nn.Linear(16 * 49, 32), nn.ReLU(), nn.Linear(32, 4))
    pool = nn.AdaptiveMaxPool2d(7)
    parts = {'features': nn.Sequential(*layers), 'pool': pool, 'classifier': head}
    return nn.Sequential(OrderedDict(parts))


def test_a_trunk_moves_but_not_as_an_encoder() -> None:
    """A decoder may look at any of an encoder's layers."""
    with torch.random.fork_rng(devices=[]):
        model = trained(trunk())
    other = permute(model, find(model), seed=3)
    moving = {'features.0.weight', 'features.9.bias', 'features.12.weight', 'classifier.1.bias'}
    assert moving <= changed(model, other)
    assert difference(model, other) < 1e-10
    shapes = {f'encoder.{name}': tuple(t.shape) for name, t in model.state_dict().items()}
    decoder = {'decoder.0.weight': (16, 16, 3, 3)}
    found = find_hidden_units(shapes | decoder)
    assert {name.split('.')[1] for name, _ in found.by_axis} == {'classifier'}


def grouped() -> nn.Module:
    return ResNet(Bottleneck, (1, 1, 1, 1), cardinality=4, base_width=4, num_classes=4)


def group_normed() -> nn.Module:
    return ResNet(BasicBlock, (1, 1, 1, 1), norm_layer=GroupNormAct, num_classes=4)


@pytest.mark.parametrize('build', [grouped, group_normed])
def test_what_groups_channels_stays(build: Any) -> None:
    assert find(build()).groups == ()


def test_a_separable_convolution_is_no_mlp() -> None:
    model = MetaFormer(depths=(1,), dims=(8,), token_mixers=SepConv, num_classes=4)
    names = {name for name, _ in find(model).by_axis}
    assert 'head.fc.fc1.weight' in names
    assert not any('token_mixer' in name for name in names)


def test_connections_that_add_to_some_channels_stay() -> None:
    """ReXNet is one chain by its names, and of other widths in every layer."""
    with torch.device('meta'):
        model = timm.create_model('rexnet_100')
    assert all('.se.fc' in name or '.se.bn' in name for name, _ in find(model).by_axis)


def test_several_layers_in_the_place_of_one_stay() -> None:
    """MixNet's depthwise convolutions of several sizes."""
    with torch.device('meta'):
        model = timm.create_model('mixnet_s')
    mixed = [name for name in model.state_dict() if name.endswith('conv_dw.1.weight')]
    blocks = {name.removesuffix('.conv_dw.1.weight') for name in mixed}
    moving = {name.rpartition('.conv_pwl')[0] for name, _ in find(model).by_axis}
    assert blocks
    assert not blocks & moving


def test_attention_of_unknown_heads_stays() -> None:
    names = {name for name, _ in find(timm.create_model('test_vit')).by_axis}
    assert any('mlp' in name for name in names)
    assert not any('attn' in name for name in names)


@pytest.fixture(scope='module')
def vit() -> nn.Module:
    return trained(timm.create_model('test_vit', img_size=32))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_order_will_do(vit: nn.Module, seed: int) -> None:
    other = permute(vit, find(vit, dict(get_architecture('test_vit').attention_heads)), seed)
    assert difference(vit, other, 32) < 1e-10


def test_rows_are_those_of_the_whole_tensor() -> None:
    model = trained(timm.create_model('test_resnet'))
    hidden = find(model)
    state = model.state_dict()
    whole = PermutedSource(StateDictSource(state), RandomPlaces(hidden, 5))
    for name in ('layer1.0.conv1.weight', 'layer1.0.conv2.weight', 'conv1.0.weight', 'fc.bias'):
        expected = whole.read(name).reshape(state[name].shape[0], -1)
        rows = PermutedSource(StateDictSource(state), RandomPlaces(hidden, 5)).rows(name, 2, 5)
        assert rows.equal(expected[2:5])


def test_seeds_give_orders() -> None:
    model = trained(timm.create_model('test_resnet'))
    hidden, source = find(model), StateDictSource(model.state_dict())
    first, again, other = (
        PermutedSource(source, RandomPlaces(hidden, seed)).read('layer1.0.conv1.weight')
        for seed in (1, 1, 2)
    )
    assert first.equal(again)
    assert not first.equal(other)
