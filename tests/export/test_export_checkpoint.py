"""TorchGeo's tasks take our checkpoints, and what they load is what was generated."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from specs import MakeSpec
from torch import Tensor
from torchgeo.trainers import ClassificationTask, RegressionTask, SemanticSegmentationTask

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.export import export, provenance_of
from torchgeo_geosane.export.checkpoint import encoder_names
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import digest

pytestmark = [
    pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning'),
    pytest.mark.filterwarnings('ignore:`timm-` encoders are deprecated:DeprecationWarning'),
]


@pytest.mark.parametrize('task', [ClassificationTask, RegressionTask])
def test_tasks_with_timms_names(generated: Generated, tmp_path: Path, task: type) -> None:
    export(generated, tmp_path / 'w.ckpt')
    outputs = {ClassificationTask: 'num_classes', RegressionTask: 'num_outputs'}
    module = task(
        model='test_resnet',
        weights=str(tmp_path / 'w.ckpt'),
        in_channels=6,
        **{outputs[task]: 3},
    )
    loaded = module.model.state_dict()
    assert set(loaded) - set(generated.tensors) == {'fc.weight', 'fc.bias'}
    assert_loaded(generated.tensors, loaded)


@pytest.mark.parametrize(
    ('backbone', 'architecture'),
    [('resnet18', 'resnet18'), ('timm-efficientnet-b0', 'tf_efficientnet_b0')],
)
def test_encoders_with_timms_names(
    backbone: str, architecture: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    generated = generate(make_spec(architecture))
    export(generated, tmp_path / 'w.ckpt')
    encoder = segmentation(backbone, tmp_path / 'w.ckpt').model.encoder
    assert_loaded(generated.tensors, encoder.state_dict())


# A renamed module, a dropped norm, nothing renamed, a dropped last convolution.
@pytest.mark.parametrize(
    ('architecture', 'left_out'),
    [
        ('test_convnext', {'head.norm.weight', 'head.norm.bias'}),
        ('test_resnet', set()),
        ('convnext_atto', {'head.norm.weight', 'head.norm.bias'}),
        ('regnety_002', set()),
        (
            'mobilenetv2_035',
            {'conv_head.weight'}
            | {f'bn2.{name}' for name in ('weight', 'bias', 'running_mean', 'running_var')}
            | {'bn2.num_batches_tracked'},
        ),
    ],
)
def test_tu_encoders(
    architecture: str, left_out: set[str], make_spec: MakeSpec, tmp_path: Path
) -> None:
    generated = generate(make_spec(architecture, 'sentinel2_4'))
    path = tmp_path / 'w.ckpt'
    assert set(export(generated, path, 'torchgeo-tu')) == left_out

    encoder = segmentation(f'tu-{architecture}', path, in_channels=4).model.encoder
    names = encoder_names(architecture, 4)
    assert names.keys() == encoder.state_dict().keys()
    assert_loaded(
        {name: generated.tensors[ours] for name, ours in names.items()}, encoder.state_dict()
    )
    assert set(names.values()) == generated.tensors.keys() - left_out
    assert provenance_of(path).coverage.keys() == set(names.values())


@pytest.mark.filterwarnings("ignore:For 'tu-':UserWarning")
@pytest.mark.parametrize(
    ('model', 'architecture'),
    [
        ('unet', 'test_convnext'),
        ('deeplabv3+', 'test_resnet'),
        ('upernet', 'test_convnext'),
        ('segformer', 'test_resnet'),
    ],
)
def test_tu_encoders_compute_what_timm_computes(
    model: str, architecture: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    generated = generate(make_spec(architecture))
    export(generated, tmp_path / 'w.ckpt', 'torchgeo-tu')
    export(generated, tmp_path / 'w')
    ours, timms = (
        segmentation(backbone, weights, model=model).model.encoder.eval()
        for backbone, weights in (
            (f'tu-{architecture}', tmp_path / 'w.ckpt'),
            (f'tu-local-dir:{tmp_path / "w"}', True),
        )
    )
    image = torch.rand(1, 6, 64, 64)
    for one, other in zip(ours(image), timms(image), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_is_data(generated: Generated, tmp_path: Path) -> None:
    for form in ('torchgeo', 'torchgeo-tu'):
        export(generated, tmp_path / 'w.ckpt', form)
        torch.load(tmp_path / 'w.ckpt', weights_only=True)


@pytest.mark.parametrize(
    ('architecture', 'name', 'timms'),
    [
        ('test_convnext', 'model.stages_0.blocks.0.gamma', 'stages.0.blocks.0.gamma'),
        ('tresnet_m', 'model.body_conv1.bn.bias', 'body.conv1.bn.bias'),
        ('hiera_tiny_224', 'model.model.pos_embed', 'pos_embed'),
        ('legacy_xception', 'model.body.conv1.weight', 'conv1.weight'),
    ],
)
def test_names_of_every_kind_of_extractor(architecture: str, name: str, timms: str) -> None:
    names = encoder_names(architecture, 4)
    assert names[name] == timms
    assert len(set(names.values())) == len(names)
    shapes = get_architecture(architecture, 4).shapes
    encoder = smp.encoders.get_encoder(f'tu-{architecture}', in_channels=4, weights=None)
    for own, tensor in encoder.state_dict().items():
        assert shapes[names[own]].shape == tensor.shape


def test_the_global_random_state_is_untouched() -> None:
    before = torch.random.get_rng_state()
    encoder_names('test_convnext', 5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match='no such file'):
        provenance_of(tmp_path / 'none.ckpt')
    (tmp_path / 'text.ckpt').write_text('text')
    with pytest.raises(CacheError, match='not a readable checkpoint'):
        provenance_of(tmp_path / 'text.ckpt')
    for content in ({'state_dict': {}}, torch.zeros(2)):
        torch.save(content, tmp_path / 'other.ckpt')
        with pytest.raises(CacheError, match='carries no provenance'):
            provenance_of(tmp_path / 'other.ckpt')


def segmentation(
    backbone: str, weights: Path | bool, in_channels: int = 6, model: str = 'unet'
) -> SemanticSegmentationTask:
    return SemanticSegmentationTask(
        model=model,
        backbone=backbone,
        weights=weights if weights is True else str(weights),
        in_channels=in_channels,
        num_classes=2,
    )


def assert_loaded(wanted: dict[str, Tensor], loaded: dict[str, Tensor]) -> None:
    taken = {name: loaded[name] for name in wanted}
    assert digest(taken) == digest(wanted)
