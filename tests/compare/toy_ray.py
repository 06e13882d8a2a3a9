"""What the package uses of Ray Tune, as its documentation describes it, in this process."""

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey

LOST = 1  # Number of the trial whose node is lost.
asked: dict[str, Any] = {}
tune = sys.modules[__name__]

Trainable = Callable[[dict[str, Any]], dict[str, Any]]


def lost(comparison: ComparisonConfig) -> RunKey:
    return list(comparison.runs())[LOST]


def with_resources(trainable: Trainable, resources: dict[str, float]) -> Trainable:
    asked['resources'] = resources
    return trainable


def grid_search(values: list[Any]) -> dict[str, list[Any]]:
    return {'grid_search': values}


def TuneConfig(max_concurrent_trials: int | None) -> None:  # noqa: N802
    asked['max_concurrent_trials'] = max_concurrent_trials


class Tuner:
    """Runs every trial of a grid."""

    def __init__(
        self, trainable: Trainable, *, param_space: dict[str, Any], tune_config: None
    ) -> None:
        self._trainable, self._space = trainable, param_space

    def fit(self) -> Iterator[SimpleNamespace]:
        ((name, grid),) = self._space.items()
        for number, value in enumerate(grid['grid_search']):
            config = {name: value}
            if number == LOST:
                yield SimpleNamespace(config=config, error='node lost', metrics=None)
            else:
                yield SimpleNamespace(config=config, error=None, metrics=self._trainable(config))
