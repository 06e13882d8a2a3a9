import copy
import pickle
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchgeo.models
from specs import MakeSpec
from torch import Tensor, nn
from torch import multiprocessing as mp
from torchgeo.models import api, get_model, get_model_weights, get_weight, list_models

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.generate import generate, take_prompt
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.provenance import digest, join_licences
from torchgeo_geosane.providers.catalog import catalogue
from torchgeo_geosane.providers.torchgeo import GeoSANEWeights, enums, register_enum
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.stem import same_bands

with warnings.catch_warnings():
    # TorchGeo 0.10 has renamed them to torchgeo.tasks.
    warnings.simplefilter('ignore', DeprecationWarning)
    from torchgeo.trainers import (
        BYOLTask,
        ClassificationTask,
        MoCoTask,
        RegressionTask,
        SemanticSegmentationTask,
        SimCLRTask,
    )

pytestmark = pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning')

MEMBERS = [get_weight(entry.name) for entry in catalogue()]
ALL = pytest.mark.parametrize('weights', MEMBERS, ids=str)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(api, '_model_weights', dict(api._model_weights))
    monkeypatch.setattr(api, '_model', dict(api._model))


@pytest.fixture
def resnet(make_spec: MakeSpec, shared_cache: Path, tables: None) -> GeoSANEWeights:
    """Weights that generate offline."""
    enum = register_enum('GeoSANE_Test_Weights', {'SIX': make_spec('resnet18', 'sentinel2_6')})
    return enum.SIX  # type: ignore[attr-defined, no-any-return]


# Members.


@ALL
def test_found_by_name(weights: GeoSANEWeights) -> None:
    assert get_weight(str(weights)) is weights
    assert weights in get_model_weights(f'geosane_{weights.meta["model"]}')


@ALL
def test_the_url_is_the_spec(weights: GeoSANEWeights) -> None:
    assert weights.spec.url == weights.url
    entry = next(entry for entry in catalogue() if entry.name == str(weights))
    assert weights.spec == entry.spec


@ALL
def test_meta(weights: GeoSANEWeights) -> None:
    meta, spec = weights.meta, weights.spec
    sensor = get_sensor(meta['sensor'])
    prompts = [resolve_prompt(n, spec.architecture, sensor, spec.seed) for n in spec.prompts]
    assert meta['model'] == spec.architecture
    assert len(meta['bands']) == meta['in_chans'] == sensor.in_chans
    assert meta['bands'] == list(sensor.band_names)
    assert meta['units'] == sensor.units
    assert meta['foundry'] == 'embedded'
    assert meta['prompt'] == ', '.join(prompt.name for prompt in prompts)
    assert meta['prompt_sensor'] == ', '.join(prompt.sensor for prompt in prompts)
    assert meta['license'] == join_licences(['MIT', *(prompt.licence for prompt in prompts)])
    assert {'dataset', 'publication', 'repo', 'ssl_method'} <= meta.keys()
    # Honest: where a prompt's stem sees something else, it says so.
    same = [same_bands(prompt.bands, sensor.bands) for prompt in prompts]
    assert meta['stem_adapted'] == (not all(same))
    stem = get_architecture(spec.architecture, sensor.in_chans).shapes[
        get_architecture(spec.architecture).stems[0]
    ]
    assert stem.shape[1] == meta['in_chans']


def test_which_stems_are_adapted() -> None:
    adapted = {str(w).removeprefix('GeoSANE_') for w in MEMBERS if w.meta['stem_adapted']}
    assert 'ResNet50_Weights.SENTINEL2_ALL' not in adapted
    assert 'ResNet50_Weights.SENTINEL2_6' in adapted
    assert 'EfficientNetB4_Weights.SENTINEL2_6' in adapted, 'two of its prompts see four bands'
    assert 'EfficientNetB4_Weights.SENTINEL2_ALL' in adapted
    assert 'ResNet18_Weights.RGB' not in adapted
    assert 'ResNet18_Weights.RGBN' in adapted


@ALL
def test_transforms_take_samples(weights: GeoSANEWeights) -> None:
    assert isinstance(weights.transforms, nn.Module)
    sensor = get_sensor(weights.meta['sensor'])
    shape = (sensor.in_chans, 256, 256)
    assert sensor.mean is not None
    assert sensor.std is not None
    mean, std = torch.tensor(sensor.mean), torch.tensor(sensor.std)
    image = (mean + std).view(-1, 1, 1).expand(shape)
    sample = weights.transforms({'image': image})
    torch.testing.assert_close(sample['image'], torch.ones(shape), atol=1e-3, rtol=0)
    assert weights.transforms(image.expand(2, *shape)).shape == (2, *shape)


