"""The campaign in small; ``benchmarks/campaign.py`` runs it long."""

import names
import pytest


@pytest.mark.usefixtures('cache_directory')
@pytest.mark.parametrize('use', names.USES)
def test_names(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    counts = names.trial(use, 0)
    # What pathlib itself says nothing about differs between versions of Python.
    assert counts['refused'] > (0 if use == 'place of the cache' else 10)
