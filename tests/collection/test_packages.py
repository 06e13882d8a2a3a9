import dataclasses
import hashlib
import importlib.metadata
from pathlib import Path

import pytest
import torch

from torchgeo_geosane.collection import UKIS_CSMASK, CollectionError, PackageSource, collect


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sha256: str) -> PackageSource:
    """An installed package with the one model file ``model.pth``."""
    info = tmp_path / 'toy_models-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: toy-models\nVersion: 1.0\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    return PackageSource(
        name='toy-models',
        version='1.0',
        licence='MIT',
        modality='general',
        task='none',
        architecture='toy',
        files={'toy': ('model.pth', sha256)},
    )


def test_ukis_models_open() -> None:
    models = list(UKIS_CSMASK.models())
    names = [model.name.split('/')[1] for model in models]
    assert names == ['6b_l1c', '6b_l2a', '4b_l1c', '4b_l2a']
    source = models[0].open()
    stem = source.names()[0]
    assert source.shape(stem) == (48, 6, 3, 3)
    assert source.dtype(stem) == torch.float16
    assert all(model.licence == 'Apache-2.0' for model in models)


def test_licence_text_is_the_packages_own() -> None:
    assert 'Apache License' in UKIS_CSMASK.licence_text()


def test_state_dict_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({'a.weight': torch.ones(2, 3)}, tmp_path / 'model.pth')
    sha256 = hashlib.sha256((tmp_path / 'model.pth').read_bytes()).hexdigest()
    (model,) = package(tmp_path, monkeypatch, sha256).models()
    assert model.open().read('a.weight').equal(torch.ones(2, 3))


def test_hash_mismatch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'model.pth').write_bytes(b'other bytes')
    (model,) = package(tmp_path, monkeypatch, '0' * 64).models()
    with pytest.raises(CollectionError, match='not the file that the collection names'):
        model.open()


def test_missing_package_says_how_to_get_it() -> None:
    source = dataclasses.replace(UKIS_CSMASK, name='a-package-nobody-has')
    with pytest.raises(CollectionError, match=r'a-package-nobody-has.*\[collection\]'):
        next(source.models())


def test_other_version_is_refused() -> None:
    installed = importlib.metadata.version('ukis-csmask')
    source = dataclasses.replace(UKIS_CSMASK, version='0.0.1')
    with pytest.raises(CollectionError, match=f'0.0.1, installed is {installed}'):
        next(source.models())


def test_missing_file_is_named() -> None:
    files = {'x': ('ukis_csmask/nothing.onnx', '0' * 64)}
    (model,) = dataclasses.replace(UKIS_CSMASK, files=files).models()
    with pytest.raises(CollectionError, match=r'nothing\.onnx'):
        model.open()


def test_collects_in_order() -> None:
    names = [model.name for model in collect(['ukis-csmask'])]
    assert names == [f'ukis-csmask/{name}' for name in UKIS_CSMASK.files]


def test_unknown_source_names_the_nearest() -> None:
    with pytest.raises(CollectionError, match="did you mean 'ukis-csmask'"):
        collect(['ukis_csmask'])


def test_twice_the_same_source() -> None:
    with pytest.raises(CollectionError, match='twice'):
        collect(['ukis-csmask', 'ukis-csmask'])
