"""Carry a comparison out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from torchgeo_geosane.compare.cluster import run_on_ray
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey, RunRecord, write_record
from torchgeo_geosane.compare.report import Report, write_report
from torchgeo_geosane.compare.schedule import LOGS, RUNS, Outcome, plan, run_here, run_in_processes
from torchgeo_geosane.compare.verdict import AIMS, Aim
from torchgeo_geosane.errors import ComparisonError

Backend = Literal['local', 'ray']
Runner = Callable[[ComparisonConfig, Sequence[RunKey], Path], Iterator[Outcome]]


def compare(
    comparison: ComparisonConfig,
    output: Path,
    jobs: int = 1,
    backend: Backend = 'local',
    say: Callable[[str], None] = print,
) -> list[RunRecord]:
    """Do all runs that have no record yet.

    Args:
        comparison: What is compared.
        output: Folder of the records (``runs``) and logs (``logs``).
        jobs: Processes at once, which share the cores; 0 for this process. With Ray, trials at
            once; 0 for as many as the cluster holds.
        backend: ``local``, or ``ray`` for a cluster.
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
    for record in planned.done:
        if not record.task:  # Of a version that did not note it; its configuration is this one.
            write_record(output / RUNS, _complete(comparison, record))
    if planned.stale:
        say(f'{planned.stale} records were made under another configuration: run again')
    run_all = _runner(jobs, backend)
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


def _complete(comparison: ComparisonConfig, record: RunRecord) -> RunRecord:
    return replace(record, metric=comparison.metric, mode=comparison.mode, task=comparison.task)


def _runner(jobs: int, backend: Backend) -> Runner:
    if jobs < 0:
        raise ComparisonError(f'there cannot be {jobs} runs at once: 0 or more')
    if backend == 'ray':
        return partial(run_on_ray, jobs=jobs)
    return run_here if jobs == 0 else partial(run_in_processes, jobs=jobs)


def report(comparison: ComparisonConfig, output: Path) -> Report:
    """Write the report of what has been done so far into the folder of the records.

    Raises:
        SpecError: If no run has finished.
        CacheError: If a record is damaged, or the disk refuses.
    """
    planned = plan(comparison, output)
    return write_report(
        planned.done,
        output,
        f'test_{comparison.metric}',
        mode=comparison.mode,
        references=comparison.references,
        models=comparison.models,
        # A margin in points means nothing to an error.
        aims=AIMS if comparison.mode == 'max' else [Aim(aim.against) for aim in AIMS],
        planned=comparison.runs(),
        failures={key: why for key in planned.to_do if (why := _why(key, output))},
        facts=_facts(comparison),
    )


def _why(key: RunKey, output: Path) -> str:
    """The end of the log of a run without a record; empty where it has not begun."""
    log = output / LOGS / f'{key.name}.log'
    lines = log.read_text(encoding='utf-8', errors='replace').split('\n') if log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), '')


def _facts(comparison: ComparisonConfig) -> Mapping[str, str]:
    spec = comparison.material.spec
    return {
        'Task': _describe(comparison.fit['model']),
        'Data': _describe(comparison.fit['data']),
        'Training': ', '.join(
            f'{name} {value}'
            for name, value in (comparison.fit.get('trainer') or {}).items()
            if name.startswith('max_')
        ),
        'Generated weights': comparison.weights,
        'Prompts': ', '.join(spec.prompts),
        'Foundry': spec.foundry,
        **{f'Variant {name}': weights for name, weights in comparison.variants.items()},
        **{f'Model {name}': _list(made) for name, made in comparison.models.items()},
    }


def _describe(part: Mapping[str, Any]) -> str:
    """A class and its simple arguments, in one line."""
    return f'{part["class_path"].rpartition(".")[2]}: {_list(part.get("init_args", {}))}'


def _list(arguments: Mapping[str, Any]) -> str:
    return ', '.join(f'{name} {value}' for name, value in arguments.items())


def _line(outcome: Outcome, metric: str) -> str:
    key, record = outcome.key, outcome.record
    if record is None:
        return f'{key.name}: FAILED: {outcome.error}'
    value = record.metrics[f'test_{metric}']
    return f'{key.name}: {metric} {value:.4f} ({record.seconds:.0f} s)'
