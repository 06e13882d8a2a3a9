"""The examples of comparisons are understood, down to the weights that they name; nothing is run."""

from pathlib import Path

import pytest

from torchgeo_geosane.cli import main

FOLDER = Path(__file__).parents[2] / 'examples' / 'compare'
# Its prompt has to be made first: test_lightweight.py.
CONFIGS = sorted(path for path in FOLDER.glob('*.yaml') if path.stem != 'lightweight')


@pytest.mark.parametrize('config', CONFIGS, ids=lambda config: config.stem)
def test_understood(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ['--output', str(tmp_path), '--report-only']
    assert main(['compare', '--config', str(config), *options]) == 2
    assert 'no run has finished' in capsys.readouterr().err
