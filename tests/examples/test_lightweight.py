"""The example of a small model: its prompt can be made, and its configuration fits it."""

import runpy
from pathlib import Path

import pytest
import torch
import yaml

from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.distillation import DistillationOptions
from torchgeo_geosane.compare.initialisations import INITIALISATIONS

FOLDER = Path(__file__).parents[2] / 'examples' / 'compare'


@pytest.fixture
def comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComparisonConfig:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / 'small_prompt.py'))['main']()
    written = yaml.safe_load((FOLDER / 'lightweight.yaml').read_text())
    del written['output']
    written['distillation'] = DistillationOptions(**written['distillation'])
    written['initialisations'] = tuple(written['initialisations'])
    return ComparisonConfig(**written)


def test_the_prompt_is_the_pruned_model(comparison: ComparisonConfig) -> None:
    prompt, pruned, selected = (
        INITIALISATIONS[name].make(comparison.material, 0).tensors
        for name in ('prompt', 'pruned', 'weight_selection')
    )
    assert prompt is not None
    assert pruned is not None
    assert selected is not None
    assert prompt.keys() == pruned.keys() == selected.keys()
    assert all(torch.equal(prompt[name], pruned[name]) for name in pruned)
    assert any(not torch.equal(selected[name], pruned[name]) for name in pruned)
