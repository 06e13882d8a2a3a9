import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningCLI
from specs import MakeSpec
from torch import Tensor
from torchgeo.models import ResNet18_Weights
from torchvision.models import ResNet18_Weights as TorchvisionWeights
from torchvision.models import resnet18
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork
from torchvision.ops.misc import FrozenBatchNorm2d

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import ArchitectureError, CacheError, GeoSANEError
from torchgeo_geosane.export import export
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.tasks import GeoSANEInstanceSegmentationTask, GeoSANEObjectDetectionTask
from torchgeo_geosane.tasks.pyramid import SimpleFeaturePyramid

pytestmark = pytest.mark.filterwarnings('ignore:.*self.log')


@pytest.fixture
def two_bands(make_spec: MakeSpec, shared_cache: Path) -> Any:
    """Specs of two-band weights whose activations keep their size."""

    def make(architecture: str) -> Spec:
        return make_spec(architecture, 'sentinel1_grd', foundry='matrices')

    return make


def build(model: str, **arguments: Any) -> Any:
    task_class = (
        GeoSANEInstanceSegmentationTask if model == 'mask-rcnn' else GeoSANEObjectDetectionTask
    )
    return task_class(model=model, **{'in_channels': 2, 'num_classes': 3, **arguments})


def assert_holds(task: Any, tensors: Mapping[str, Tensor], architecture: str) -> None:
    """Every tensor of the body, the stem too, is the generated one."""
    body = task.model.backbone.body.state_dict()
    assert body.keys() >= set(get_architecture(architecture).stems)
    assert len(body) > len(tensors) / 2
    for name, tensor in body.items():
        assert torch.equal(tensor, tensors[name]), name


def batch(height: int = 64, width: int = 96) -> dict[str, Any]:
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    mask[:, 8:40, 8:40] = 1
    return {
        'image': torch.randn(1, 2, height, width),
        'bbox_xyxy': [torch.tensor([[8.0, 8.0, 40.0, 40.0]])],
        'label': [torch.tensor([1])],
        'mask': [mask],
    }


def assert_learns(task: Any, **size: int) -> None:
    loss = task.train().training_step(batch(**size), 0)
    loss.backward()
    assert torch.isfinite(loss)
    stem = next(iter(task.model.backbone.body.parameters()))
    assert stem.grad.abs().sum() > 0


# What is built, and from what.


@pytest.mark.parametrize(
    ('model', 'architecture'),
    [
        (model, architecture)
        for model in ('faster-rcnn', 'fcos', 'retinanet', 'mask-rcnn')
        for architecture in ('resnet18', 'test_convnext', 'test_vit')
    ],
)
def test_a_step_from_generated_weights(two_bands: Any, model: str, architecture: str) -> None:
    spec = two_bands(architecture)
    task = build(model, backbone=architecture, weights=spec.url)
    tensors = generate(spec).tensors
    assert_holds(task, tensors, architecture)
    assert_learns(task)
    assert task.weights == spec.url
    is_plain = isinstance(task.model.backbone.fpn, SimpleFeaturePyramid)
    assert is_plain == (architecture == 'test_vit')


def test_swin_with_images_of_any_size(tmp_path: Path) -> None:
    # Its maps are channels last, its own image size is 224. Too large to be generated here.
    architecture = 'swin_tiny_patch4_window7_224'
    tensors = get_architecture(architecture, 2).initialise(1)
    path = save(tmp_path, architecture, tensors)
    task = build('faster-rcnn', backbone=architecture, weights=path)
    assert_holds(task, tensors, architecture)
    assert isinstance(task.model.backbone.fpn, FeaturePyramidNetwork)
    assert_learns(task, height=96, width=160)


def test_mask_rcnn_with_torchgeos_resnet(tmp_path: Path) -> None:
    tensors = get_architecture('resnet50', 13).initialise(1)
    task = build('mask-rcnn', weights=save(tmp_path, 'resnet50', tensors), in_channels=13)
    assert_holds(task, tensors, 'resnet50')


def save(folder: Path, architecture: str, tensors: Mapping[str, Tensor]) -> str:
    """Write a checkpoint as TorchGeo's classification does."""
    content = {
        'hyper_parameters': {'model': architecture},
        'state_dict': {f'model.{name}': tensor for name, tensor in tensors.items()},
    }
    torch.save(content, folder / 'last.ckpt')
    return str(folder / 'last.ckpt')