def test_transforms_leave_the_rest_of_a_sample_alone() -> None:
    # TorchGeo 0.10 puts a tensor of bounds before the image.
    weights = get_weight('GeoSANE_ResNet18_Weights.RGB')
    bounds, mask = torch.rand(3, 3), torch.ones(8, 8)
    sample = {'crs': 'EPSG:4326', 'bounds': bounds, 'image': torch.rand(3, 8, 8), 'mask': mask}
    before = sample['image'].clone()
    transformed = weights.transforms(sample)
    assert list(transformed) == list(sample)
    assert transformed['bounds'] is bounds
    assert transformed['mask'] is mask
    assert not torch.equal(transformed['image'], before)
    assert torch.equal(sample['image'], before)


def test_no_member_is_an_alias() -> None:
    # Enum makes members of equal values one.
    assert sum(len(enum.__members__) for enum in enums()) == 2 * len(MEMBERS)
    assert len({id(weights) for weights in MEMBERS}) == len(MEMBERS)
    assert len({weights.url for weights in MEMBERS}) == len(MEMBERS)


def test_names_of_the_official_foundry() -> None:
    weights = get_weight('GeoSANE_ResNet50_Weights.SENTINEL2_ALL_CVPR2026')
    assert weights.meta['foundry'] == 'HSG-AIML/GeoSANE'
    assert weights.meta['license'].startswith('apache-2.0, ')
    assert weights.spec.target is get_sensor('sentinel2_all')
    assert weights is not get_weight('GeoSANE_ResNet50_Weights.SENTINEL2_ALL')


def test_models_are_listed_by_name_and_callable() -> None:
    for enum in enums():
        name = f'geosane_{next(iter(enum)).meta["model"]}'
        assert name in list_models()
        assert get_model_weights(name) is enum
        builder = api._model[name]
        assert get_model_weights(builder) is enum
        assert builder.__name__ == name
        assert 'generated weights' in (builder.__doc__ or '')


def test_torchgeos_own_are_still_there() -> None:
    weights = torchgeo.models.ResNet18_Weights.SENTINEL2_ALL_MOCO
    assert get_weight('ResNet18_Weights.SENTINEL2_ALL_MOCO') is weights
    assert {'resnet18', 'resnet50', 'vit_small_patch16_224'} <= set(list_models())
    with pytest.raises(ValueError, match='not a valid WeightsEnum'):
        get_weight('ResNet18_Weights.NOTHING')


@ALL
def test_pickle_and_copy(weights: GeoSANEWeights) -> None:
    assert copy.deepcopy(weights) is weights
    assert copy.copy(weights) is weights
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps({'weights': weights}, protocol))['weights'] is weights


def receive(index: int, weights: GeoSANEWeights, url: str, path: str) -> None:
    found = get_weight('GeoSANE_ResNet50_Weights.SENTINEL2_ALL')
    assert index == 0
    Path(path).write_text(f'{found is weights} {weights.url == url}')


def test_a_spawned_process_receives_the_same(tmp_path: Path) -> None:
    # What Lightning's ddp_spawn does.
    weights = get_weight('GeoSANE_ResNet50_Weights.SENTINEL2_ALL')
    mp.spawn(receive, (weights, weights.url, str(tmp_path / 'answer')), nprocs=1)
    assert (tmp_path / 'answer').read_text() == 'True True'


# Weights.


def test_get_state_dict_as_torchgeo_calls_it(resnet: GeoSANEWeights) -> None:
    expected = digest(generate(resnet.spec).tensors)
    for arguments in (
        {},
        {'progress': False},
        {'progress': True, 'check_hash': True, 'weights_only': True, 'map_location': 'cpu'},
    ):
        tensors = resnet.get_state_dict(**arguments)
        assert digest(tensors) == expected
        # Tasks change what they are given.
        del tensors['bn1.bias']
        tensors['bn1.weight'].zero_()


@pytest.mark.usefixtures('tables')
def test_progress(make_spec: MakeSpec, capsys: pytest.CaptureFixture[str]) -> None:
    weights: Any = register_enum('GeoSANE_Test_Weights', {'SIX': make_spec()})
    weights.SIX.get_state_dict(progress=True)
    assert 'test_resnet for sentinel2_6' in capsys.readouterr().err
    weights.SIX.get_state_dict(progress=True)
    assert capsys.readouterr().err == '', 'from the cache'


