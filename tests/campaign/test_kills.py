"""The campaign in small; ``benchmarks/campaign.py`` runs it long."""

from pathlib import Path

import kills
import pytest
from scene import Scene


@pytest.mark.parametrize('seed', range(60))
def test_kills(scene: Scene, seed: int, tmp_path: Path) -> None:
    kills.trial(scene, seed, tmp_path)
