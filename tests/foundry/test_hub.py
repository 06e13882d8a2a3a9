import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from torchgeo_geosane.foundry import hub
from torchgeo_geosane.foundry.errors import FoundryError
from torchgeo_geosane.foundry.foundry import is_local
from torchgeo_geosane.foundry.hub import choose_files, is_hub_name

COMMIT = '0123456789abcdef0123456789abcdef01234567'

_LOAD = """
import sys
from torchgeo_geosane.foundry.foundry import Foundry, fingerprint
for name in sys.argv[1:]:
    try:
        print(fingerprint(name), Foundry.load(name).config.d_model)
    except Exception as error:
        print(type(error).__name__, str(error).replace(chr(10), ' '))
"""


@pytest.fixture
def hub_cache(official: Path, tmp_path: Path) -> Path:
    """The Hub's cache as it is after a download of revision ``main``, also tagged ``v1``."""
    repository = tmp_path / 'hub' / 'models--somebody--foundry'
    shutil.copytree(official, repository / 'snapshots' / COMMIT)
    (repository / 'refs').mkdir()
    for reference in ('main', 'v1'):
        (repository / 'refs' / reference).write_text(COMMIT)
    return tmp_path


def load(names: list[str], cache: Path, **environment: str) -> list[str]:
    """Load in a process of its own: the Hub's client reads its settings when it is imported."""
    settings = {'HF_HOME': str(cache), 'HF_HUB_CACHE': str(cache / 'hub'), **environment}
    run = subprocess.run(
        [sys.executable, '-c', _LOAD, *names],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.splitlines()


def test_offline_cache_is_honoured_and_the_commit_is_the_identity(hub_cache: Path) -> None:
    names = ['somebody/foundry', 'somebody/foundry@v1', f'somebody/foundry@{COMMIT}']
    *found, missing = load([*names, 'somebody/else'], hub_cache, HF_HUB_OFFLINE='1')
    assert found == [f'somebody/foundry@{COMMIT} 64'] * 3
    assert missing.startswith("FoundryError the foundry 'somebody/else' is no path here")
    assert 'foundry=embedded' in missing


def test_no_network(hub_cache: Path) -> None:
    # Nothing listens there: the connection is refused at once.
    nowhere = {'HF_ENDPOINT': 'http://127.0.0.1:9', 'HF_HUB_OFFLINE': '0'}
    (told,) = load(['somebody/foundry@v2'], hub_cache, **nowhere)
    assert told.startswith("FoundryError the foundry 'somebody/foundry@v2' is no path here")


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('HSG-AIML/GeoSANE', True),
        ('HSG-AIML/GeoSANE@v1', True),
        ('owner/name@refs/pr/1', True),
        ('embedded', False),
        ('/a/path', False),
        ('a/b/c', False),
        ('', False),
    ],
)
def test_hub_names(name: str, expected: bool) -> None:
    assert is_hub_name(name) == expected


PARAMS = 'params.json'


@pytest.mark.parametrize(
    ('there', 'chosen'),
    [
        # Without the optimizer where there is such a file.
        ([PARAMS, 'c_1/state.pt', 'model.safetensors', 'README.md'], ['model.safetensors', PARAMS]),
        # Of several checkpoints the last.
        ([PARAMS, 'c_1/state.pt', 'c_2/state.pt'], ['c_2/state.pt', PARAMS]),
        (
            ['foundry/params.json', 'foundry/ae.safetensors'],
            ['foundry/ae.safetensors', 'foundry/params.json'],
        ),
        (['foundry.safetensors'], ['foundry.safetensors']),
    ],
)
def test_what_is_fetched(there: list[str], chosen: list[str]) -> None:
    assert choose_files('owner/name', there) == chosen


@pytest.mark.parametrize('there', [[], ['README.md', 'params.json', 'weights.bin']])
def test_no_foundry_among_what_is_there(there: list[str]) -> None:
    with pytest.raises(FoundryError, match=r"'owner/name' holds no foundry.*it holds") as told:
        choose_files('owner/name', there)
    assert all(file in str(told.value) for file in there)


def test_the_hub_is_asked_and_its_answer_said(
    official: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = {'checkpoint_000000/state.pt': 3_600_000_000, 'params.json': 900, 'README.md': 50}
    monkeypatch.setattr(hub, 'find_snapshot', lambda name: None)
    monkeypatch.setattr(hub, '_ask', lambda repository, revision: files)
    fetched = []

    def fetch(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        fetched.append((repository, revision, allow_patterns))
        return str(official)

    monkeypatch.setattr('huggingface_hub.snapshot_download', fetch)
    assert hub.locate_on_hub('owner/name@v1') == official
    assert fetched == [('owner/name', 'v1', ['checkpoint_000000/state.pt', 'params.json'])]
    assert 'once: checkpoint_000000/state.pt (3.6 GB), params.json (0.0 MB)' in caplog.text


def test_what_is_here(hub_cache: Path, official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(hub_cache / 'hub'))
    assert is_local('somebody/foundry')
    assert is_local('somebody/foundry@v1')
    assert is_local('embedded')
    assert is_local(str(official))
    assert not is_local('somebody/else')
    assert not is_local('nothing')
