"""What tests of whole comparisons share."""

from collections.abc import Iterator

import pytest
from specs import MakeSpec
from toy_task import Eyes, toy_fit

from torchgeo_geosane.compare import schedule
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey, RunRecord


@pytest.fixture(autouse=True)
def eyes() -> Iterator[None]:
    yield
    Eyes.close()


@pytest.fixture
def config(make_spec: MakeSpec) -> ComparisonConfig:
    """Classification; the cheapest there is."""
    return ComparisonConfig(
        fit=toy_fit('label'),
        weights=make_spec('test_resnet', 'sentinel2_6').url,
        initialisations=('scratch', 'generated'),
        seeds=2,
        metric='loss',
        mode='min',
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[RunKey]:
    """Nothing is trained; the runs that would have been."""
    done: list[RunKey] = []

    def run(comparison: ComparisonConfig, key: RunKey) -> RunRecord:
        done.append(key)
        configuration = comparison.configuration(key.initialisation)
        metrics = {f'test_{comparison.metric}': float(key.seed)}
        return RunRecord(
            *(key.initialisation, key.seed, key.fraction, key.method, key.conditioned),
            metrics=metrics,
            configuration=configuration,
        )

    monkeypatch.setattr(schedule, 'run', run)
    return done
