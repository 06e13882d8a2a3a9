"""Invariant 2: detokenise(tokenise(x)) is x, bit for bit, for architectures of every family of timm."""

from itertools import groupby

import pytest
import timm
import torch
from torch import Tensor

from torchgeo_geosane.architectures import get_architecture, list_architectures
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.tokens import detokenise, tokenise

PARTS = 4
SAMPLE = [
    'resnet10t',
    'mobilenetv2_035',
    'mobilenetv3_small_050',
    'efficientnet_lite0',
    'tf_efficientnet_b0',
    'regnety_002',
    'convnext_atto',
    'vit_tiny_patch16_224',
    'deit_tiny_patch16_224',
    'swin_tiny_patch4_window7_224',
    'mobilevit_xxs',
    'efficientvit_b0',
    'fastvit_t8',
    'ghostnet_050',
    'lcnet_035',
    'tinynet_e',
    'hardcorenas_a',
    'edgenext_xx_small',
    'levit_128s',
    'poolformer_s12',
    'xcit_nano_12_p16_224',
    'crossvit_tiny_240',
]


def every_fourth_of_each_family() -> list[str]:
    """Those of a family, a module of timm, are alike; all of them would take minutes."""
    architectures = sorted(list_architectures(), key=family)
    return [name for _, members in groupby(architectures, family) for name in list(members)[::4]]


def family(architecture: str) -> str:
    return timm.model_entrypoint(architecture).__module__


@pytest.fixture
def _without_initialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random fills cost most of building on the meta device, and do not change a shape."""

    def keep(self: Tensor, *_: object, **__: object) -> Tensor:
        return self

    for name in ('normal_', 'uniform_', 'erfinv_'):
        monkeypatch.setattr(torch.Tensor, name, keep)


@pytest.mark.usefixtures('_without_initialisation')
@pytest.mark.parametrize('part', range(PARTS))
def test_shapes_in_every_family(part: int) -> None:
    for architecture in every_fourth_of_each_family()[part::PARTS]:
        target = get_architecture(architecture, 3).shapes
        shapes = {name: t.shape for name, t in target.items() if t.dtype.is_floating_point}
        layout = Layout.plan(shapes, 230)
        weights = [segment.weight for segment in layout.segments]
        biases = [segment.bias for segment in layout.segments if segment.bias]
        # No tensor is cut twice; every weight is cut; nothing else but biases is.
        assert len(set(weights + biases)) == len(weights + biases), architecture
        assert weights == [name for name in shapes if 'weight' in name], architecture
        reached = 0
        for segment in layout.segments:
            numbers = torch.Size(shapes[segment.weight]).numel()
            if segment.bias:
                assert shapes[segment.bias] == (segment.rows,), architecture
                numbers += segment.rows
            # The matrix holds exactly the tensors' entries, and its tokens exactly the matrix.
            assert segment.entries == numbers, architecture
            assert segment.start == reached, architecture
            assert (segment.stop - segment.start - 1) * 230 < segment.entries, architecture
            assert segment.entries <= (segment.stop - segment.start) * 230, architecture
            reached = segment.stop
        assert len(layout) == reached


@pytest.mark.parametrize('architecture', SAMPLE)
def test_values_of_a_sample_of_families(architecture: str) -> None:
    tensors = get_architecture(architecture, 3).initialise(0)
    generator = torch.Generator().manual_seed(0)
    # Initial values are full of equal ones and zeros: give every entry one of its own.
    tensors = {
        name: torch.randn(tensor.shape, generator=generator)
        for name, tensor in tensors.items()
        if tensor.is_floating_point()
    }
    tokens, layout = tokenise(tensors, 230)
    result = {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}
    detokenise(tokens, layout, result)
    assert {name for name, tensor in result.items() if not tensor.isnan().any()} == layout.names
    for name in layout.names:
        assert torch.equal(result[name], tensors[name]), name
