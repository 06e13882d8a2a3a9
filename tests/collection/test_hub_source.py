"""The Hub as a source: what it says is believed, what it has not is listed, and it may be away."""

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import pytest
import torch
from hubs import FakeHub

from torchgeo_geosane.collection import CollectionError, hub
from torchgeo_geosane.collection.hub import DiskFullError, UnreachableError
from torchgeo_geosane.collection.search import HubSearch
from torchgeo_geosane.collection.timm import TimmSource
from torchgeo_geosane.collection.torchgeo import TorchGeoSource, members

Content = Callable[[int], bytes]


def test_a_search_gives_models_with_all_that_the_hub_says(
    fake_hub: FakeHub, content: Content
) -> None:
    commit = fake_hub.add(
        'someone/sentinel-2-unet',
        {
            'model.safetensors': content(0),
            'pytorch_model.bin': b'the same in a format that is not taken',
            'optimizer.pt': b'no weights',
        },
        cardData={'license': 'mit'},
        tags=['landsat'],
        pipeline_tag='image-segmentation',
    )
    fake_hub.add('someone/language-model', {'model.safetensors': content(1)})
    search = HubSearch(search=('sentinel-2', 'unet'), pause=0)
    (model,) = search.models()
    assert fake_hub.asked == ['sentinel-2', 'unet', 'someone/sentinel-2-unet'], 'each once'
    assert model.name == 'huggingface/someone/sentinel-2-unet/model.safetensors'
    assert (model.package, model.version) == ('someone/sentinel-2-unet', commit)
    assert (model.modality, model.task, model.licence) == ('optical', 'image-segmentation', 'mit')
    assert model.size == len(content(0))
    assert model.locate()[1] == model.sha256
    assert model.open().shape('fc.weight') == (64, 80)


def test_pickles_where_there_are_no_safetensors(fake_hub: FakeHub) -> None:
    fake_hub.add('a/flood', {'b.pth': b'x', 'a.ckpt': b'x', 'training_args.bin': b'x'})
    files = [model.file for model in HubSearch(search=('flood',), pause=0).models()]
    assert files == ['a.ckpt', 'b.pth']


def test_the_name_of_a_licence_of_ones_own(fake_hub: FakeHub) -> None:
    fake_hub.add('a/SAR', {'a.pt': b'x'}, cardData={'license': 'other', 'license_name': 'ours'})
    (model,) = HubSearch(search=('SAR',), pause=0).models()
    assert (model.licence, model.modality) == ('ours', 'sar')


def test_what_cannot_be_had_is_listed_with_the_reason(fake_hub: FakeHub) -> None:
    fake_hub.vanish('a/flood-gone')
    fake_hub.add('a/flood-readme', {'README.md': b'x'})
    shards = {f'model-0000{i}-of-00002.safetensors': b'x' for i in (1, 2)}
    fake_hub.add('a/flood-large', shards)
    models = {model.package: model for model in HubSearch(search=('flood',), pause=0).models()}
    reasons = {
        'a/flood-gone': 'RepositoryNotFoundError: 404 Client Error',
        'a/flood-readme': 'no file with weights',
        'a/flood-large': 'several files',
    }
    assert models.keys() == reasons.keys()
    for name, reason in reasons.items():
        with pytest.raises(CollectionError, match=reason):
            models[name].fetch()


@pytest.mark.usefixtures('no_network')
@pytest.mark.parametrize(
    'source', [HubSearch(), TorchGeoSource(), TimmSource(names=('test_resnet.*',))]
)
def test_no_network_names_what_needs_none(source: HubSearch | TorchGeoSource | TimmSource) -> None:
    with pytest.raises(UnreachableError, match=r"cannot be asked.*'packages' and 'folders'"):
        next(source.models())


@pytest.mark.usefixtures('no_network')
def test_offline_by_the_hubs_own_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    with pytest.raises(UnreachableError, match='HF_HUB_OFFLINE is set'):
        next(HubSearch().models())


def test_a_full_disk_is_no_fault_of_the_model(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> NoReturn:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('huggingface_hub.hf_hub_download', full)
    with pytest.raises(DiskFullError, match='make room and run again'):
        hub.fetch('a/b', '0' * 40, 'model.safetensors')


# TorchGeo


def test_every_weight_of_torchgeo_is_a_member() -> None:
    from torchgeo.models import get_model_weights, list_models

    ours = {str(weights) for weights in members()}
    theirs: set[str] = set()
    for name in list_models():
        with suppress(KeyError):  # Some models have no weights.
            theirs |= {str(weights) for weights in get_model_weights(name)}
    assert ours == {name for name in theirs if not name.startswith('GeoSANE_')}


def test_torchgeo_weights_are_pinned_as_torchgeo_pins_them(
    fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (weights,) = (w for w in members() if str(w) == 'ResNet18_Weights.SENTINEL2_ALL_MOCO')
    *_, owner, name, _, commit, file = weights.url.split('/')
    fake_hub.add(f'{owner}/{name}', {file: b'x'}, cardData={'license': 'cc-by-4.0'})
    fake_hub._infos[f'{owner}/{name}'].sha = commit
    (model,) = TorchGeoSource(names=('ResNet18_Weights.SENTINEL2_ALL_M*',), pause=0).models()
    assert model.name == 'torchgeo/ResNet18_Weights.SENTINEL2_ALL_MOCO'
    assert (model.package, model.version, model.file) == (f'{owner}/{name}', commit, file)
    assert (model.licence, model.modality) == ('cc-by-4.0', 'optical')
    assert model.architecture == 'ResNet18'
    assert model.task == f'self-supervised ({weights.meta["ssl_method"]})'


def test_torchgeo_weights_elsewhere_are_listed(fake_hub: FakeHub) -> None:
    models = {model.name: model for model in TorchGeoSource(pause=0).models()}
    assert len(models) == len(list(members()))
    for model in models.values():
        with pytest.raises(CollectionError, match=r'does not lie on the Hub|404 Client Error'):
            model.fetch()


# timm


def test_timm_names_by_patterns(fake_hub: FakeHub, content: Content) -> None:
    fake_hub.add('timm/test_vit.r160_in1k', {'model.safetensors': content(0)})
    models = list(TimmSource(names=('test_vit.*', 'test_vit*'), pause=0).models())
    model = next(model for model in models if model.name == 'timm/test_vit.r160_in1k')
    assert model.architecture == 'test_vit'
    assert model.licence == 'apache-2.0'
    assert model.open().dtype('fc.weight') == torch.float32
    assert len({model.name for model in models}) == len(models) > 1


def test_a_pattern_that_names_nothing(fake_hub: FakeHub) -> None:
    with pytest.raises(CollectionError, match=r"'resnet5O.a1_in1k'.*did you mean 'resnet50"):
        next(TimmSource(names=('resnet5O.a1_in1k',)).models())
