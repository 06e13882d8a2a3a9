import dataclasses
import importlib.metadata
import json

import pytest
import torch

from torchgeo_geosane.collection import (
    UKIS_CSMASK,
    CollectionError,
    ManifestEntry,
    PackageSource,
    collect,
    read_manifest,
    write_manifest,
)
from torchgeo_geosane.collection.formats import read_onnx, read_state_dict
from torchgeo_geosane.foundry.layout import Layout


def package(tmp_path, monkeypatch, content: bytes, sha256: str) -> PackageSource:
    """An installed package with one model file."""
    info = tmp_path / 'toy_models-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: toy-models\nVersion: 1.0\n')
    (tmp_path / 'model.pth').write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    return PackageSource(
        name='toy-models',
        version='1.0',
        licence='MIT',
        modality='general',
        task='none',
        architecture='toy',
        read=read_state_dict,
        files={'toy': ('model.pth', sha256)},
    )


class TestPackages:
    def test_ukis_models_open(self):
        models = list(UKIS_CSMASK.models())
        assert [model.name.split('/')[1] for model in models] == [
            '6b_l1c',
            '6b_l2a',
            '4b_l1c',
            '4b_l2a',
        ]
        source = models[0].open()
        stem = source.names()[0]
        assert source.shape(stem) == (48, 6, 3, 3)
        assert source.dtype(stem) == torch.float16
        assert all(model.licence == 'Apache-2.0' for model in models)

    def test_licence_text_is_the_packages_own(self):
        assert 'Apache License' in UKIS_CSMASK.licence_text()

    def test_state_dict_opens(self, tmp_path, monkeypatch):
        import hashlib

        torch.save({'a.weight': torch.ones(2, 3)}, tmp_path / 'file')
        content = (tmp_path / 'file').read_bytes()
        source = package(tmp_path, monkeypatch, content, hashlib.sha256(content).hexdigest())
        (model,) = source.models()
        assert model.open().read('a.weight').equal(torch.ones(2, 3))

    def test_hash_mismatch_is_refused(self, tmp_path, monkeypatch):
        (model,) = package(tmp_path, monkeypatch, b'other bytes', '0' * 64).models()
        with pytest.raises(CollectionError, match='not the file that the collection names'):
            model.open()

    def test_missing_package_says_how_to_get_it(self):
        source = dataclasses.replace(UKIS_CSMASK, name='a-package-nobody-has')
        with pytest.raises(CollectionError, match=r'a-package-nobody-has.*\[collection\]'):
            next(source.models())

    def test_other_version_is_refused(self):
        installed = importlib.metadata.version('ukis-csmask')
        source = dataclasses.replace(UKIS_CSMASK, version='0.0.1')
        with pytest.raises(CollectionError, match=f'0.0.1, installed is {installed}'):
            next(source.models())

    def test_missing_file_is_named(self):
        files = {'x': ('ukis_csmask/nothing.onnx', '0' * 64)}
        (model,) = dataclasses.replace(UKIS_CSMASK, files=files).models()
        with pytest.raises(CollectionError, match=r'nothing\.onnx'):
            model.open()


class TestFormats:
    def test_pickle_with_code_is_not_run(self, tmp_path):
        path = tmp_path / 'evil.pth'
        torch.save({'weight': torch.ones(1), 'hook': print}, path)
        with pytest.raises(CollectionError, match='not opened'):
            read_state_dict(path)

    def test_more_than_tensors_is_refused(self, tmp_path):
        path = tmp_path / 'checkpoint.pth'
        torch.save({'weight': torch.ones(1), 'epoch': 3}, path)
        with pytest.raises(CollectionError, match='other things than tensors'):
            read_state_dict(path)

    @pytest.mark.parametrize('read', [read_state_dict, read_onnx])
    def test_damaged_file_is_named(self, tmp_path, read):
        path = tmp_path / 'damaged'
        path.write_bytes(b'\xff' * 100)
        with pytest.raises(CollectionError, match='damaged'):
            read(path)


class TestCollect:
    def test_collects_in_order(self):
        names = [model.name for model in collect(['ukis-csmask'])]
        assert names == [f'ukis-csmask/{name}' for name in UKIS_CSMASK.files]

    def test_unknown_source_names_the_nearest(self):
        with pytest.raises(CollectionError, match="did you mean 'ukis-csmask'"):
            collect(['ukis_csmask'])

    def test_twice_the_same_source(self):
        with pytest.raises(CollectionError, match='twice'):
            collect(['ukis-csmask', 'ukis-csmask'])


class TestManifest:
    def entry(self) -> ManifestEntry:
        model = next(UKIS_CSMASK.models())
        source = model.open()
        shapes = {name: source.shape(name) for name in source.names()}
        return ManifestEntry.describe(
            model, source, Layout.plan(shapes, 230, 'matrices'), 'trained'
        )

    def test_round_trip(self, tmp_path):
        entry = self.entry()
        assert entry.parameters == 19_544_475
        write_manifest(tmp_path / 'manifest.jsonl', [entry, entry])
        assert read_manifest(tmp_path / 'manifest.jsonl') == [entry, entry]

    @pytest.mark.parametrize('line', ['not json', json.dumps({'name': 'a'}), '[1]'])
    def test_bad_line_is_named(self, tmp_path, line):
        (tmp_path / 'manifest.jsonl').write_text(line + '\n')
        with pytest.raises(CollectionError, match='line 1'):
            read_manifest(tmp_path / 'manifest.jsonl')

    def test_missing_manifest(self, tmp_path):
        with pytest.raises(CollectionError, match='cannot be read'):
            read_manifest(tmp_path / 'none.jsonl')
