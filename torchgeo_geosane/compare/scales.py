"""One scale for tasks of different metrics: 0 is poor, 1 is good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torchgeo_geosane.compare.geobench2 import BenchmarkSet, benchmark_sets
from torchgeo_geosane.compare.results import Setting
from torchgeo_geosane.compare.tasks import Task
from torchgeo_geosane.errors import ComparisonError, did_you_mean

ScaleName = Literal['geobench2', 'runs']
Places = Sequence[tuple[Setting, str]]


@dataclass(frozen=True)
class Scale:
    """A linear scale.

    Attributes:
        zero: Value of the metric that becomes 0.
        one: Value that becomes 1; below ``zero`` where less is better.
    """

    zero: float
    one: float


def choose_scale(tasks: Sequence[Task]) -> ScaleName:
    """GEO-Bench-2's where all tasks are called like its data sets, else that of the runs.

    Raises:
        ComparisonError: If only some are called so.
    """
    known = [task.name for task in tasks if task.name in benchmark_sets()]
    if known and len(known) < len(tasks):
        others = [task.name for task in tasks if task.name not in known]
        raise ComparisonError(
            f'{", ".join(known)} have a scale in GEO-Bench-2, {", ".join(others)} have none, and scales of '
            'two kinds cannot be averaged: take --scale runs, or leave out one kind'
        )
    return 'geobench2' if known else 'runs'


def scales_of(tasks: Sequence[Task], name: ScaleName, places: Places) -> Mapping[str, Scale]:
    """The scale of each task.

    Args:
        tasks: Of the aggregate.
        name: ``geobench2``, or ``runs`` for the worst and the best of the runs given.
        places: Settings and initialisations of those runs.

    Raises:
        ComparisonError: If a task is no data set of the benchmark, has another metric, or all its runs
            have one value.
    """
    make = {'geobench2': _of_benchmark, 'runs': _of_runs}[name]
    return {task.name: make(task, places) for task in tasks}


def _of_runs(task: Task, places: Places) -> Scale:
    values = _values(task, places)
    low, high = min(values), max(values)
    if low == high:
        raise ComparisonError(
            f'{task.name}: every run has {task.results.metric} {low:g}, which gives no scale; leave it out'
        )
    return Scale(low, high) if task.results.mode == 'max' else Scale(high, low)


def _of_benchmark(task: Task, places: Places) -> Scale:
    known = benchmark_sets().get(task.name)
    if known is None:
        raise ComparisonError(
            f'{task.name!r} is no data set of GEO-Bench-2{did_you_mean(task.name, benchmark_sets())}; '
            'name tasks as NAME=FOLDER, or take --scale runs'
        )
    _check_metric(task, known)
    for value in _values(task, places):
        if not known.is_possible(value):
            raise ComparisonError(
                f'{task.name}: {task.results.metric} {value:g} is not in the units of GEO-Bench-2, '
                'whose scores are from 0 to 1'
            )
    return Scale(known.zero, known.one)


def _check_metric(task: Task, known: BenchmarkSet) -> None:
    metric, mode = (
        task.results.metric.removeprefix('test_'),
        'min' if known.metric == 'RMSE' else 'max',
    )
    if metric not in known.spellings or task.results.mode != mode:
        raise ComparisonError(
            f'{task.name} was compared by {metric} ({task.results.mode}), and GEO-Bench-2 scores it by '
            f'{known.metric} ({mode}; {" or ".join(known.spellings)}): compare by that, or take --scale runs'
        )


def _values(task: Task, places: Places) -> list[float]:
    return [value for place in places for value in task.results.values[place].values()]
