"""What a model with our weights says of itself: whose weights it has, and nothing of ImageNet's."""

import json
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from specs import MakeSpec
from torch import nn
from torchgeo.models import get_model, get_weight

from torchgeo_geosane.errors import ArchitectureError, SensorError
from torchgeo_geosane.export import export
from torchgeo_geosane.generate import generate
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.provenance import digest
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.providers.torchgeo import request
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.tasks import GeoSANEObjectDetectionTask

pytestmark = pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning')

EXTRACTORS: list[dict[str, Any]] = [
    {'features_only': True},
    {'features_only': True, 'feature_cls': 'getter'},
    {'features_only': True, 'feature_cls': 'hook'},
    {'features_only': True, 'feature_cls': 'fx'},
    {'features_only': True, 'out_indices': (1,)},
    {'features_only': True, 'feature_cls': 'dict', 'out_indices': (0, 2)},
]


def cards(model: nn.Module) -> list[dict[str, Any]]:
    """Every card in a model or in what it holds."""
    kept = (
        getattr(module, name, None)
        for module in model.modules()
        for name in ('pretrained_cfg', 'default_cfg')
    )
    return [card for card in kept if card is not None]


def assert_tells(model: nn.Module, spec: Spec) -> None:
    weights = request(spec.url)
    assert cards(model)
    for card in cards(model):
        assert card['license'] == weights.meta['license'] == generate(spec).provenance.licence
        assert card['origin_url'] == spec.url
        assert tuple(card['mean']) == spec.target.mean
        assert f'bands: {", ".join(weights.meta["bands"])}' in card['notes']
        for key in ('input_size', 'test_input_size', 'min_input_size'):
            assert card.get(key) is None or card[key][0] == spec.target.in_chans
        text = json.dumps(card).lower().replace('not on imagenet', '')
        for foreign in ('huggingface/pytorch-image-models', 'timm/', 'in1k', 'imagenet', 'http'):
            assert foreign not in text
        assert 'state_dict' not in card


@pytest.mark.parametrize('architecture', ['test_resnet', 'test_vit', 'test_convnext'])
@pytest.mark.parametrize(
    'kwargs', [{}, {'num_classes': 0}, {'num_classes': 5}, *EXTRACTORS], ids=str
)
def test_models_of_timm(make_spec: MakeSpec, architecture: str, kwargs: dict[str, Any]) -> None:
    if architecture == 'test_vit' and kwargs.get('feature_cls') in {'fx', 'hook', 'dict'}:
        pytest.skip('timm extracts features of a ViT in one way')
    spec = make_spec(architecture, 'sentinel2_6')
    model = timm.create_model(timm_name(spec), pretrained=True, **kwargs)
    assert_tells(model, spec)


def test_without_weights_the_channels_agree(make_spec: MakeSpec) -> None:
    model = timm.create_model(timm_name(make_spec('test_resnet', 'sentinel2_all')))
    assert model.pretrained_cfg['input_size'][0] == model.conv1[0].in_channels == 13
    assert model.num_classes == timm.create_model('test_resnet').num_classes


def test_the_imagenet_weights_are_not_fetched_for_our_card(make_spec: MakeSpec) -> None:
    model = timm.create_model(timm_name(make_spec()), pretrained=True)
    with pytest.raises(RuntimeError, match='No pretrained weights exist'):
        timm.create_model('test_resnet', pretrained=True, pretrained_cfg=model.pretrained_cfg)


@pytest.mark.parametrize('architecture', ['test_resnet', 'test_vit', 'test_convnext'])
def test_saved_for_the_hub(make_spec: MakeSpec, tmp_path: Path, architecture: str) -> None:
    spec = make_spec(architecture, 'sentinel2_all')
    model = timm.create_model(timm_name(spec), pretrained=True, num_classes=4)
    timm.models.save_for_hf(model, tmp_path, safe_serialization='both')
    card = json.loads((tmp_path / 'config.json').read_text())['pretrained_cfg']
    assert card['license'] == generate(spec).provenance.licence
    assert card['origin_url'] == spec.url
    assert not card.keys() & {'hf_hub_id', 'url', 'file'}
    # Who has not installed us reads it, too.
    again = timm.create_model(f'local-dir:{tmp_path}', pretrained=True)
    assert digest(again.state_dict()) == digest(model.state_dict())
    assert again.pretrained_cfg['license'] == card['license']


