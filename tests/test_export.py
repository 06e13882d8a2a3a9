from pathlib import Path

import pytest
import timm
import torch
from specs import MakeSpec
from torchgeo.trainers import ClassificationTask

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.export import export, provenance_of
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import digest


@pytest.fixture
def generated(make_spec: MakeSpec) -> Generated:
    return generate(make_spec())


@pytest.mark.parametrize('suffix', ['safetensors', 'ckpt'])
def test_provenance_comes_back(generated: Generated, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / 'folder' / f'w.{suffix}'
    export(generated, path)
    assert provenance_of(path) == generated.provenance
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_torchgeo_reads_a_checkpoint(generated: Generated, tmp_path: Path) -> None:
    export(generated, tmp_path / 'w.ckpt')
    task = ClassificationTask(
        model='test_resnet', weights=str(tmp_path / 'w.ckpt'), in_channels=6, num_classes=3
    )
    loaded = task.model.state_dict()
    assert set(loaded) - set(generated.tensors) == {'fc.weight', 'fc.bias'}
    for name, tensor in generated.tensors.items():
        assert torch.equal(loaded[name], tensor), name


def test_timm_reads_safetensors(generated: Generated, tmp_path: Path) -> None:
    export(generated, tmp_path / 'w.safetensors')
    model = timm.create_model(
        'test_resnet', num_classes=0, in_chans=6, checkpoint_path=str(tmp_path / 'w.safetensors')
    )
    assert digest(model.state_dict()) == digest(generated.tensors)


def test_a_checkpoint_is_data(generated: Generated, tmp_path: Path) -> None:
    export(generated, tmp_path / 'w.ckpt')
    torch.load(tmp_path / 'w.ckpt', weights_only=True)


@pytest.mark.parametrize('name', ['w.pth', 'w', 'w.safetensors.gz', 'w.CKPT'])
def test_unknown_suffix(generated: Generated, tmp_path: Path, name: str) -> None:
    with pytest.raises(CacheError, match=f"{name}'.* must be one of .safetensors, .ckpt"):
        export(generated, tmp_path / name)
    assert list(tmp_path.glob('w*')) == []


@pytest.mark.parametrize('suffix', ['safetensors', 'ckpt'])
def test_a_place_that_cannot_be_written(generated: Generated, tmp_path: Path, suffix: str) -> None:
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(CacheError, match='cannot write'):
        export(generated, tmp_path / 'file' / f'w.{suffix}')
    (tmp_path / f'folder.{suffix}').mkdir()
    with pytest.raises(CacheError, match='cannot write'):
        export(generated, tmp_path / f'folder.{suffix}')
    assert list(tmp_path.glob('*.part')) == []


@pytest.mark.parametrize('suffix', ['safetensors', 'ckpt'])
def test_others_may_read_what_any_file_lets_them(
    generated: Generated, tmp_path: Path, suffix: str
) -> None:
    (tmp_path / 'plain').touch()
    export(generated, tmp_path / f'w.{suffix}')
    assert (tmp_path / f'w.{suffix}').stat().st_mode == (tmp_path / 'plain').stat().st_mode


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
