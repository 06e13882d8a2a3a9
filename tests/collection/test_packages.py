import dataclasses
import hashlib
import importlib.metadata
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from torchgeo_geosane.collection import UKIS_CSMASK, CollectionError, PackageSource, collect
from torchgeo_geosane.collection.packages import SOURCES
from torchgeo_geosane.errors import TokenError
from torchgeo_geosane.packages import HASHES, PACKAGES, WHEELS
from torchgeo_geosane.prompts.copies import read_known


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
    with pytest.raises(CollectionError, match=r'a-package-nobody-has.*\[offline\]'):
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


def test_a_model_out_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions of a package cannot be installed side by side; as wheels they can lie there."""
    torch.save({'a.weight': torch.ones(2, 3)}, tmp_path / 'model.pth')
    content = (tmp_path / 'model.pth').read_bytes()
    for version in ('1.0', '2.0'):
        with zipfile.ZipFile(tmp_path / f'toy_models-{version}-py3-none-any.whl', 'w') as wheel:
            wheel.writestr('toy_models/model.pth', content if version == '1.0' else b'newer')
            wheel.writestr(f'toy_models-{version}.dist-info/LICENSE', f'MIT {version}')
    sha256 = hashlib.sha256(content).hexdigest()
    files = {'toy': ('toy_models/model.pth', sha256)}
    known = {'licence': 'MIT', 'modality': 'general', 'task': 'none', 'architecture': 'toy'}
    source = PackageSource(name='toy-models', version='1.0', files=files, **known)
    with pytest.raises(CollectionError, match=r'toy-models 1\.0, which is not installed'):
        next(source.models())
    monkeypatch.setenv(WHEELS, str(tmp_path))
    (model,) = source.models()
    assert model.open().read('a.weight').equal(torch.ones(2, 3))
    assert source.licence_text() == 'MIT 1.0'
    (newer,) = dataclasses.replace(source, version='2.0').models()
    with pytest.raises(CollectionError, match='is not the file that the collection names'):
        newer.open()


def test_a_network_of_ncnn_out_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers and values are two files: both are taken, and the hash is of both."""
    layers = b'7767517\n1 1\nInnerProduct only 0 1 out 0=2 1=0 2=6\n'
    content = bytes(4) + torch.arange(6.0).numpy().tobytes()
    with zipfile.ZipFile(tmp_path / 'toy_models-1.0-py3-none-any.whl', 'w') as wheel:
        wheel.writestr('toy_models/net.param', layers)
        wheel.writestr('toy_models/net.bin', content)
    monkeypatch.setenv(WHEELS, str(tmp_path))
    source = package(tmp_path, monkeypatch, '')
    monkeypatch.setattr('torchgeo_geosane.packages.base._installed', lambda name: None)
    files = {'toy': ('toy_models/net.param', hashlib.sha256(layers + content).hexdigest())}
    (model,) = dataclasses.replace(source, files=files).models()
    assert model.open().read('linear0.weight').flatten().equal(torch.arange(6.0))
    files = {'toy': ('toy_models/net.param', hashlib.sha256(layers).hexdigest())}
    (other,) = dataclasses.replace(source, files=files).models()
    with pytest.raises(CollectionError, match='is not the file that the collection names'):
        other.open()


@pytest.mark.parametrize('source', SOURCES, ids=[source.label for source in SOURCES])
def test_the_packages_themselves(source: PackageSource) -> None:
    """Those that are here: every file has its hash, and holds numbers."""
    try:
        models = list(source.models())
    except CollectionError as error:
        pytest.skip(str(error))
    for model in models:
        opened = model.open()
        assert all(opened.read(name).isfinite().all() for name in opened.names())
    assert len({model.sha256 for model in models}) == len(models) == len(source.files)


def test_known_torchscript_is_read_and_other_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'scripted.pt'
    torch.jit.script(torch.nn.Linear(3, 2)).save(str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(TokenError, match='TorchScript'):
        read_known(path, sha256)
    monkeypatch.setattr('torchgeo_geosane.prompts.copies.HASHES', {sha256})
    assert read_known(path, sha256).names() == ['weight', 'bias']


def test_one_table() -> None:
    """Labels, hashes and prompts are each there once."""
    labels = [package.label for package in PACKAGES]
    prompts = [encoder.prompt for package in PACKAGES for encoder in package.prompts.values()]
    assert len(set(labels)) == len(labels)
    assert len(set(prompts)) == len(prompts)
    assert len(HASHES) == sum(len(package.files) for package in PACKAGES)
    assert all(package.prompts.keys() <= package.files.keys() for package in PACKAGES)


def test_a_package_of_npm_is_a_source_as_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = save({'a.weight': torch.ones(2, 3)})
    with tarfile.open(tmp_path / 'toys-net-1.0.tgz', 'w:gz') as tarball:
        member = tarfile.TarInfo('package/net.safetensors')
        member.size = len(content)
        tarball.addfile(member, io.BytesIO(content))
    monkeypatch.setenv(WHEELS, str(tmp_path))
    files = {'toy': ('package/net.safetensors', hashlib.sha256(content).hexdigest())}
    source = dataclasses.replace(UKIS_CSMASK, name='@toys/net', version='1.0', files=files)
    (model,) = source.models()
    assert (model.name, model.package) == ('toys-net/toy', '@toys/net')
    assert model.open().read('a.weight').equal(torch.ones(2, 3))
