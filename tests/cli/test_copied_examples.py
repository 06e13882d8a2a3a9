"""``torchgeo-geosane examples``, out of a built wheel that is installed somewhere, and out of a clone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from torchgeo_geosane.cli import examples, main
from torchgeo_geosane.errors import CacheError

ROOT = Path(__file__).parents[2]
MAIN = 'import sys; from torchgeo_geosane.cli import main; sys.exit(main())'


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def values(node: object) -> Iterator[object]:
    if isinstance(node, dict):
        for each in node.values():
            yield from values(each)
    elif isinstance(node, list):
        for each in node:
            yield from values(each)
    else:
        yield node


@pytest.fixture(scope='module')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed, without any network."""
    folder = tmp_path_factory.mktemp('wheel')
    pip = [sys.executable, '-m', 'pip', '-q', '--no-input', '--disable-pip-version-check']
    offline = ['--no-deps', '--no-index']
    wheel = [*pip, 'wheel', *offline, '--no-build-isolation', '--wheel-dir', folder, ROOT]
    subprocess.run(wheel, check=True)
    (built,) = folder.glob('*.whl')
    assert built.stat().st_size < 25e6
    subprocess.run([*pip, 'install', *offline, '--target', folder / 'lib', built], check=True)
    return folder / 'lib'


def test_the_wheel_alone_is_enough(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {'PYTHONPATH': str(installed)}
    command = [sys.executable, '-c', MAIN, 'examples', '--to', 'my first/steps']
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert "cd 'my first/steps'" in done.stdout
    folder = tmp_path / 'my first' / 'steps'
    assert [path.name for path in folder.iterdir()] == ['examples']
    assert contents(folder / 'examples') == contents(ROOT / 'examples')
    assert not list(folder.rglob('__pycache__'))
    for config in folder.rglob('*.yaml'):
        for value in values(yaml.safe_load(config.read_text())):
            if isinstance(value, str) and value.startswith('examples/'):
                assert list(folder.glob(value)), f'{config}: {value}'


def test_the_wheel_states_its_licences_and_holds_no_litter(installed: Path) -> None:
    shipped = installed / 'torchgeo_geosane' / '_examples'
    for scene in (shipped / 'data').iterdir():
        assert 'icence' in (scene / 'README.md').read_text()
    (metadata,) = installed.glob('torchgeo_geosane-*.dist-info/METADATA')
    lines = metadata.read_text().splitlines()
    for field in ('License-Expression', 'Project-URL', 'Author', 'Keywords', 'Requires-Python'):
        assert any(line.startswith(f'{field}: ') for line in lines), field
    assert not (installed / 'tests').exists()


def test_an_empty_folder_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(['examples', '--to', '.']) == 0
    assert Path('examples', 'quickstart.yaml').is_file()  # The folder one is in is still the same.
    assert '--config examples/quickstart.yaml' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['notes.txt', 'examples/quickstart.yaml'])
def test_what_is_there_stays(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / 'here' / name
    mine.parent.mkdir(parents=True)
    mine.write_text('mine')
    assert main(['examples', '--to', str(tmp_path / 'here')]) == 2
    assert 'is not empty: name a new or empty folder with --to' in capsys.readouterr().err
    assert contents(tmp_path) == {f'here/{name}': b'mine'}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(CacheError, match='is a file: name a new or empty folder'):
        examples.copy_examples(tmp_path / 'file')
    with pytest.raises(CacheError, match='cannot write'):
        examples.copy_examples(tmp_path / 'file' / 'below')


def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        if source.suffix == '.jp2':
            raise OSError(28, 'No space left on device')
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(examples.shutil, 'copyfile', full)
    with pytest.raises(CacheError, match='No space left'):
        examples.copy_examples(tmp_path / 'new')
    assert not contents(tmp_path)
    monkeypatch.undo()
    assert examples.copy_examples(tmp_path / 'new') == len(contents(ROOT / 'examples'))


def test_a_package_without_examples_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, '_PLACES', (tmp_path / '_examples',))
    with pytest.raises(CacheError, match='reinstall torchgeo-geosane'):
        examples.copy_examples(tmp_path / 'new')
    assert not (tmp_path / 'new').exists()