@pytest.mark.parametrize('architecture', ['resnet18', 'test_vit'])
def test_a_name_of_ours_as_backbone(two_bands: Any, architecture: str) -> None:
    spec = two_bands(architecture)
    task = build('fcos', backbone=timm_name(spec), weights=True)
    assert_holds(task, generate(spec).tensors, architecture)
    assert task.hparams['backbone'] == timm_name(spec)


def test_an_exported_checkpoint(two_bands: Any, tmp_path: Path) -> None:
    spec = two_bands('resnet18')
    export(generate(spec), tmp_path / 'weights.ckpt')
    task = build('retinanet', backbone='resnet18', weights=str(tmp_path / 'weights.ckpt'))
    assert_holds(task, generate(spec).tensors, 'resnet18')


@pytest.mark.parametrize('by_name', [False, True])
def test_weights_of_torchgeo(monkeypatch: pytest.MonkeyPatch, by_name: bool) -> None:
    weights = ResNet18_Weights.SENTINEL2_ALL_MOCO
    tensors = get_architecture('resnet18', 13).initialise(1)
    monkeypatch.setattr(type(weights), 'get_state_dict', lambda self, **_: dict(tensors))
    task = build(
        'faster-rcnn',
        backbone='resnet18',
        weights=str(weights) if by_name else weights,
        in_channels=13,
    )
    assert_holds(task, tensors, 'resnet18')


@pytest.mark.parametrize(
    ('model', 'norm'), [('faster-rcnn', FrozenBatchNorm2d), ('fcos', torch.nn.BatchNorm2d)]
)
def test_running_statistics_arrive(model: str, norm: type, tmp_path: Path) -> None:
    tensors = get_architecture('resnet18', 2).initialise(1)
    for name in tensors:
        if 'running' in name:
            tensors[name] += torch.rand(tensors[name].shape)
    task = build(model, backbone='resnet18', weights=save(tmp_path, 'resnet18', tensors))
    assert type(task.model.backbone.body.bn1) is norm
    assert_holds(task, tensors, 'resnet18')


def test_without_weights_the_task_is_torchgeos() -> None:
    ours = build('faster-rcnn', backbone='resnet18', num_classes=5)
    parent = type(ours).__mro__[1]
    theirs = parent(model='faster-rcnn', backbone='resnet18', in_channels=2, num_classes=5)
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes


@pytest.mark.filterwarnings('ignore:.*(pretrained|weight enum)')
def test_true_is_what_torchgeo_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(url: str, **_: Any) -> dict[str, Tensor]:
        fetched.append(url)
        return resnet18(weights=None).state_dict()

    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', fetch)
    build('fcos', backbone='resnet18', weights=True)
    assert fetched == [TorchvisionWeights.IMAGENET1K_V1.url]


# What TorchGeo's arguments mean.


def frozen(module: torch.nn.Module) -> set[bool]:
    return {not parameter.requires_grad for parameter in module.parameters()}


@pytest.mark.parametrize('architecture', ['resnet18', 'test_convnext'])
@pytest.mark.parametrize('model', ['fcos', 'mask-rcnn'])
def test_freeze_backbone(two_bands: Any, model: str, architecture: str) -> None:
    weights = two_bands(architecture).url
    task = build(model, backbone=architecture, weights=weights, freeze_backbone=True)
    assert frozen(task.model.backbone.body) == {True}
    # The pyramid above a body of timm is new: it learns.
    is_timm = architecture != 'resnet18' or model == 'mask-rcnn'
    assert frozen(task.model.backbone.fpn) == {not is_timm}


def test_trainable_layers(two_bands: Any) -> None:
    weights = two_bands('resnet18').url
    task = build('faster-rcnn', backbone='resnet18', weights=weights, trainable_layers=2)
    body = task.model.backbone.body
    assert frozen(body.layer2) == {True}
    assert frozen(body.layer3) == frozen(body.layer4) == {False}


# Saved and found again.


@pytest.mark.parametrize('architecture', ['resnet18', 'test_vit'])
def test_load_from_checkpoint(two_bands: Any, architecture: str, tmp_path: Path) -> None:
    weights = two_bands(architecture).url
    task = build('fcos', backbone=architecture, weights=weights).eval()
    trainer = Trainer(accelerator='cpu', logger=False, enable_checkpointing=False)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(tmp_path / 'last.ckpt', weights_only=True)
    saved = torch.load(tmp_path / 'last.ckpt', weights_only=True)['hyper_parameters']
    assert 'weights' not in saved
    assert saved['backbone'] == architecture
    again = GeoSANEObjectDetectionTask.load_from_checkpoint(tmp_path / 'last.ckpt').eval()
    assert again.weights is None
    states = task.state_dict(), again.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize('architecture', ['resnet18', 'test_vit'])
