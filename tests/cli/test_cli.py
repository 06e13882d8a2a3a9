import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from specs import MakeSpec
from torchgeo.trainers import RegressionTask, SemanticSegmentationTask

from torchgeo_geosane import cache
from torchgeo_geosane.cli import main
from torchgeo_geosane.export import provenance_of
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import digest, read_weights
from torchgeo_geosane.providers.catalog import catalogue, official
from torchgeo_geosane.spec import Spec

pytestmark = pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning')

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def url(make_spec: MakeSpec) -> str:
    return make_spec().url


def failure(arguments: list[str], capsys: Capture) -> str:
    """The message of a command that must fail; nothing may be on standard output."""
    capsys.readouterr()
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ''
    assert printed.err.startswith('torchgeo-geosane: error: ')
    assert printed.err.count('\n') == 1
    return printed.err


# list


def test_list(capsys: Capture) -> None:
    assert main(['list']) == 0
    ours, told, theirs = capsys.readouterr().out.split('\n\n')
    lines = ours.splitlines()
    assert lines[0].split() == ['name', 'sensor', 'channels', 'prompt', 'cached']
    rows = [line.split() for line in lines[2:]]
    assert [row[0] for row in rows] == [entry.name for entry in catalogue()]
    row = next(row for row in rows if row[0] == 'GeoSANE_EfficientNetB4_Weights.SENTINEL2_ALL')
    prompts = [f'ukis:{name}' for name in ('6b_l1c,', '6b_l2a,', '4b_l1c,', '4b_l2a')]
    assert row[1:] == ['sentinel2_all', '13', *prompts, 'no']
    # Apart, and nothing is fetched.
    assert told.startswith('By the official foundry, HSG-AIML/GeoSANE, which is fetched when')
    names = [line.split()[0] for line in theirs.splitlines()[2:]]
    assert names == [entry.name for entry in official()]


def test_list_sees_the_cache(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, foundries: dict[str, str]
) -> None:
    # A stand-in for the foundry inside the package, and a file where the cache would have it.
    monkeypatch.setattr('torchgeo_geosane.foundry.foundry.EMBEDDED', Path(foundries['dense']))
    from torchgeo_geosane.generate import identify

    spec = Spec('resnet18', 'rgb')
    path = cache.path_of(spec, identify(spec))
    path.parent.mkdir()
    path.touch()
    assert main(['list']) == 0
    cached = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert [row[0] for row in cached if row[-1] == 'yes'] == ['GeoSANE_ResNet18_Weights.RGB']


# generate


