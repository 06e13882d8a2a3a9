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
