"""Carry a comparison out."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from torchgeo_geosane.compare.config import Comparison
from torchgeo_geosane.compare.record import RunRecord
from torchgeo_geosane.compare.schedule import Outcome, plan, run_here, run_in_processes
from torchgeo_geosane.errors import ComparisonError


def compare(
    comparison: Comparison, output: Path, jobs: int = 1, say: Callable[[str], None] = print
) -> list[RunRecord]:
    """Do all runs that have no record yet.

    Args:
        comparison: What is compared.
        output: Folder of the records (``runs``) and logs (``logs``).
        jobs: Processes at once, which share the cores; 0 for this process.
        say: Told a line for each finished run.

    Returns:
        All records, in the order of the comparison's keys.

    Raises:
        ComparisonError: If runs failed; the others are recorded.
        CacheError: If a record is damaged, or cannot be written.
    """
    planned = plan(comparison, output)
    if planned.done:
        say(f'{len(planned.done)} runs are done already: {output}')
    if planned.stale:
        say(f'{planned.stale} records were made under another configuration: run again')
    run_all = run_here if jobs == 0 else partial(run_in_processes, jobs=jobs)
    failed = []
    total = len(planned.to_do)
    for count, outcome in enumerate(run_all(comparison, planned.to_do, output), start=1):
        say(f'[{count}/{total}] {_line(outcome, comparison.metric)}')
        if outcome.record is None:
            failed.append(outcome)
    if failed:
        raise ComparisonError(
            f'{len(failed)} of {total} runs failed; the first: {failed[0].key.name}: '
            f'{failed[0].error}. Call it again to repeat only these'
        )
    return list(plan(comparison, output).done)


def summarise(records: Sequence[RunRecord], metric: str) -> list[tuple[str, ...]]:
    """Rows of a table: the setting, how many seeds, mean and standard deviation of the test."""
    groups: dict[tuple[str, str, float, bool], list[float]] = {}
    for record in records:
        setting = (record.initialisation, record.method, record.fraction, record.conditioned)
        groups.setdefault(setting, []).append(record.metrics[f'test_{metric}'])
    return [
        (
            name,
            method,
            f'{fraction:g}',
            'yes' if conditioned else 'no',
            str(len(values)),
            f'{statistics.mean(values):.3f}',
            f'{statistics.stdev(values):.3f}' if len(values) > 1 else '–',
        )
        for (name, method, fraction, conditioned), values in groups.items()
    ]


def _line(outcome: Outcome, metric: str) -> str:
    key, record = outcome.key, outcome.record
    if record is None:
        return f'{key.name}: FAILED: {outcome.error}'
    value = record.metrics[f'test_{metric}']
    return f'{key.name}: {metric} {value:.4f} ({record.seconds:.0f} s)'
