"""The greedy soup: what it averages, and that training starts from it."""

from types import SimpleNamespace

import pytest
import torch
from specs import MakeSpec
from torch import Tensor
from toy_task import Eyes, toy_fit

from torchgeo_geosane.callbacks.judge import Judge
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.greedy_soup import GreedySoup
from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.spec import Spec


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        # Scored by the distance to 1: the best begins, what does not gain is left out.
        ([3.0, 0.0, 1.5], 0.75),
        ([1.0, 5.0, 1.0], 1.0),
        ([4.0], 4.0),
    ],
)
def test_what_stays_in(
    values: list[float], expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[float] = []

    def value(state: dict[str, Tensor]) -> float:
        return state['weight'].item()

    judge = SimpleNamespace(
        score=lambda state: -abs(value(state) - 1),
        backbone=SimpleNamespace(load=lambda state: loaded.append(value(state))),
    )
    monkeypatch.setattr(Judge, 'draw', lambda *arguments: judge)
    models = [{'weight': torch.tensor(each)} for each in values]
    soup = GreedySoup(models, Spec('test_resnet', 'rgb', ('random',)), batches=1)
    soup.on_train_start(None, None)  # type: ignore[arg-type]
    assert loaded == [expected]


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('labels', ['mask', 'label'])
def test_training_starts_from_it(labels: str, make_spec: MakeSpec) -> None:
    """Of a single prompt it is that prompt: the first step's loss tells."""
    comparison = ComparisonConfig(
        fit=toy_fit(labels),
        weights=make_spec('test_resnet', 'sentinel2_6').url,
        initialisations=('scratch', 'prompt', 'greedy_soup'),
        metric='loss',
        mode='min',
    )
    scratch, prompt, soup = (
        run(comparison, RunKey(name, 0)).curve for name in comparison.initialisations
    )
    assert soup[0] == prompt[0] != scratch[0]
    assert all(torch.equal(one, two) for one, two in zip(*Eyes.batches[1:], strict=True))
