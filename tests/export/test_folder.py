"""timm and TorchGeo load the folder, and what they load is what was generated."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from specs import MakeSpec
from timm.data import create_transform, resolve_model_data_config
from timm.models import load_model_config_from_hf
from torchgeo.trainers import ClassificationTask, SemanticSegmentationTask

from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.export import check_format, export, provenance_of
from torchgeo_geosane.export.folder import timm_config
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import digest, read_weights
from torchgeo_geosane.sensors import get_sensor

pytestmark = pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning')

HEADS = {'test_resnet': 'fc', 'test_vit': 'head', 'test_convnext': 'head.fc'}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'weights'


@pytest.mark.parametrize('sensor', ['sentinel2_all', 'rgb', 'sentinel1_grd*2'])
@pytest.mark.parametrize('architecture', HEADS)
def test_timm_makes_a_head(
    architecture: str, sensor: str, make_spec: MakeSpec, folder: Path
) -> None:
    generated = generate(make_spec(architecture, sensor))
    export(generated, folder)
    model = timm.create_model(f'local-dir:{folder}', pretrained=True, num_classes=10)
    loaded = model.state_dict()
    head = HEADS[architecture]
    assert loaded.keys() - generated.tensors.keys() == {f'{head}.weight', f'{head}.bias'}
    assert digest({name: loaded[name] for name in generated.tensors}) == digest(generated.tensors)
    bands = get_sensor(sensor).in_chans
    assert model(torch.rand(1, bands, 160, 160)).shape == (1, 10)


def test_timm_loads_it_strictly_without_a_head(make_spec: MakeSpec, folder: Path) -> None:
    generated = generate(make_spec('test_vit'))
    export(generated, folder)
    model = timm.create_model(f'local-dir:{folder}', pretrained=True)
    assert digest(model.state_dict()) == digest(generated.tensors)
    (folder / 'config.json').write_text(
        (folder / 'config.json').read_text().replace('"test_vit"', '"test_vit2"')
    )
    with pytest.raises(RuntimeError, match=r'Missing key|size mismatch'):
        timm.create_model(f'local-dir:{folder}', pretrained=True)


def test_the_stem_is_not_adapted_and_nobody_is_warned(
    make_spec: MakeSpec, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generated = generate(make_spec('test_resnet', 'sentinel2_all'))
    export(generated, folder)
    with caplog.at_level(logging.INFO, logger='timm'):
        model = timm.create_model(
            f'local-dir:{folder}', pretrained=True, in_chans=13, num_classes=10
        )
    assert torch.equal(model.state_dict()['conv1.0.weight'], generated.tensors['conv1.0.weight'])
    messages = [record.getMessage() for record in caplog.records]
    assert not [text for text in messages if 'conv' in text.lower() and 'Missing' not in text]
    assert [text for text in messages if text.startswith('Missing keys (fc.weight, fc.bias)')]


@pytest.mark.filterwarnings("ignore:For 'tu-':UserWarning")
def test_from_the_hub(
    make_spec: MakeSpec, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated = generate(make_spec())
    export(generated, folder)
    # What the hub's client would have downloaded.
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    repository = tmp_path / 'hub' / 'models--owner--name'
    (repository / 'refs').mkdir(parents=True)
    (repository / 'refs' / 'main').write_text('0' * 40)
    shutil.copytree(folder, repository / 'snapshots' / ('0' * 40))

    config, architecture, arguments = load_model_config_from_hf('owner/name')
    assert (architecture, arguments) == ('test_resnet', {})
    assert config['num_classes'] == 0
    model = timm.create_model('hf-hub:owner/name', pretrained=True, num_classes=10)
    task = SemanticSegmentationTask(
        model='unet', backbone='tu-hf-hub:owner/name', weights=True, in_channels=6, num_classes=2
    )
    for loaded in (model.state_dict(), task.model.encoder.model.state_dict()):
        plain = {name.replace('.', '_'): tensor for name, tensor in loaded.items()}
        for name, tensor in generated.tensors.items():
            assert torch.equal(plain[name.replace('.', '_')], tensor), name


def test_torchgeo_takes_it_as_a_model(make_spec: MakeSpec, folder: Path) -> None:
    # A model whose checkpoint TorchGeo cannot load by path.
    generated = generate(make_spec('test_convnext'))
    export(generated, folder)
    task = ClassificationTask(
        model=f'local-dir:{folder}', weights=True, in_channels=6, num_classes=3
    )
    loaded = task.model.state_dict()
    assert digest({name: loaded[name] for name in generated.tensors}) == digest(generated.tensors)


@pytest.mark.filterwarnings("ignore:For 'tu-':UserWarning")
@pytest.mark.parametrize(
    ('model', 'architecture'), [('unet', 'test_convnext'), ('dpt', 'test_vit')]
)
def test_torchgeo_takes_it_as_an_encoder(
    model: str, architecture: str, make_spec: MakeSpec, folder: Path
) -> None:
    generated = generate(make_spec(architecture))
    export(generated, folder)
    task = SemanticSegmentationTask(
        model=model,
        backbone=f'tu-local-dir:{folder}',
        weights=True,
        in_channels=6,
        num_classes=2,
    )
    loaded = list(task.model.encoder.state_dict().values())
    # The decoder decides which are renamed and which dropped: every one left is ours.
    assert len(loaded) > 0.9 * len(generated.tensors)
    for tensor in loaded:
        assert any(
            tensor.shape == ours.shape and torch.equal(tensor, ours)
            for ours in generated.tensors.values()
        )


def test_the_weights_are_a_file_of_ours(make_spec: MakeSpec, folder: Path) -> None:
    generated = generate(make_spec())
    export(generated, folder)
    tensors, provenance = read_weights(folder / 'model.safetensors')
    assert digest(tensors) == digest(generated.tensors)
    assert provenance == generated.provenance


def test_normalisation_of_other_data_is_in_its_units(make_spec: MakeSpec) -> None:
    config = timm_config(generate(make_spec('test_resnet', 'sentinel2_all')).provenance)
    sensor = get_sensor('sentinel2_all')
    assert config['pretrained_cfg']['mean'] == sensor.mean
    assert config['pretrained_cfg']['std'] == sensor.std
    assert config['pretrained_cfg']['input_size'] == (13, 160, 160)


def test_normalisation_of_8_bit_data_is_timms(make_spec: MakeSpec, folder: Path) -> None:
    export(generate(make_spec('test_resnet', 'rgb')), folder)
    model = timm.create_model(f'local-dir:{folder}')
    data: dict[str, Any] = resolve_model_data_config(model)
    assert data['mean'] == pytest.approx((0.485, 0.456, 0.406))
    assert data['std'] == pytest.approx((0.229, 0.224, 0.225))
    assert tuple(data['input_size']) == (3, 160, 160)
    assert create_transform(**data)


def test_normalisation_where_nothing_is_known(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    provenance = generate(make_spec()).provenance
    monkeypatch.setattr('torchgeo_geosane.sensors.base.Sensor.mean', None)
    config = timm_config(provenance)['pretrained_cfg']
    assert (config['mean'], config['std']) == ((0.0,) * 6, (1.0,) * 6)


def test_nothing_is_said_of_timms_own_weights(make_spec: MakeSpec) -> None:
    provenance = generate(make_spec()).provenance
    config = timm_config(provenance)['pretrained_cfg']
    assert not config.keys() & {'tag', 'url', 'hf_hub_id', 'label_offset', 'label_names'}
    assert config['license'] == provenance.licence
    assert config['origin_url'] == provenance.url
    assert config['first_conv'] == 'conv1.0'


def test_bands_of_ones_own_in_every_name(make_spec: MakeSpec, tmp_path: Path) -> None:
    generated = generate(make_spec(sensor='sentinel2_all[B8A,B4,B3]'))
    folder = tmp_path / 'resnet [B8A,B4,B3]'
    export(generated, folder)
    config = json.loads((folder / 'config.json').read_text())['pretrained_cfg']
    sentinel2 = get_sensor('sentinel2_all')
    assert config['mean'] == [sentinel2.band(name).mean for name in ('B8A', 'B4', 'B3')]
    model = timm.create_model(f'local-dir:{folder}', pretrained=True)
    assert digest(model.state_dict()) == digest(generated.tensors)
    assert provenance_of(folder).sensor == 'sentinel2_all[B8A,B4,B3]'


def test_a_folder_with_other_files_is_not_replaced(make_spec: MakeSpec, folder: Path) -> None:
    generated = generate(make_spec())
    export(generated, folder)
    (folder / 'notes.txt').write_text('precious')
    for write in (
        lambda: export(generated, folder),
        lambda: check_format(folder, make_spec()),
    ):
        with pytest.raises(CacheError, match=r"also holds 'notes.txt'; choose another name"):
            write()
    assert (folder / 'notes.txt').read_text() == 'precious'
    assert provenance_of(folder) == generated.provenance


def test_a_folder_that_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r'no such file: .*model.safetensors'):
        provenance_of(tmp_path)
