"""The campaign in small; ``benchmarks/campaign.py`` runs it long."""

from pathlib import Path

import mutations
import pytest


@pytest.mark.parametrize('kind', mutations.KINDS, ids=lambda kind: kind.name)
def test_mutations(kind: mutations.Kind, tmp_path: Path) -> None:
    counts = mutations.trial(kind, 0, tmp_path)
    assert sum(counts.values()) == 20
    assert counts['refused'] > 0, 'nothing was damaged'
