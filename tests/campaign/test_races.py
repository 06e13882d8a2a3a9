"""The campaign in small; ``benchmarks/campaign.py`` runs it long."""

from pathlib import Path

import pytest
import races
from scene import Scene


@pytest.mark.parametrize('seed', range(3))
def test_races(scene: Scene, seed: int, tmp_path: Path) -> None:
    races.trial(scene, seed, tmp_path)
