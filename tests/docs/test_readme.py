"""What the README says is so: its names, its commands, its Python and its YAML."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from torchgeo.trainers import SemanticSegmentationTask

from torchgeo_geosane import __version__
from torchgeo_geosane.foundry import foundry
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.checkpoint import save
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.providers.catalog import catalogue

ROOT = Path(__file__).parents[2]
README = (ROOT / 'README.md').read_text()


@pytest.fixture(scope='module')
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location('tables', ROOT / 'docs' / 'tables.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small_foundry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded foundry's place is taken by an untrained one that generates in a second."""
    config = FoundryConfig(d_model=32, nhead=2, num_layers=1, latent_dim=16, halo=0)
    path = tmp_path / 'foundry.safetensors'
    save(path, WeightAutoencoder(config), {'licence': 'MIT'})
    monkeypatch.setattr(foundry, 'EMBEDDED', path)


def blocks(language: str) -> list[str]:
    return re.findall(rf'```{language}\n(.*?)```', README, re.DOTALL)


def test_table_is_up_to_date(tables: ModuleType) -> None:
    assert tables.updated_readme(README) == README, 'run: python docs/tables.py'


def test_table_of_names_is_the_catalogue(tables: ModuleType) -> None:
    header, _, *rows = [line.split('|')[1:-1] for line in tables.names().splitlines()]
    titles = [cell.strip() for cell in header[2:]]
    named = {
        f'GeoSANE_{title}_Weights.{row[0].strip(" `")}'
        for row in rows
        for title, cell in zip(titles, row[2:], strict=True)
        if cell.strip()
    }
    assert named == {entry.name for entry in catalogue()}


def test_two_set_up_commands() -> None:
    commands = [block for block in blocks('bash') if block.startswith('python3 -m venv')]
    assert len(commands) == 2
    assert all(command.count('\n') == 1 for command in commands)
    quickstart, tests = commands
    assert quickstart.endswith('torchgeo-geosane fit --config examples/quickstart.yaml\n')
    assert (ROOT / 'examples' / 'quickstart.yaml').is_file()
    assert tests.endswith('python -m pytest -n 2\n')
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    for command in commands:
        extra = re.search(r'"\.\[(\w+)\]"', command)
        assert extra is not None
        assert extra[1] in project['optional-dependencies']


@pytest.mark.usefixtures('small_foundry')
def test_python_runs() -> None:
    (code,) = blocks('python')
    names: dict[str, object] = {}
    exec(code, names)
    assert isinstance(names['task'], SemanticSegmentationTask)
    assert names['state_dict']


@pytest.mark.usefixtures('small_foundry')
def test_yaml_builds_the_task() -> None:
    (text,) = blocks('yaml')
    model = yaml.safe_load(text)['model']
    assert model['class_path'] == 'torchgeo.trainers.SemanticSegmentationTask'
    task = SemanticSegmentationTask(**model['init_args'])
    assert task.hparams['in_channels'] == 13


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    newest = re.search(r'^## (\S+)$', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert newest is not None
    assert project['version'] == __version__ == citation['version'] == newest[1]
    assert citation['license'] == project['license']


def test_it_reads_well_outside_of_the_repository() -> None:
    """Links lead to files that are there; pictures say in words what they show."""
    for mark, text, target in re.findall(r'(!?)\[([^\]]+)\]\(([^)#]+)[^)]*\)', README):
        assert target.startswith('https://') or (ROOT / target).exists(), target
        assert not mark or len(text.split()) > 5, target
    assert 'Links without an address' in README