def test_generate(url: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / 'new' / 'w.safetensors'
    assert main(['generate', url, '--out', str(out)]) == 0
    assert capsys.readouterr().out == f'{out}: {url}\n'
    tensors, provenance = read_weights(out)
    assert provenance.url == url
    assert digest(tensors) == digest(generate(Spec.parse(url)).tensors)


def test_generate_completes_a_url(
    make_spec: MakeSpec, foundries: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / 'w.safetensors'
    url = f'geosane://test_resnet?foundry={foundries["dense"]}&prompt=random&sensor=sentinel2_6'
    assert main(['generate', url, '--out', str(out)]) == 0
    assert provenance_of(out).url == make_spec().url


def test_a_checkpoint_for_torchgeos_weights_argument(make_spec: MakeSpec, tmp_path: Path) -> None:
    out = tmp_path / 'w.ckpt'
    spec = make_spec('resnet18')
    assert main(['generate', spec.url, '--out', str(out)]) == 0
    generated = generate(spec).tensors
    unet = SemanticSegmentationTask(
        model='unet', backbone='resnet18', weights=str(out), in_channels=6, num_classes=2
    )
    regression = RegressionTask(model='resnet18', weights=str(out), in_channels=6, num_outputs=1)
    for module in (unet.model.encoder, regression.model):
        loaded = module.state_dict()
        for name, tensor in generated.items():
            assert torch.equal(loaded[name], tensor), name


def test_generate_does_not_overwrite(url: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / 'w.safetensors'
    out.write_text('precious')
    message = failure(['generate', url, '--out', str(out)], capsys)
    assert f'{out} exists: choose another name, or replace it with --force' in message
    assert out.read_text() == 'precious'
    assert main(['generate', url, '--out', str(out), '--force']) == 0
    assert provenance_of(out).url == url


def test_generate_a_folder(url: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / 'weights'
    assert main(['generate', url, '--out', str(out)]) == 0
    assert capsys.readouterr().out == f'{out}: {url}\n'
    assert sorted(file.name for file in out.iterdir()) == [
        *('README.md', 'config.json', 'model.safetensors')
    ]
    model = timm.create_model(f'local-dir:{out}', pretrained=True)
    assert digest(model.state_dict()) == digest(generate(Spec.parse(url)).tensors)


def test_generate_does_not_overwrite_a_folder(url: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / 'weights'
    main(['generate', url, '--out', str(out)])
    (out / 'README.md').write_text('mine')
    assert f'{out} exists' in failure(['generate', url, '--out', str(out)], capsys)
    assert (out / 'README.md').read_text() == 'mine'
    assert main(['generate', url, '--out', str(out), '--force']) == 0
    assert (out / 'README.md').read_text() != 'mine'
    (out / 'notes.txt').write_text('precious')
    message = failure(['generate', url, '--out', str(out), '--force'], capsys)
    assert f"cannot replace the folder {out}: it also holds 'notes.txt'" in message


def test_generate_for_tu_encoders(make_spec: MakeSpec, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / 'w.ckpt'
    arguments = ['--out', str(out), '--format', 'torchgeo-tu']
    assert main(['generate', make_spec('test_convnext').url, *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        'left out, because the encoder does not use them: head.norm.weight, head.norm.bias'
    ]
    SemanticSegmentationTask(
        model='unet', backbone='tu-test_convnext', weights=str(out), in_channels=6, num_classes=2
    )
    message = failure(['generate', make_spec('test_vit').url, *arguments, '--force'], capsys)
    assert "no encoder 'tu-test_vit'" in message
    assert len(cache.entries()) == 1, 'told before generating'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('GeoSANE_ResNet50_Weights.SENTINEL2', "did you mean 'GeoSANE_ResNet50_Weights.SENTINEL2_"),
        ('GeoSANE_ResNet5O_Weights.RGB', "did you mean 'GeoSANE_ResNet50_Weights.RGB"),
        ('resnet50', "unknown weights 'resnet50'"),
        ('geosane://resnet5O?sensor=rgb', "did you mean 'resnet50"),
        ('geosane://resnet50?sensor=sentinel2', "or 'sentinel2_all'?"),
        ('geosane://resnet50?sensor=rgb&prompt=none', "unknown prompt 'none'"),
        ('geosane://resnet50?sensor=rgb&foundry=none', "unknown foundry 'none'"),
        ('geosane://resnet50?sensor=rgb&seed=x', 'the seed must be an integer'),
        ('geosane://resnet50?sensor=rgb&foundry=/', 'no foundry in the folder'),
    ],
)
def test_unknown_names(name: str, message: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / 'w.safetensors'
    if 'foundry=/' in name:
        name = name.replace('foundry=/', f'foundry={tmp_path}')
    assert message in failure(['generate', name, '--out', str(out)], capsys)
    assert not out.exists()


def test_unknown_suffix(url: str, tmp_path: Path, capsys: Capture) -> None:
    message = failure(['generate', url, '--out', str(tmp_path / 'w.pth')], capsys)
    assert "cannot write 'w.pth': the suffix must be .safetensors or .ckpt" in message
    assert cache.entries() == [], 'told before generating'


# info


@pytest.mark.parametrize('name', ['w.safetensors', 'w.ckpt', 'w'])
def test_info_of_a_file(url: str, name: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / name
    main(['generate', url, '--out', str(out)])
    capsys.readouterr()
    assert main(['info', str(out)]) == 0
    text = capsys.readouterr().out
    for line in (
        f'file         {out}',
        f'spec         {url}',
        'sensor       sentinel2_6',
        "stem         conv1.0.weight, as the prompt's",
        'prompt       random, from random initialisation by timm, seed 0',
        'licence      MIT, none: random initialisation',
        'coverage     45 generated, 45 prompt',
    ):
        assert line in text
    assert main(['info', str(out), '--json']) == 0
    stated: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert stated == json.loads(provenance_of(out).to_json())
    assert len(stated['coverage']) == 90


def test_info_tells_an_adapted_stem(efficientnet: Spec, capsys: Capture) -> None:
    generate(efficientnet)
    assert main(['info', efficientnet.url]) == 0
    text = capsys.readouterr().out
    assert 'stem         conv_stem.weight, adapted from B2, B3, B4, B8, B11, B12' in text
    assert 'bands        B1, B2, B3, B4, B5, B6, B7, B8, B8A, B9, B10, B11, B12' in text
    assert '1 adapted, 412 generated' in text


def test_info_by_name(
    url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch, foundries: dict[str, str]
) -> None:
    assert f'{url} is not cached: generate it first' in failure(['info', url], capsys)
    generate(Spec.parse(url))
    assert main(['info', url]) == 0
    assert f'spec         {url}' in capsys.readouterr().out
    monkeypatch.setattr('torchgeo_geosane.foundry.foundry.EMBEDDED', Path(foundries['dense']))
    name = 'GeoSANE_ResNet18_Weights.RGB'
    assert f'{name} is not cached' in failure(['info', name], capsys)
    assert "did you mean 'GeoSANE_ResNet18_Weights.RGB" in failure(['info', name + 'X'], capsys)


def test_info_of_something_else(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / 'x.safetensors').write_text('text')
    assert 'no such file' in failure(['info', str(tmp_path / 'none.safetensors')], capsys)
    assert 'not a readable' in failure(['info', str(tmp_path / 'x.safetensors')], capsys)
    (tmp_path / 'x.ckpt').write_text('text')
    assert 'not a readable' in failure(['info', str(tmp_path / 'x.ckpt')], capsys)


# cache


def test_cache(url: str, capsys: Capture, cache_directory: Path) -> None:
    assert main(['cache', 'list']) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(cache_directory)
    generate(Spec.parse(url))
    main(['cache', 'list'])
    text = capsys.readouterr().out
    assert url in text
    assert '1.5 MB' in text
    assert main(['cache', 'clear']) == 0
    assert capsys.readouterr().out == f'1 file deleted from {cache_directory}\n'
    assert cache.entries() == []


# The command as a whole.


@pytest.mark.parametrize('arguments', [[], ['lst'], ['generate'], ['generate', 'x'], ['cache']])
def test_wrong_use(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2
    assert 'usage: torchgeo-geosane' in capsys.readouterr().err


def test_help(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as info:
        main(['--help'])
    assert info.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ('fit', 'predict', 'list', 'generate', 'info', 'cache'))


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('torchgeo_geosane.cli.commands.list_weights', interrupted)
    assert main(['list']) == 130
    assert capsys.readouterr().err == 'torchgeo-geosane: interrupted\n'


def test_the_installed_command(url: str, tmp_path: Path, cache_directory: Path) -> None:
    command = str(Path(sys.executable).with_name('torchgeo-geosane'))
    out = tmp_path / 'w.safetensors'
    done = subprocess.run(
        [command, 'generate', url, '--out', str(out)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {cache.ENVIRONMENT: str(cache_directory)},
    )
    assert (done.returncode, done.stdout) == (0, f'{out}: {url}\n')
    assert done.stderr == '', 'no bar where nobody watches'
    # A process of its own gives the same bytes.
    cache.clear()
    assert digest(read_weights(out)[0]) == digest(generate(Spec.parse(url)).tensors)
