"""TerraTorch finds our backbones, and what it builds holds the generated tensors. CI runs this with TerraTorch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from specs import MakeSpec
from torch import nn

pytest.importorskip('terratorch', reason='CI installs it after the other tests')

from terratorch.cli_tools import build_lightning_cli
from terratorch.models import EncoderDecoderFactory, SMPModelFactory
from terratorch.registry import BACKBONE_REGISTRY
from terratorch.utils import InvalidModelError

from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers import terratorch as door
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.spec import Spec

ROOT = Path(__file__).parents[2]


def assert_holds(backbone: nn.Module, spec: Spec) -> None:
    generated = {name.replace('.', '_'): t for name, t in generate(spec).tensors.items()}
    held = {
        name.removeprefix('model.').replace('.', '_'): tensor
        for name, tensor in backbone.state_dict().items()
    }
    assert len(held) > 0.9 * len(generated)
    for name, tensor in held.items():
        assert torch.equal(tensor, generated[name]), name


def test_names() -> None:
    assert list(BACKBONE_REGISTRY.keys())[-1] == 'geosane'
    listed = list(BACKBONE_REGISTRY)
    assert 'geosane_resnet50.sentinel2_all' in listed
    assert len(listed) == len(BACKBONE_REGISTRY)
    assert 'geosane_convnext_tiny.sentinel2_6&seed=7' in BACKBONE_REGISTRY
    assert 'geosane_convnext_tiny.sentinel2' not in BACKBONE_REGISTRY
    assert 'resnet18' in BACKBONE_REGISTRY
    assert BACKBONE_REGISTRY.find_class('geosane_resnet18').__name__ == 'geosane_resnet18'


def test_registering_twice_does_no_harm() -> None:
    before = list(BACKBONE_REGISTRY.keys())
    door.register()
    door.register()
    assert list(BACKBONE_REGISTRY.keys()) == before


_THEIRS_FIRST = """
import terratorch
import torchgeo_geosane
assert 'geosane_resnet18.rgb' in terratorch.BACKBONE_REGISTRY
"""
_OURS_ALONE = """
import sys, torchgeo_geosane
assert 'terratorch' not in sys.modules
"""


@pytest.mark.parametrize('program', [_THEIRS_FIRST, _OURS_ALONE])
def test_in_either_order(program: str) -> None:
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# A backbone's blocks for four maps, where it is a plain ViT.
_VIT = {'backbone_out_indices': [2, 5, 8, 11], 'necks': [{'name': 'LearnedInterpolateToPyramidal'}]}


@pytest.mark.parametrize(
    ('architecture', 'stages'),
    [('resnet18', 5), ('convnext_atto', 4), ('vit_tiny_patch16_224', 4)],
)
@pytest.mark.parametrize('decoder', ['UNetDecoder', 'UperNetDecoder', 'IdentityDecoder'])
def test_models(
    make_spec: MakeSpec, shared_cache: Path, architecture: str, stages: int, decoder: str
) -> None:
    spec = make_spec(architecture, 'sentinel2_6', foundry='matrices')
    options: dict[str, Any] = dict(_VIT) if architecture.startswith('vit') else {}
    if decoder == 'UNetDecoder':
        options['decoder_channels'] = [16] * stages
    dense = decoder != 'IdentityDecoder'
    model = EncoderDecoderFactory().build_model(
        task='segmentation' if dense else 'classification',
        backbone=timm_name(spec),
        backbone_pretrained=True,
        decoder=decoder,
        num_classes=3,
        **options,
    )
    assert_holds(model.encoder, spec)
    assert model.encoder.pretrained_cfg['origin_url'] == spec.url
    seen = model(torch.rand(2, 6, 224, 224)).output
    assert seen.shape == ((2, 3, 224, 224) if dense else (2, 3))


def test_timms_source_has_them_too(make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert_holds(BACKBONE_REGISTRY.build(f'timm_{timm_name(spec)}', pretrained=True), spec)


@pytest.mark.filterwarnings("ignore:For 'tu-':UserWarning")
def test_models_of_smp(make_spec: MakeSpec) -> None:
    spec = make_spec('test_resnet', 'sentinel2_6')
    model = SMPModelFactory().build_model(
        task='segmentation',
        backbone=f'tu-{timm_name(spec)}',
        model='Unet',
        bands=list(range(6)),
        in_channels=6,
        num_classes=3,
    )
    assert_holds(model.smp_model.encoder.model, spec)


def test_without_weights_nothing_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('torchgeo_geosane.providers.timm.generate', None)
    backbone = BACKBONE_REGISTRY.build('geosane_test_resnet.sentinel2_6', pretrained=False)
    assert backbone(torch.rand(1, 6, 64, 64))[0].shape[0] == 1


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('geosane_resnet18.sentinel2', "unknown sensor 'sentinel2': did you mean"),
        ('geosane_resnet81', "unknown architecture 'resnet81': did you mean"),
        ('geosane_resnet18.rgb&sead=1', "unknown parameter 'sead'"),
    ],
)
def test_names_that_stand_for_nothing(name: str, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        BACKBONE_REGISTRY.build(name, pretrained=True)


def test_channels_that_contradict(make_spec: MakeSpec) -> None:
    with pytest.raises(ArchitectureError, match='asked for 3 input channels'):
        BACKBONE_REGISTRY.build(timm_name(make_spec()), pretrained=True, in_chans=3)


def test_the_example(make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains for a step on the scene that it names, from the weights that it is given."""
    monkeypatch.chdir(ROOT)
    spec = make_spec('test_resnet', 'sentinel2_all', foundry='matrices')
    example = ROOT / 'examples' / 'terratorch.yaml'
    assert 'backbone: geosane_' in example.read_text()
    cli = build_lightning_cli(
        [
            'fit',
            f'--config={example}',
            f'--model.init_args.model_args.backbone={timm_name(spec)}',
            '--data.init_args.length=4',
            '--data.init_args.patch_size=64',
            '--trainer.max_epochs=1',
            '--trainer.accelerator=cpu',
            '--trainer.limit_train_batches=2',
            '--trainer.limit_val_batches=2',
            '--trainer.enable_progress_bar=false',
            f'--trainer.logger.init_args.save_dir={tmp_path}',
        ]
    )
    assert cli.trainer.global_step > 0
    held = cli.model.model.encoder.state_dict()
    stem = generate(spec).tensors['conv1.0.weight']
    trained = next(tensor for name, tensor in held.items() if tensor.shape == stem.shape)
    assert torch.nn.functional.cosine_similarity(trained.flatten(), stem.flatten(), dim=0) > 0.9