def test_get_model(make_spec: MakeSpec) -> None:
    weights = request(make_spec('resnet18', 'sentinel2_6').url)
    assert_tells(get_model('geosane_resnet18', weights=weights, num_classes=3), weights.spec)


@pytest.mark.parametrize('name', ['ClassificationTask', 'RegressionTask', 'SimCLRTask', 'MoCoTask'])
@pytest.mark.parametrize('by_name', [False, True])
def test_torchgeos_tasks(make_spec: MakeSpec, name: str, by_name: bool) -> None:
    from torchgeo import trainers

    spec = make_spec('test_vit', 'sentinel2_6')
    asked: dict[str, Any] = {'model': 'test_vit', 'weights': get_weight(spec.url)}
    if by_name:
        asked = {'model': timm_name(spec), 'weights': True}
    if name == 'ClassificationTask':
        asked['num_classes'] = 3
    task = getattr(trainers, name)(in_channels=6, **asked)
    backbone = task.backbone if name in {'SimCLRTask', 'MoCoTask'} else task.model
    assert_tells(backbone, spec)


@pytest.mark.filterwarnings('ignore:input channels')
@pytest.mark.parametrize('name', ['ClassificationTask', 'SimCLRTask'])
def test_a_file_that_we_wrote(make_spec: MakeSpec, tmp_path: Path, name: str) -> None:
    from torchgeo import trainers

    generated = generate(make_spec('test_vit', 'sentinel2_6'))
    export(generated, tmp_path / 'weights.ckpt')
    asked: dict[str, Any] = {'model': 'test_vit', 'weights': str(tmp_path / 'weights.ckpt')}
    if name == 'ClassificationTask':
        asked['num_classes'] = 3
    task = getattr(trainers, name)(in_channels=6, **asked)
    backbone = task.backbone if name == 'SimCLRTask' else task.model
    assert_tells(backbone, Spec.parse(generated.provenance.url))
    # Its stem is not dropped, after a warning, for data of other bands.
    with pytest.raises(ArchitectureError, match='Set in_channels=6'):
        getattr(trainers, name)(in_channels=13, **asked)


def test_detection(make_spec: MakeSpec, shared_cache: Path, tmp_path: Path) -> None:
    spec = make_spec('test_convnext', 'sentinel2_6', foundry='matrices')
    export(generate(spec), tmp_path / 'weights.ckpt')
    for weights in (spec.url, str(tmp_path / 'weights.ckpt')):
        task = GeoSANEObjectDetectionTask(
            'fcos', 'test_convnext', weights, in_channels=6, num_classes=3
        )
        assert_tells(task.model.backbone.body, spec)


def test_weights_of_others_are_not_told_to_be_ours() -> None:
    from torchgeo.trainers import ClassificationTask

    task = ClassificationTask(model='test_vit', in_channels=3, num_classes=3)
    # Where the version of TorchGeo has it.
    utils = sys.modules.get('torchgeo.tasks.utils') or sys.modules['torchgeo.trainers.utils']
    utils.load_state_dict(task.model, dict(task.model.state_dict()))
    assert task.model.pretrained_cfg['hf_hub_id']


# Keywords are honoured or refused.


def test_settings_are_honoured(make_spec: MakeSpec) -> None:
    name = timm_name(make_spec())
    for pretrained in (True, False):
        model = timm.create_model(
            name,
            pretrained=pretrained,
            pretrained_cfg_overlay={'crop_pct': 0.5, 'num_classes': 3, 'mean': (1.0,) * 6},
        )
        assert (model.pretrained_cfg['crop_pct'], model.num_classes) == (0.5, 3)
        assert model.pretrained_cfg['mean'] == (1.0,) * 6
    model = timm.create_model(
        name, pretrained=True, num_classes=2, global_pool='max', drop_rate=0.5
    )
    assert (model.num_classes, model.drop_rate) == (2, 0.5)
    assert model.global_pool.pool_type == 'max'
    assert (
        timm.create_model(name, pretrained=True, dtype=torch.float64).conv1[0].weight.dtype
        == torch.float64
    )


