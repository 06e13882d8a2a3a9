"""Several tasks on one scale: interquartile means and paired differences by group of tasks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from torchgeo_geosane.compare.groups import ALL, Group, groups_of
from torchgeo_geosane.compare.results import REFERENCES, Setting
from torchgeo_geosane.compare.scales import Scale, ScaleName, choose_scale, scales_of
from torchgeo_geosane.compare.statistics import CONFIDENCE
from torchgeo_geosane.compare.tasks import Task
from torchgeo_geosane.errors import ComparisonError, did_you_mean

_TRIMMED = 0.25  # At either end: the interquartile mean.
_RESAMPLES = 2000
_Table = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """An interquartile mean of normalised values, or of their paired differences.

    Attributes:
        mean: Mean of the middle half of the values of all tasks and seeds.
        low: Lower end of the 95 % interval; NaN with one seed.
        high: Upper end.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: _Table) -> 'Score':
        """Estimate it.

        Seeds are drawn anew within each task. The interval is made of percentiles of the redrawn
        means: it is about the seeds, and does not shrink with the number of redraws, as their standard
        error would.

        Args:
            values: Normalised, [tasks, seeds]; or what one start has over another on each.
        """
        tasks, seeds = values.shape
        mean = float(trim_mean(values, _TRIMMED, axis=None))
        if seeds < 2:
            return cls(mean, math.nan, math.nan)
        drawn = np.random.default_rng(0).integers(seeds, size=(_RESAMPLES, tasks, seeds))
        redrawn = values[np.arange(tasks)[:, None], drawn].reshape(_RESAMPLES, -1)
        tail = 50 * (1 - CONFIDENCE)
        low, high = np.percentile(trim_mean(redrawn, _TRIMMED, axis=1), [tail, 100 - tail])
        return cls(mean, float(low), float(high))


@dataclass(frozen=True)
class Aggregate:
    """Several tasks on one scale.

    Attributes:
        tasks: What was aggregated.
        scale: Which scale.
        scales: Of each task.
        groups: All tasks first.
        seeds: How many seeds of each setting all its tasks and initialisations have.
        scores: By setting, initialisation and name of the group; initialisations best first.
        references: Initialisations that the others are compared with.
        gains: What one initialisation has over another, seed by seed of each task: by setting, both
            names, and name of the group.
        notes: What was left out.
    """

    tasks: tuple[Task, ...]
    scale: ScaleName
    scales: Mapping[str, Scale]
    groups: tuple[Group, ...]
    seeds: Mapping[Setting, int]
    scores: Mapping[Setting, Mapping[str, Mapping[str, Score]]]
    references: tuple[str, ...]
    gains: Mapping[Setting, Mapping[tuple[str, str], Mapping[str, Score]]]
    notes: tuple[str, ...]


def aggregate(
    tasks: Sequence[Task],
    scale: ScaleName | None = None,
    groups: Sequence[str] = (),
    initialisations: Sequence[str] = (),
    references: Sequence[str] = (),
) -> Aggregate:
    """Put tasks on one scale.

    Args:
        tasks: Two or more.
        scale: ``geobench2`` or ``runs``; by default the names of the tasks say.
        groups: GEO-Bench-2's by name, or one's own as ``NAME=TASK+TASK``; by default all of the
            benchmark's that two or more tasks belong to, where its scale is used.
        initialisations: Those to aggregate; by default all.
        references: Those of them that the others are compared with; by default the ones that
            ``compare`` has by default, or else the first.

    Raises:
        ComparisonError: If a task lacks an initialisation or its seeds, has no scale, or a group or a
            reference is unknown.
    """
    scale = scale or choose_scale(tasks)
    chosen = groups_of([task.name for task in tasks], groups, scale == 'geobench2')
    found = [set(task.results.settings) for task in tasks]
    settings = sorted(set.intersection(*found), key=lambda setting: setting.rank)
    if not settings:
        raise ComparisonError(
            'the tasks have no setting (share of the data, method, conditioning) in common'
        )
    notes = [
        f'Left out, because not all tasks have it: {setting.title}.'
        for setting in sorted(set.union(*found) - set(settings), key=lambda setting: setting.rank)
    ]
    starts = {setting: _starts(tasks, setting, initialisations) for setting in settings}
    places = [(setting, name) for setting in settings for name in starts[setting]]
    if scale == 'runs' and len(places) < 2:
        raise ComparisonError('the scale of the runs wants 2 or more initialisations or settings')
    scales = scales_of(tasks, scale, places)
    seeds = {setting: _seeds(tasks, setting, starts[setting]) for setting in settings}
    for setting in settings:
        kept = len(seeds[setting]) * len(tasks) * len(starts[setting])
        there = sum(len(t.results.values[setting, n]) for t in tasks for n in starts[setting])
        if there > kept:
            notes.append(
                f'{there - kept} of {there} runs with {setting.title} are left out: their seeds are not '
                'among those that every task and initialisation has.'
            )
    against = _references(starts, references)
    scores, gains = {}, {}
    for setting in settings:
        normalised = {
            name: _normalised(tasks, scales, setting, name, seeds[setting])
            for name in starts[setting]
        }
        scores[setting] = _score(normalised, chosen)
        gains[setting] = _compare(normalised, list(scores[setting]), against, chosen)
    counts = {setting: len(each) for setting, each in seeds.items()}
    return Aggregate(
        tuple(tasks), scale, scales, chosen, counts, scores, against, gains, tuple(notes)
    )


