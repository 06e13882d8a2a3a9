import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from torchgeo_geosane.foundry.hub import is_hub_name

COMMIT = '0123456789abcdef0123456789abcdef01234567'

_LOAD = """
import sys
from torchgeo_geosane.foundry.foundry import Foundry, fingerprint
try:
    print(fingerprint(sys.argv[1]), Foundry.load(sys.argv[1]).config.d_model)
except Exception as error:
    print(type(error).__name__, error)
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


def load(name: str, cache: Path, **environment: str) -> str:
    """Load in a process of its own: the Hub's client reads its settings when it is imported."""
    environment = {
        **os.environ,
        'HF_HOME': str(cache),
        'HF_HUB_CACHE': str(cache / 'hub'),
    } | environment
    command = [sys.executable, '-c', _LOAD, name]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.parametrize('revision', ['', '@v1', f'@{COMMIT}'])
def test_offline_cache_is_honoured_and_the_commit_is_the_identity(
    revision: str, hub_cache: Path
) -> None:
    told = load('somebody/foundry' + revision, hub_cache, HF_HUB_OFFLINE='1')
    assert told == f'somebody/foundry@{COMMIT} 64'


def test_offline_and_not_in_the_cache(hub_cache: Path) -> None:
    told = load('somebody/else', hub_cache, HF_HUB_OFFLINE='1')
    assert told.startswith("FoundryError the foundry 'somebody/else' is no path here")
    assert 'foundry=embedded' in told


def test_no_network(hub_cache: Path) -> None:
    # Nothing listens there: the connection is refused at once.
    told = load(
        'somebody/foundry@v2', hub_cache, HF_ENDPOINT='http://127.0.0.1:9', HF_HUB_OFFLINE='0'
    )
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
