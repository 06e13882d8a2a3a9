import subprocess
import sys
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from specs import MakeSpec
from torch import nn

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import ArchitectureError, SensorError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers import timm as door
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.spec import Spec

# One of every way in which timm wraps, renames or resamples.
FAMILIES = ['test_resnet', 'test_convnext', 'test_vit', 'test_efficientnet', 'test_byobnet']


def assert_holds(model: nn.Module, spec: Spec) -> None:
    loaded = model.state_dict()
    for name, tensor in generate(spec).tensors.items():
        assert torch.equal(loaded[name], tensor), name


@pytest.mark.parametrize('architecture', FAMILIES)
def test_a_name_builds_the_model_with_generated_weights(
    make_spec: MakeSpec, architecture: str
) -> None:
    spec = make_spec(architecture, 'sentinel2_all[B8A,B4]')
    model = timm.create_model(timm_name(spec), pretrained=True, num_classes=7)
    assert_holds(model, spec)
    assert model(torch.zeros(1, 2, 96, 96)).shape == (1, 7)
    assert model.pretrained_cfg['input_size'][0] == 2
    assert model.pretrained_cfg['mean'] == spec.target.mean
    # Nothing holds the weights a second time.
    assert not model.pretrained_cfg.get('state_dict')


def test_without_pretrained_nothing_is_generated(make_spec: MakeSpec, monkeypatch: Any) -> None:
    monkeypatch.setattr(door, 'generate', None)
    model = timm.create_model(timm_name(make_spec('test_resnet', 'sentinel2_all')))
    assert model.conv1[0].in_channels == 13
    assert timm.create_model('geosane_test_resnet').conv1[0].in_channels == 3


@pytest.mark.parametrize('architecture', ['test_convnext', 'test_vit', 'test_resnet'])
def test_feature_extractors(make_spec: MakeSpec, architecture: str) -> None:
    spec = make_spec(architecture, 'sentinel1_grd')
    model = timm.create_model(timm_name(spec), pretrained=True, features_only=True)
    generated = generate(spec).tensors
    by_shape = {tuple(tensor.shape) for tensor in generated.values()}
    for tensor in model.state_dict().values():
        assert tuple(tensor.shape) in by_shape
        assert any(torch.equal(tensor, other) for other in generated.values())
    assert len(model(torch.zeros(1, 2, 160, 160))) > 1


def test_another_image_size_is_resampled(make_spec: MakeSpec) -> None:
    spec = make_spec('test_vit', 'sentinel2_6')
    model = timm.create_model(timm_name(spec), pretrained=True, img_size=64)
    generated = generate(spec).tensors
    assert model.pos_embed.shape != generated['pos_embed'].shape
    assert torch.equal(model.blocks[0].attn.qkv.weight, generated['blocks.0.attn.qkv.weight'])


def test_channels_that_contradict_the_sensor(make_spec: MakeSpec) -> None:
    name = timm_name(make_spec('test_resnet', 'sentinel2_all'))
    with pytest.raises(ArchitectureError, match=r'13 bands .* 3 input channels; .*sentinel2_rgb'):
        timm.create_model(name, pretrained=True, in_chans=3)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('geosane_test_resnet.sentinel2', "unknown sensor 'sentinel2': did you mean"),
        ('geosane_test_resnet.rgb&sead=1', "unknown parameter 'sead'"),
        ('geosane_test_resnet.sentinel2_all[B4,B99]', "no band 'B99'"),
    ],
)
def test_tags_that_do_not_exist(name: str, message: str) -> None:
    with pytest.raises((SensorError, ValueError), match=message):
        timm.create_model(name, pretrained=True)


def test_a_loader_that_changes_a_tensor_is_noticed(make_spec: MakeSpec) -> None:
    spec = make_spec()
    tensors = generate(spec).tensors
    model = door.build(spec, tensors)
    with torch.no_grad():
        model.conv1[0].weight[0] += 1
    with pytest.raises(ArchitectureError, match=r"'conv1.0.weight' .* did not arrive"):
        door.check_loaded(model, tensors, spec)


def test_what_is_neither_generated_nor_head_is_said(make_spec: MakeSpec, caplog: Any) -> None:
    spec = make_spec()
    tensors = generate(spec).tensors
    model = door.build(spec, tensors)
    assert 'initialised' not in caplog.text
    del tensors['conv1.0.weight']
    door.check_loaded(model, tensors, spec)
    assert 'initialised, not generated: conv1.0.weight' in caplog.text


@pytest.mark.parametrize('architecture', ['convnext_atto', 'test_resnet'])
def test_encoders_of_smp(make_spec: MakeSpec, architecture: str) -> None:
    spec = make_spec(architecture, 'sentinel2_6')
    encoder = smp.encoders.get_encoder(
        f'tu-{timm_name(spec)}', in_channels=6, depth=3, weights=True
    )
    generated = {name.replace('.', '_'): t for name, t in generate(spec).tensors.items()}
    held = encoder.model.state_dict()
    assert len(held) > 10
    for name, tensor in held.items():
        plain = name.removeprefix('model.').replace('.', '_')
        assert torch.equal(tensor, generated[plain]), name


@pytest.mark.parametrize(
    'architecture',
    [
        'caformer_s18',  # a head of several layers
        'efficientformer_l1',  # two heads
        'levit_128s',  # two heads with norms
        'shvit_s1',
        'swin_tiny_patch4_window7_224',  # a loader that tells formats apart by the classifier's name
        'vgg11',  # a head of convolutions
        'vit_tiny_patch16_224',
        'regnety_002',
    ],
)
def test_heads_and_loaders_that_are_special(architecture: str, caplog: Any) -> None:
    # benchmarks/architectures.py takes all of timm's.
    with torch.random.fork_rng(devices=[]), torch.device('meta'):
        wanted = get_architecture(architecture, 13).shapes
        tensors = {name: torch.empty(t.shape, dtype=t.dtype) for name, t in wanted.items()}
        spec = Spec(architecture, 'sentinel2_all', ('random',))
        model = door.build(spec, tensors, num_classes=7)
    assert wanted.keys() <= model.state_dict().keys()
    assert 'initialised' not in caplog.text


_WITHOUT_TORCHGEO = """
import sys
sys.modules['torchgeo'] = None  # Importing it fails.
import timm
import torchgeo_geosane.providers.timm
model = timm.create_model('geosane_test_resnet.sentinel1_grd&prompt=random', pretrained=True)
print(model.conv1[0].weight.shape[1], any(name.startswith('torchgeo.') for name in sys.modules))
"""


def test_no_torchgeo_is_needed() -> None:
    done = subprocess.run(
        [sys.executable, '-c', _WITHOUT_TORCHGEO], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ['2', 'False'], done.stderr
