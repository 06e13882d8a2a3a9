import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from torchgeo_geosane.cli import main

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that collects a real package and a folder with a model and a text."""
    folder = tmp_path / 'mine'
    folder.mkdir()
    save_file({'fc.weight': torch.randn(40, 40)}, folder / 'sar_net.safetensors')
    (folder / 'text.pth').write_text('text')
    path = tmp_path / 'collect.yaml'
    content = {
        'sources': {
            'packages': ['ukis-csmask'],
            'folders': [{'path': str(folder), 'licence': 'CC-BY-4.0', 'task': 'despeckling'}],
        },
        'rules': {'unknown_licences': 'keep'},
        'tokens': {'size': 225, 'tokenisation': 'matrices'},
        'progress': False,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_collect_and_again(config: Path, tmp_path: Path, capsys: Capture) -> None:
    first, second = tmp_path / 'first.jsonl', tmp_path / 'second.jsonl'
    assert main(['collect', '--config', str(config), '--output', str(first)]) == 0
    printed = capsys.readouterr().out
    assert 'ukis-csmask/6b_l1c' in printed
    assert f'5 models, 342,824 tokens: {first}' in printed
    lines = [json.loads(line) for line in first.read_text().splitlines()]
    assert len(lines) == 6
    assert lines[0]['tokens'] == 85_706
    assert lines[4] | {'sha256': '', 'tensors': ''} == {
        'name': 'folder/mine/sar_net.safetensors',
        'split': 'trained',
        'package': str(tmp_path / 'mine'),
        'version': '',
        'file': 'sar_net.safetensors',
        'sha256': '',
        'parameters': 1600,
        'tokens': 8,
        'modality': 'sar',
        'task': 'despeckling',
        'licence': 'CC-BY-4.0',
        'tensors': '',
        'lineage': 'folder/mine/sar_net.safetensors',
    }
    left_out = printed[printed.index('left out') :]
    assert 'folder/mine/text.pth' in left_out
    assert 'not a readable file of weights' in left_out

    options = ['--tokens.size=225', '--tokens.tokenisation=matrices', '--progress=false']
    arguments = ['collect', '--manifest', str(first), '--output', str(second), *options]
    assert main(arguments) == 0
    assert second.read_text() == first.read_text()

    (tmp_path / 'mine' / 'sar_net.safetensors').unlink()
    capsys.readouterr()
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert f"1 of the models of {first} cannot be had as they were, among them 'folder/" in error


def test_mistakes_are_told(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / 'm.jsonl'
    assert main(['collect', '--output', str(out)]) == 2
    assert 'sources' in capsys.readouterr().err
    assert main(['collect', '--sources.packages=[ukis]', '--output', str(out)]) == 2
    assert "did you mean 'ukis-csmask'" in capsys.readouterr().err
    assert not out.exists()


def test_the_example_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source of the page on collections; what it would fetch is not fetched here."""
    from torchgeo_geosane.collection.sources import Sources

    asked = []
    monkeypatch.setattr(Sources, 'models', lambda self: asked.append(self) or [])
    example = ROOT / 'docs' / 'collect.yaml'
    out = tmp_path / 'm.jsonl'
    assert main(['collect', '--config', str(example), '--output', str(out)]) == 0
    (sources,) = asked
    assert len(list(sources._all())) == len(sources.packages) + len(sources.folders) + 3
    assert 'Sentinel-2' in sources.hub.search
