from pathlib import Path

import pytest
import timm
from specs import MakeSpec

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import ArchitectureError, CacheError
from torchgeo_geosane.export import FORMATS, check_format, export, provenance_of
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import digest

OUT = {name: f'w{form.suffix}' for name, form in FORMATS.items()}


@pytest.mark.parametrize(('form', 'name'), OUT.items())
def test_provenance_comes_back(generated: Generated, tmp_path: Path, form: str, name: str) -> None:
    path = tmp_path / 'folder' / name
    assert export(generated, path, form) == ()
    assert provenance_of(path) == generated.provenance
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ('name', 'form'),
    [('w.safetensors', 'safetensors'), ('w.ckpt', 'torchgeo'), ('w', 'folder')],
)
def test_the_suffix_says_the_format(
    generated: Generated, tmp_path: Path, name: str, form: str
) -> None:
    export(generated, tmp_path / 'by_suffix' / name)
    export(generated, tmp_path / 'by_name' / name, form)
    assert _content(tmp_path / 'by_suffix') == _content(tmp_path / 'by_name')


@pytest.mark.parametrize('form', FORMATS)
def test_same_spec_same_files(make_spec: MakeSpec, tmp_path: Path, form: str) -> None:
    fresh, hit = (generate(make_spec()) for _ in range(2))
    for number, generated in enumerate((fresh, hit, fresh)):
        export(generated, tmp_path / str(number) / f'{number}{FORMATS[form].suffix}', form)
    first, *others = (list(_content(tmp_path / str(number)).values()) for number in range(3))
    assert others == [first, first]


def test_timm_reads_safetensors(generated: Generated, tmp_path: Path) -> None:
    export(generated, tmp_path / 'w.safetensors')
    model = timm.create_model(
        'test_resnet', num_classes=0, in_chans=6, checkpoint_path=str(tmp_path / 'w.safetensors')
    )
    assert digest(model.state_dict()) == digest(generated.tensors)


@pytest.mark.parametrize(
    ('name', 'form', 'message'),
    [
        ('w.pth', None, "'w.pth': the suffix must be .safetensors or .ckpt, or none for a folder"),
        ('w.safetensors.gz', None, 'the suffix must be .safetensors or .ckpt'),
        ('w.CKPT', None, 'the suffix must be .safetensors or .ckpt'),
        ('w.ckpt', 'torchgeo-tv', "unknown format 'torchgeo-tv': did you mean 'torchgeo-tu'"),
        ('w.ckpt', 'safetensors', "in the format 'safetensors' the suffix must be .safetensors"),
        ('w', 'torchgeo-tu', "in the format 'torchgeo-tu' the suffix must be .ckpt"),
        ('w.ckpt', 'folder', 'the name of a folder cannot end in .safetensors or .ckpt'),
    ],
)
def test_names_that_cannot_be_written(
    generated: Generated,
    make_spec: MakeSpec,
    tmp_path: Path,
    name: str,
    form: str | None,
    message: str,
) -> None:
    with pytest.raises(CacheError, match=message):
        check_format(tmp_path / name, make_spec(), form)
    with pytest.raises(CacheError, match=message):
        export(generated, tmp_path / name, form)
    assert list(tmp_path.glob('w*')) == []


def test_a_folder_may_have_a_dot_in_its_name(generated: Generated, tmp_path: Path) -> None:
    export(generated, tmp_path / 'resnet50.sentinel2', 'folder')
    assert provenance_of(tmp_path / 'resnet50.sentinel2') == generated.provenance


def test_what_is_there_is_replaced(
    generated: Generated, make_spec: MakeSpec, tmp_path: Path
) -> None:
    other = generate(make_spec(seed=1))
    for form, name in OUT.items():
        export(generated, tmp_path / form / name, form)
        export(other, tmp_path / form / name, form)
        assert provenance_of(tmp_path / form / name) == other.provenance
        assert [file.name for file in (tmp_path / form).iterdir()] == [name]


@pytest.mark.parametrize('form', ['safetensors', 'torchgeo', 'torchgeo-tu'])
def test_a_place_that_cannot_be_written(generated: Generated, tmp_path: Path, form: str) -> None:
    name = OUT[form]
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(CacheError, match='cannot write'):
        export(generated, tmp_path / 'file' / name, form)
    (tmp_path / name).mkdir()
    with pytest.raises(CacheError, match='cannot write'):
        export(generated, tmp_path / name, form)
    assert list(tmp_path.glob('*.part')) == []


@pytest.mark.parametrize('name', ['w.safetensors', 'w.ckpt', 'w/config.json', 'w/README.md'])
def test_others_may_read_what_any_file_lets_them(
    generated: Generated, tmp_path: Path, name: str
) -> None:
    (tmp_path / 'plain').touch()
    export(generated, tmp_path / name.partition('/')[0])
    assert (tmp_path / name).stat().st_mode == (tmp_path / 'plain').stat().st_mode


def test_an_architecture_without_such_an_encoder_is_told_before_generating(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    with pytest.raises(ArchitectureError, match=r"no encoder 'tu-test_vit'.* write a folder"):
        check_format(tmp_path / 'w.ckpt', make_spec('test_vit'), 'torchgeo-tu')
    check_format(tmp_path / 'w.ckpt', make_spec('test_vit'), 'torchgeo')


def _content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.rglob('*')) if file.is_file()}