def test_get_model(resnet: GeoSANEWeights) -> None:
    model = get_model('geosane_resnet18', weights=resnet, num_classes=4)
    assert_holds(model, resnet)
    assert model.fc.weight.shape == (4, 512)
    assert get_model('geosane_resnet18', in_chans=5).conv1.weight.shape[1] == 5
    with pytest.raises(ArchitectureError, match=r"the 6 bands of 'sentinel2_6'.* 3 input channels"):
        get_model('geosane_resnet18', weights=resnet, in_chans=3)
    with pytest.raises(ArchitectureError, match=r"for 'resnet18', not for 'resnet50'"):
        get_model('geosane_resnet50', weights=resnet)


# TorchGeo's tasks: what they hold is what was generated.


def assert_holds(module: nn.Module, weights: GeoSANEWeights, but: tuple[str, ...] = ()) -> None:
    """Every generated tensor, the stem too, is in the module."""
    loaded: dict[str, Tensor] = module.state_dict()
    generated = generate(weights.spec).tensors
    assert loaded.keys() >= set(get_architecture(weights.meta['model']).stems)
    for name, tensor in generated.items():
        assert name in but or torch.equal(loaded[name], tensor), name
    assert {name.partition('.')[0] for name in loaded.keys() - generated.keys()} <= {'fc'}


@pytest.mark.parametrize('by_name', [False, True])
@pytest.mark.parametrize('task_class', [ClassificationTask, RegressionTask])
def test_image_tasks(resnet: GeoSANEWeights, task_class: Any, by_name: bool) -> None:
    outputs = {'num_classes': 3} if task_class is ClassificationTask else {'num_outputs': 1}
    task = task_class(
        model='resnet18', weights=str(resnet) if by_name else resnet, in_channels=6, **outputs
    )
    assert_holds(task.model, resnet)


@pytest.mark.filterwarnings('ignore:input channels')
@pytest.mark.parametrize('task_class', [ClassificationTask, SimCLRTask, MoCoTask, BYOLTask])
def test_no_task_drops_the_stem(resnet: GeoSANEWeights, task_class: Any) -> None:
    # TorchGeo's loader warns, deletes it and goes on.
    with pytest.raises(ArchitectureError, match='Set in_channels=6'):
        task_class(model='resnet18', weights=resnet, in_channels=13)


@pytest.mark.parametrize('by_name', [False, True])
def test_segmentation_of_a_resnet(resnet: GeoSANEWeights, by_name: bool) -> None:
    task = SemanticSegmentationTask(
        model='unet',
        backbone='resnet18',
        weights=str(resnet) if by_name else resnet,
        in_channels=6,
        num_classes=4,
    )
    assert_holds(task.model.encoder, resnet)


@pytest.fixture
def efficientnet_weights(efficientnet: Spec, tables: None) -> GeoSANEWeights:
    enum = register_enum('GeoSANE_Big_Weights', {'ALL': efficientnet})
    return enum.ALL  # type: ignore[attr-defined, no-any-return]


def test_segmentation_of_an_efficientnet(efficientnet_weights: GeoSANEWeights) -> None:
    task = SemanticSegmentationTask(
        model='unet',
        backbone='timm-efficientnet-b4',
        weights=str(efficientnet_weights),
        in_channels=13,
        num_classes=4,
    )
    # Loaded strictly: smp's encoder has exactly the keys that are generated.
    assert_holds(task.model.encoder, efficientnet_weights)
    assert task.model.encoder.conv_stem.weight.shape[1] == 13
    assert task.eval().model(torch.zeros(1, 13, 32, 32)).shape == (1, 4, 32, 32)


def test_one_spec_more_in_an_enum_is_one_member_more(make_spec: MakeSpec, tables: None) -> None:
    spec = make_spec()
    enum = register_enum('GeoSANE_Seeds_Weights', {'A': spec, 'B': replace(spec, seed=1)})
    assert [str(weights) for weights in enum] == [
        'GeoSANE_Seeds_Weights.A',
        'GeoSANE_Seeds_Weights.B',
    ]
    assert digest(enum.A.get_state_dict()) != digest(enum.B.get_state_dict())  # type: ignore[attr-defined]


def test_a_name_of_the_catalogue_with_the_foundry_inside_the_package() -> None:
    weights: Any = get_weight('GeoSANE_EfficientNetB4_Weights.SENTINEL2_ALL')
    generated = weights.get_state_dict(progress=False)
    assert list(generated) == list(get_architecture('tf_efficientnet_b4', 13).shapes)
    # Around the prompt, not equal to it: this foundry has learned something.
    prompt = take_prompt(weights.spec)
    for name in ('blocks.1.2.conv_pw.weight', 'blocks.4.1.conv_pw.weight', 'conv_stem.weight'):
        likeness = torch.cosine_similarity(generated[name].flatten(), prompt[name].flatten(), dim=0)
        assert 0.3 < likeness < 0.999, name
