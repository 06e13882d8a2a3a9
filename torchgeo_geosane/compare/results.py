"""From records to results: values of each initialisation, and comparisons seed by seed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torchgeo_geosane.compare.record import METHODS, Method, Mode, RunKey, RunRecord
from torchgeo_geosane.compare.statistics import CONFIDENCE, Difference, Mean, holm
from torchgeo_geosane.errors import SpecError, did_you_mean

Outcome = Literal['better', 'worse', 'cannot be told apart']

REFERENCES = ('scratch', 'prompt', 'pruned', 'distilled')


@dataclass(frozen=True)
class Setting:
    """What the runs that are compared with each other have in common.

    Attributes:
        fraction: Of the training data.
        method: Which weights are trained.
        conditioned: Whether BatchNorm is conditioned on the data before training.
    """

    fraction: float
    method: Method
    conditioned: bool

    @classmethod
    def of(cls, key: RunKey) -> 'Setting':
        """The setting of a run."""
        return cls(key.fraction, key.method, key.conditioned)

    @property
    def title(self) -> str:
        """For a person to read."""
        method = {'finetune': 'full finetuning', 'linear_probe': 'linear probe'}[self.method]
        share = '' if self.fraction == 1 else f'{100 * self.fraction:g} % of '
        conditioned = ', BatchNorm conditioned' if self.conditioned else ''
        return f'{method}, {share or "all "}training data{conditioned}'

    @property
    def rank(self) -> tuple[int, float, bool]:
        """Settings are shown in this order: the whole data and full finetuning first."""
        return METHODS.index(self.method), -self.fraction, self.conditioned


@dataclass(frozen=True)
class Comparison:
    """One initialisation against another in one setting.

    Attributes:
        setting: What both have in common.
        first: The initialisation asked about.
        second: The one it is compared with.
        difference: First minus second (the other way round where less is better): positive where
            the first is better.
        family: How many initialisations are compared with this ``second`` in this setting.
        p_adjusted: The difference's p-value, adjusted for that number (Holm).
    """

    setting: Setting
    first: str
    second: str
    difference: Difference
    family: int = 1
    p_adjusted: float = 1.0

    @property
    def decidable(self) -> bool:
        """Whether so few pairs could have told any difference from chance."""
        smallest = 2.0 ** (1 - len(self.difference.by_seed))
        return smallest * self.family <= 1 - CONFIDENCE

    @property
    def outcome(self) -> Outcome:
        """Better or worse where interval and adjusted p-value agree that the mean is not zero."""
        mean = self.difference.mean
        if self.p_adjusted > 1 - CONFIDENCE or not (mean.low > 0 or mean.high < 0):
            return 'cannot be told apart'
        return 'better' if mean.mean > 0 else 'worse'


@dataclass(frozen=True)
class Results:
    """What the runs of a comparison say.

    Attributes:
        metric: Which metric of the test.
        mode: Whether more (``max``) or less (``min``) of it is better.
        initialisations: In the order of their first record.
        settings: The most telling first.
        values: The metric, by setting, initialisation and seed.
        comparisons: Every initialisation against every reference, in every setting.
        lacking: Runs without a usable value, and why.
    """

    metric: str
    mode: Mode
    initialisations: tuple[str, ...]
    settings: tuple[Setting, ...]
    values: Mapping[tuple[Setting, str], Mapping[int, float]]
    comparisons: tuple[Comparison, ...]
    lacking: Mapping[RunKey, str]

    @classmethod
    def of(
        cls,
        records: Sequence[RunRecord],
        metric: str,
        mode: Mode = 'max',
        references: Sequence[str] = REFERENCES,
        planned: Iterable[RunKey] = (),
        failures: Mapping[RunKey, str] | None = None,
    ) -> 'Results':
        """Compare.

        Args:
            records: Of finished runs.
            metric: The metric of the test to compare by, e.g. ``test_mIoU``.
            mode: Whether more or less of it is better.
            references: Initialisations that the others are compared with; those without a record
                are left out.
            planned: All runs asked for; those without a record are named as lacking.
            failures: Runs that failed, and why.

        Raises:
            SpecError: If no record has the metric.
        """
        _check_metric(records, metric)
        lacking = dict.fromkeys(planned, 'not run') | dict(failures or {})
        values: dict[tuple[Setting, str], dict[int, float]] = {}
        for record in records:
            place = Setting.of(record), record.initialisation
            lacking.pop(record.key, None)
            value = record.metrics.get(metric, math.nan)
            if math.isfinite(value):
                values.setdefault(place, {})[record.seed] = value
            else:
                lacking[record.key] = f'{metric} is {value}'
        keys = [*(record.key for record in records), *lacking]
        initialisations = tuple(dict.fromkeys(key.initialisation for key in keys))
        settings = tuple(sorted({Setting.of(key) for key in keys}, key=lambda s: s.rank))
        comparisons = [
            comparison
            for setting in settings
            for second in references
            for comparison in _adjust(
                [
                    Comparison(
                        setting, first, second, _compare(values, setting, first, second, mode)
                    )
                    for first in initialisations
                    if {(setting, first), (setting, second)} <= values.keys()
                    # Two references are compared once: the later one with the earlier.
                    and first not in references[: references.index(second) + 1]
                ]
            )
        ]
        return cls(metric, mode, initialisations, settings, values, tuple(comparisons), lacking)

    def mean(self, setting: Setting, initialisation: str) -> Mean:
        """The mean of an initialisation over its seeds."""
        return Mean.of(list(self.values.get((setting, initialisation), {}).values()))

    def find(self, setting: Setting, first: str, second: str) -> Comparison | None:
        """The comparison of two initialisations, if both have run."""
        for comparison in self.comparisons:
            if (comparison.setting, comparison.first, comparison.second) == (
                setting,
                first,
                second,
            ):
                return comparison
        return None


def _check_metric(records: Sequence[RunRecord], metric: str) -> None:
    if not records:
        raise SpecError('no run has finished: there is nothing to report')
    names = {name for record in records for name in record.metrics}
    if metric not in names:
        raise SpecError(f'no run has the metric {metric!r}' + did_you_mean(metric, names))


def _compare(
    values: Mapping[tuple[Setting, str], Mapping[int, float]],
    setting: Setting,
    first: str,
    second: str,
    mode: Mode,
) -> Difference:
    better, worse = values[setting, first], values[setting, second]
    return Difference.between(better, worse) if mode == 'max' else Difference.between(worse, better)


def _adjust(family: Sequence[Comparison]) -> list[Comparison]:
    adjusted = holm([comparison.difference.p_value for comparison in family])
    return [
        replace(comparison, family=len(family), p_adjusted=p)
        for comparison, p in zip(family, adjusted, strict=True)
    ]