_Normalised = Mapping[str, _Table]  # Values of one initialisation by task, one a seed.


def _normalised(
    tasks: Sequence[Task],
    scales: Mapping[str, Scale],
    setting: Setting,
    name: str,
    seeds: Sequence[int],
) -> _Normalised:
    found = {}
    for task in tasks:
        values, scale = task.results.values[setting, name], scales[task.name]
        raw = np.array([values[seed] for seed in seeds])
        found[task.name] = (raw - scale.zero) / (scale.one - scale.zero)
    return found


def _score(
    normalised: Mapping[str, _Normalised], groups: Sequence[Group]
) -> dict[str, dict[str, Score]]:
    scores = {
        name: {group.name: Score.of(np.stack([values[t] for t in group.tasks])) for group in groups}
        for name, values in normalised.items()
    }
    return dict(sorted(scores.items(), key=lambda item: -item[1][ALL].mean))


def _compare(
    normalised: Mapping[str, _Normalised],
    names: Sequence[str],
    references: Sequence[str],
    groups: Sequence[Group],
) -> dict[tuple[str, str], dict[str, Score]]:
    """Every initialisation with every reference; two references once: the later with the earlier."""
    return {
        (first, second): {
            group.name: Score.of(
                np.stack([normalised[first][t] - normalised[second][t] for t in group.tasks])
            )
            for group in groups
        }
        for at, second in enumerate(references)
        for first in names
        if second in names and first not in references[: at + 1]
    }


def _references(starts: Mapping[Setting, Sequence[str]], asked: Sequence[str]) -> tuple[str, ...]:
    every = list(dict.fromkeys(name for names in starts.values() for name in names))
    for name in asked:
        if name not in every:
            raise ComparisonError(
                f'the reference {name!r} is not aggregated{did_you_mean(name, every)}'
            )
    usual = [name for name in REFERENCES if name in every]
    return tuple(dict.fromkeys(asked or usual or every[:1]))


def _starts(tasks: Sequence[Task], setting: Setting, asked: Sequence[str]) -> list[str]:
    """Initialisations of a setting, each of which every task has."""
    have = {
        task.name: [name for place, name in task.results.values if place == setting]
        for task in tasks
    }
    every = list(dict.fromkeys(name for names in have.values() for name in names))
    if not every:
        raise ComparisonError(f'no task has a usable run with {setting.title}')
    for name in asked:
        if name not in every:
            raise ComparisonError(
                f'no task has {name!r} with {setting.title}{did_you_mean(name, every)}'
            )
    for name in asked or every:
        lacking = [task for task, names in have.items() if name not in names]
        if lacking:
            shared = [each for each in every if all(each in names for names in have.values())]
            way_out = f', or take --initialisations {" ".join(shared)}' if shared else ''
            raise ComparisonError(
                f'{", ".join(lacking)} has no usable run of {name!r} with {setting.title}, which other '
                f'tasks have: run it{way_out}'
            )
    return list(dict.fromkeys(asked or every))


def _seeds(tasks: Sequence[Task], setting: Setting, starts: Sequence[str]) -> list[int]:
    """Seeds that every task and initialisation has."""
    have = [set(task.results.values[setting, name]) for task in tasks for name in starts]
    shared = sorted(set.intersection(*have))
    if not shared:
        raise ComparisonError(
            f'with {setting.title}, the tasks and initialisations have no seed in common'
        )
    return shared
