"""GEO-Bench-2's scale: between which values each of its 19 data sets is normalised, and its groups."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Normalisation table, metrics and groups are the paper's (arXiv 2511.15658). Its package `geobenchv2`
# 0.9 states none of them, but whether a set is classified (into one class or several labels), segmented
# or searched for objects: that and the metrics agree.
_TABLE = Path(__file__).with_name('geobench2.csv')
# Its regression is scored by 1 - 0.2537951 RMSE.
_PER_RMSE = 0.2537951
# What TorchGeo's tasks, on its several versions, and this package log.
_SPELLINGS = {
    'mIoU': ('mIoU', 'AverageJaccardIndex'),
    'OA': ('OverallAccuracy', 'OA'),
    'F1': ('F1Score', 'OverallF1Score', 'F1'),
    'mAP': ('map', 'mAP'),
    'RMSE': ('RMSE',),
}


@dataclass(frozen=True)
class BenchmarkSet:
    """A data set of the benchmark.

    Attributes:
        name: As ``geobenchv2`` spells it.
        metric: ``mIoU``, ``OA``, ``F1``, ``mAP`` or ``RMSE``.
        zero: Value of the metric that becomes 0.
        one: Value that becomes 1; below ``zero`` where less is better.
        groups: Capability groups that it belongs to.
    """

    name: str
    metric: str
    zero: float
    one: float
    groups: tuple[str, ...]

    @property
    def spellings(self) -> tuple[str, ...]:
        """Names under which the metric is logged."""
        return _SPELLINGS[self.metric]

    def is_possible(self, value: float) -> bool:
        """Whether the benchmark's score of a value is from 0 to 1, as percentages are not."""
        return 0 <= (1 - _PER_RMSE * value if self.metric == 'RMSE' else value) <= 1


@cache
def benchmark_sets() -> Mapping[str, BenchmarkSet]:
    """The 19 data sets, by name."""
    with _TABLE.open(encoding='utf-8', newline='') as file:
        return {row['set']: _read(row) for row in csv.DictReader(file)}


def benchmark_groups() -> dict[str, tuple[str, ...]]:
    """The data sets of each capability group."""
    groups: dict[str, list[str]] = {}
    for each in benchmark_sets().values():
        for group in each.groups:
            groups.setdefault(group, []).append(each.name)
    return {name: tuple(sets) for name, sets in groups.items()}


def _read(row: Mapping[str, str]) -> BenchmarkSet:
    zero, one = float(row['worst']), float(row['best'])
    if row['metric'] == 'RMSE':
        zero, one = (1 - zero) / _PER_RMSE, (1 - one) / _PER_RMSE
    return BenchmarkSet(row['set'], row['metric'], zero, one, tuple(row['groups'].split()))