def test_a_checkpoint_is_loaded_over_it(make_spec: MakeSpec, tmp_path: Path) -> None:
    name = timm_name(make_spec())
    model = timm.create_model(name, pretrained=True)
    with torch.no_grad():
        model.conv1[0].weight.zero_()
    torch.save(model.state_dict(), tmp_path / 'mine.pth')
    again = timm.create_model(name, pretrained=True, checkpoint_path=tmp_path / 'mine.pth')
    assert not again.conv1[0].weight.any()


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'pretrained_cfg_overlay': {'file': 'mine.pth'}}, "names others by 'file'"),
        ({'pretrained_cfg_overlay': {'hf_hub_id': 'timm/x'}}, "names others by 'hf_hub_id'"),
        ({'pretrained_cfg_overlay': {'state_dict': {'a': 1}}}, "names others by 'state_dict'"),
        ({'pretrained_cfg_overlay': {'input_size': (3, 96, 96)}}, 'asked for 3 input channels'),
        ({'in_chans': 4}, 'asked for 4 input channels'),
        ({'cache_dir': 'here'}, "'cache_dir' is about files"),
        ({'pretrained_strict': False}, "'pretrained_strict' is about files"),
        ({'pretrained_cfg': {'file': 'mine.pth'}}, 'pretrained_cfg of other weights'),
        (
            {'pretrained_cfg': timm.get_pretrained_cfg('resnet18')},
            'pretrained_cfg of other weights',
        ),
        ({'pretrained_cfg_overlay': {'crop_percent': 1}}, 'crop_percent'),
        ({'no_such_keyword': 1}, 'no_such_keyword'),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    make_spec: MakeSpec, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises((ArchitectureError, TypeError), match=message):
        timm.create_model(timm_name(make_spec()), pretrained=True, **kwargs)


def test_a_tag_as_keyword(make_spec: MakeSpec) -> None:
    spec = make_spec()
    base, _, tag = timm_name(spec).partition('.')
    assert_tells(timm.create_model(base, pretrained=True, pretrained_cfg=tag), spec)
    card = timm.create_model(base, pretrained=True, pretrained_cfg=tag).pretrained_cfg
    assert_tells(timm.create_model(base, pretrained=True, pretrained_cfg=card), spec)
    assert_tells(
        timm.create_model(
            base, pretrained=True, pretrained_cfg=timm.get_pretrained_cfg(timm_name(spec))
        ),
        spec,
    )
    with pytest.raises(SensorError, match='did you mean'):
        timm.create_model(base, pretrained_cfg='sentinel2')


# State dicts.

_ELSEWHERE = """
import sys
sys.modules['torchgeo_geosane'] = None  # Importing it fails.
import torch
print(len(torch.load(sys.argv[1])), type(torch.load(sys.argv[1], weights_only=False)).__name__)
"""


def test_a_saved_state_dict_is_read_without_us(make_spec: MakeSpec, tmp_path: Path) -> None:
    state_dict = request(make_spec().url).get_state_dict(progress=False)
    file = tmp_path / 'weights.pth'
    for form in (True, False):
        torch.save(state_dict, file, _use_new_zipfile_serialization=form)
        loaded = torch.load(file)
        assert type(loaded) is OrderedDict
        assert list(loaded) == list(state_dict)
        assert digest(loaded) == digest(state_dict)
    done = subprocess.run(
        [sys.executable, '-c', _ELSEWHERE, str(file)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == [str(len(state_dict)), 'OrderedDict'], done.stderr
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert type(pickle.loads(pickle.dumps({'a': state_dict}, protocol))['a']) is OrderedDict


def test_state_dicts_go_where_they_are_asked_for(make_spec: MakeSpec) -> None:
    weights = request(make_spec().url)
    moved = weights.get_state_dict(progress=False, map_location='meta')
    assert {tensor.device.type for tensor in moved.values()} == {'meta'}
    with pytest.raises(TypeError, match='model_dir'):
        weights.get_state_dict(model_dir='here')


def test_get_model_takes_names(make_spec: MakeSpec) -> None:
    spec = make_spec('resnet18', 'sentinel2_6')
    assert_tells(get_model('geosane_resnet18', weights=spec.url), spec)
    for others in (True, get_weight('ResNet18_Weights.SENTINEL2_ALL_MOCO')):
        with pytest.raises(ArchitectureError, match='not generated weights'):
            get_model('geosane_resnet18', weights=others)


def test_a_foreign_licence_is_told(make_spec: MakeSpec) -> None:
    spec = Spec('tf_efficientnet_b4', 'sentinel2_6')
    prompt = resolve_prompt(spec.prompts[0], spec.architecture, spec.target, 0)
    described = timm.get_pretrained_cfg(timm_name(spec))
    assert described.license == f'MIT, {prompt.licence}'
