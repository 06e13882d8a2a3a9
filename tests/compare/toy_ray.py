"""What the package uses of Ray Tune, as its documentation describes it, in this process."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey

LOST = 1  # Number of the trial whose node is lost.
UNBEGUN = 3  # Number of the trial before which Ctrl-C comes.
asked: dict[str, Any] = {}
tune = sys.modules[__name__]

Trainable = Callable[[dict[str, Any]], dict[str, Any]]


def lost(comparison: ComparisonConfig) -> list[RunKey]:
    keys = list(comparison.runs())
    return [keys[LOST], keys[UNBEGUN]]


class ResultGrid:
    """As Ray's: it has a length and numbers, and cannot be iterated by its type."""

    def __init__(self, results: list[SimpleNamespace]) -> None:
        self._results = results

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, number: int) -> SimpleNamespace:
        return self._results[number]


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

    def fit(self) -> ResultGrid:
        ((name, grid),) = self._space.items()
        return ResultGrid(
            [
                self._result(number, {name: value})
                for number, value in enumerate(grid['grid_search'])
            ]
        )

    def _result(self, number: int, config: dict[str, Any]) -> SimpleNamespace:
        if number == LOST:
            error = 'node lost\n\tin a few lines'
            return SimpleNamespace(error=error, metrics={'config': config})
        if number == UNBEGUN:
            return SimpleNamespace(error=None, metrics=None)
        return SimpleNamespace(error=None, metrics=self._trainable(config) | {'config': config})