def test_copies(two_bands: Any, architecture: str) -> None:
    task = build('faster-rcnn', backbone=architecture, weights=two_bands(architecture).url).eval()
    image = batch()['image']
    expected = task.model.backbone(image)
    for other in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert other.weights == task.weights
        maps = other.model.backbone(image)
        assert all(torch.equal(maps[name], expected[name]) for name in expected)


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')
@pytest.mark.parametrize(
    'task_class', [GeoSANEObjectDetectionTask, GeoSANEInstanceSegmentationTask]
)
def test_yaml(task_class: type, two_bands: Any) -> None:
    config = {
        'model': {
            'class_path': f'torchgeo_geosane.tasks.{task_class.__name__}',
            'init_args': {
                'backbone': 'test_vit',
                'weights': two_bands('test_vit').url,
                'in_channels': 2,
                'num_classes': 3,
            },
        },
        'trainer': {'accelerator': 'cpu', 'logger': False},
    }
    task = LightningCLI(run=False, save_config_callback=None, args=config).model
    assert type(task) is task_class
    assert_holds(task, generate(two_bands('test_vit')).tensors, 'test_vit')


# Bad input.


def test_weights_of_another_architecture(two_bands: Any) -> None:
    with pytest.raises(ArchitectureError, match="of 'resnet18', but the backbone is 'resnet34'"):
        build('fcos', backbone='resnet34', weights=two_bands('resnet18').url)


@pytest.mark.parametrize('architecture', ['resnet18', 'test_vit'])
def test_channels_that_contradict_the_weights(
    two_bands: Any, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('torchgeo_geosane.providers.torchgeo.generate', None)
    with pytest.raises(ArchitectureError, match='for 2 bands, but the task has in_channels=13'):
        build('fcos', backbone=architecture, weights=two_bands(architecture).url, in_channels=13)


def test_a_checkpoint_of_other_channels(tmp_path: Path) -> None:
    path = save(tmp_path, 'test_vit', get_architecture('test_vit', 3).initialise(1))
    with pytest.raises(
        ArchitectureError, match=r"'patch_embed.proj.weight' is \(64, 3, .* of \(64, 2"
    ):
        build('fcos', backbone='test_vit', weights=path)


def test_a_checkpoint_that_lacks_tensors(tmp_path: Path) -> None:
    tensors = get_architecture('test_vit', 2).initialise(1)
    del tensors['pos_embed'], tensors['cls_token']
    path = save(tmp_path, 'test_vit', tensors)
    with pytest.raises(ArchitectureError, match=r"'cls_token' is missing .* and 1 more"):
        build('fcos', backbone='test_vit', weights=path)


def test_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / 'weights.ckpt'
    path.write_text('weights')
    with pytest.raises(CacheError, match=r'weights\.ckpt is not a checkpoint of a backbone'):
        build('fcos', backbone='resnet18', weights=str(path))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'weights': 'nowhere.ckpt'}, "'nowhere.ckpt' is neither a file nor the name of weights"),
        ({'weights': 'GeoSANE_ResNet18_Weights.SENTINEL'}, 'did you mean'),
        ({'backbone': 'resnet19'}, "unknown architecture 'resnet19': did you mean"),
        ({'backbone': 'geosane_test_vit.sentinel2', 'weights': True}, "unknown sensor 'sentinel2'"),
        ({'backbone': 'test_vit', 'trainable_layers': 2}, 'trainable_layers=2 counts the layers'),
        ({'backbone': 'test_vit', 'weights': TorchvisionWeights.DEFAULT}, 'torchvision’s'),
        # One size only; a patch that does not divide 32; no map of stride 4.
        ({'backbone': 'beit_base_patch16_224'}, 'images of any size'),
        ({'backbone': 'vit_small_patch14_dinov2'}, 'images of any size'),
        ({'backbone': 'efficientvit_m0'}, 'strides 16, 32, 64; 4, 8, 16 and 32 are needed'),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GeoSANEError, match=message):
        build('faster-rcnn', **arguments)


def test_an_unknown_detector() -> None:
    with pytest.raises(ValueError, match="'yolo' is not valid"):
        GeoSANEObjectDetectionTask(model='yolo', backbone='test_vit')
