from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.models import FeatureEnsemble, Member, PooledEnsemble

CHANNELS = {'resnet18': (0, 1, 2), 'test_vit': (2, 1), 'convnext_atto': (3,)}


def extractor(name: str, **options: Any) -> Member:
    torch.manual_seed(0)
    channels = CHANNELS[name]
    sizes = {'dynamic_img_size': True} if 'vit' in name else {}
    model = timm.create_model(name, features_only=True, in_chans=len(channels), **sizes, **options)
    return Member(name, model, channels)


def classifier(name: str, **options: Any) -> Member:
    torch.manual_seed(0)
    channels = CHANNELS[name]
    sizes = {'dynamic_img_size': True} if 'vit' in name else {}
    options = {'num_classes': 0, 'in_chans': len(channels), **sizes, **options}
    return Member(name, timm.create_model(name, **options), channels)


def images(size: int = 64) -> Tensor:
    return torch.randn(2, 4, size, size, generator=torch.Generator().manual_seed(0))


def normalised(values: Tensor) -> Tensor:
    mean = values.mean(1, keepdim=True)
    return (values - mean) / (values.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()


def test_levels_hold_every_members_normalised_features() -> None:
    members = [extractor('resnet18'), extractor('convnext_atto')]
    ensemble = FeatureEnsemble(members).eval()
    found = ensemble(images())
    assert ensemble.feature_info.reduction() == [2, 4, 8, 16, 32]
    resnet = members[0].model.eval()(images()[:, [0, 1, 2]])
    convnext = members[1].model.eval()(images()[:, [3]])
    assert [level.shape[1] for level in found] == ensemble.feature_info.channels()
    # From stride 4 on both have maps of their own.
    for level, first, second in zip(found[1:], resnet[1:], convnext, strict=True):
        expected = torch.cat([normalised(first), normalised(second)], dim=1)
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-4)
    # At stride 2 the convnext's finest map is resized.
    assert found[0].shape == (2, 64 + 40, 32, 32)


def test_a_vit_gives_its_layers_in_order() -> None:
    members = [extractor('resnet18'), extractor('test_vit')]
    ensemble = FeatureEnsemble(members).eval()
    found = ensemble(images())
    vit = members[1].model.eval()(images()[:, [2, 1]])
    width = vit[0].shape[1]
    assert [level.shape[1] for level in found] == [c + width for c in (64, 64, 128, 256, 512)]
    for at, own in ((0, 64), (3, 256), (4, 512)):
        layer = vit[round(at * (len(vit) - 1) / 4)]
        resized = torch.nn.functional.interpolate(
            layer, found[at].shape[-2:], mode='bilinear', align_corners=False
        )
        torch.testing.assert_close(found[at][:, own:], normalised(resized), rtol=1e-3, atol=1e-3)
    assert [level.shape[-1] for level in found] == [32, 16, 8, 4, 2]


@pytest.mark.parametrize(
    ('options', 'widths'),
    [
        ({}, [104, 104, 208, 416, 832]),
        ({'reduce': 16}, [16] * 5),
        ({'join': 'mean'}, [64, 64, 128, 256, 512]),
        ({'join': 'mean', 'reduce': 8}, [8] * 5),
    ],
)
def test_ways_to_join(options: dict[str, Any], widths: list[int]) -> None:
    members = [extractor('resnet18'), extractor('convnext_atto')]
    ensemble = FeatureEnsemble(members, **options)
    assert ensemble.feature_info.channels() == widths
    assert [level.shape[1] for level in ensemble(images())] == widths


def test_levels_can_be_chosen() -> None:
    members = [extractor('resnet18'), extractor('convnext_atto')]
    ensemble = FeatureEnsemble(members, out_indices=(1, -1)).eval()
    assert ensemble.feature_info.reduction() == [4, 32]
    every = FeatureEnsemble(members).eval()(images())
    torch.testing.assert_close(ensemble(images()), [every[1], every[4]])


@pytest.mark.parametrize('kind', ['features', 'pooled'])
def test_frozen_members_stay_whoever_trains(kind: str) -> None:
    if kind == 'features':
        ensemble: nn.Module = FeatureEnsemble([extractor('resnet18'), extractor('test_vit')])
    else:
        ensemble = PooledEnsemble([classifier('resnet18'), classifier('test_vit')], 3)
    # TerraTorch's wrapper takes the submodules and `forward` alone.
    wrapper = nn.Module()
    for name, child in ensemble.named_children():
        wrapper.add_module(name, child)
    wrapper.train()
    before = {name: t.clone() for name, t in ensemble.members.state_dict().items()}
    ensemble.train()(images())
    after = ensemble.members.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert not any(p.requires_grad for p in ensemble.members.parameters())


def test_trainable_members_learn() -> None:
    members = [extractor('resnet18'), extractor('convnext_atto')]
    ensemble = FeatureEnsemble(members, trainable=True).train()
    sum(level.square().mean() for level in ensemble(images())).backward()
    assert all(p.grad is not None for p in members[0].model.parameters())


def test_a_classifier_as_timm_has_them() -> None:
    members = [classifier('resnet18'), classifier('test_vit', global_pool='token')]
    ensemble = PooledEnsemble(members, 5).eval()
    assert ensemble(images()).shape == (2, 5)
    features = ensemble.forward_features(images())
    assert features.shape == (2, ensemble.num_features) == (2, 512 + 64)
    expected = normalised(members[1].model(images()[:, [2, 1]]))
    torch.testing.assert_close(features[:, 512:], expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ensemble.forward_head(features), ensemble(images()))
    ensemble.reset_classifier(0)
    torch.testing.assert_close(ensemble(images()), features)
    ensemble.reset_classifier(7)
    assert ensemble.get_classifier().out_features == 7


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda a, b: FeatureEnsemble([a]), 'two members or more, not 1'),
        (lambda a, b: FeatureEnsemble([a, a]), 'is in the ensemble twice'),
        (lambda a, b: FeatureEnsemble([a, b], reduce=0), 'leaves no channel'),
        (lambda a, b: FeatureEnsemble([a, b], join='sum'), "unknown join 'sum'"),
        (lambda a, b: FeatureEnsemble([a, b], out_indices=[9]), 'has 5 levels'),
        (
            lambda a, b: FeatureEnsemble([a, Member('x', FeatureEnsemble([a, b]), (0, 1, 2))]),
            'is an ensemble itself',
        ),
        (
            lambda a, b: FeatureEnsemble([a, Member('x', nn.Linear(1, 1), (0,))]),
            'is no feature extractor',
        ),
    ],
)
def test_what_is_no_ensemble(make: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        make(extractor('resnet18'), extractor('convnext_atto'))


class Tokens(nn.Module):
    """An extractor that says where its maps would be, and gives class tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_info = extractor('convnext_atto').model.feature_info

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images.mean((2, 3)).expand(-1, width) for width in self.feature_info.channels()]


def test_members_that_give_tokens_are_named() -> None:
    ensemble = FeatureEnsemble([extractor('resnet18'), Member('tokens', Tokens(), (3,))])
    with pytest.raises(ArchitectureError, match=r"'tokens' gives values of shape \[2, 40\]"):
        ensemble(images())
    unpooled = classifier('test_vit', global_pool='')
    with pytest.raises(ArchitectureError, match='or another global_pool'):
        PooledEnsemble([classifier('resnet18'), unpooled], 3)(images())
