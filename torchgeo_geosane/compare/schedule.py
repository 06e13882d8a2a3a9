"""Which runs are still to be done, and doing them: in this process, or in several at once."""

import logging
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey, RunRecord, read_record, write_record
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.processes import DIED, in_processes

RUNS, LOGS = 'runs', 'logs'


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        key: The run.
        record: Its record; None where it failed.
        error: Why it failed, in one line.
    """

    key: RunKey
    record: RunRecord | None = None
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """What is done and what is to do.

    Attributes:
        done: Records that hold.
        to_do: Runs without one.
        stale: How many of these have a record of another configuration.
    """

    done: tuple[RunRecord, ...]
    to_do: tuple[RunKey, ...]
    stale: int


def plan(comparison: ComparisonConfig, output: Path) -> Plan:
    """Look at the records in a folder.

    Raises:
        CacheError: If one is damaged.
    """
    done, to_do, stale = [], [], 0
    for key in comparison.runs():
        path = output / RUNS / f'{key.name}.json'
        if not path.exists():
            to_do.append(key)
            continue
        record = read_record(path)
        if record.configuration == comparison.configuration(key.initialisation):
            done.append(record)
        else:
            to_do.append(key)
            stale += 1
    return Plan(tuple(done), tuple(to_do), stale)


def run_and_record(comparison: ComparisonConfig, key: RunKey, output: Path) -> Outcome:
    """Run once; what is printed goes into a log file, what goes wrong into the outcome."""
    log = output / LOGS / f'{key.name}.log'
    with _logged(log):
        try:
            record = run(comparison, key)
            write_record(output / RUNS, record)
        except Exception as error:  # One run shall not stop the others.
            traceback.print_exc()
            return Outcome(key, error=f'{type(error).__name__}: {error} (see {log})')
    return Outcome(key, record)


def run_here(
    comparison: ComparisonConfig, keys: Iterable[RunKey], output: Path
) -> Iterator[Outcome]:
    """Run one after the other in this process."""
    for key in keys:
        yield run_and_record(comparison, key, output)


def run_in_processes(
    comparison: ComparisonConfig, keys: Sequence[RunKey], output: Path, jobs: int
) -> Iterator[Outcome]:
    """Run in long-lived processes, see :func:`~torchgeo_geosane.processes.in_processes`."""
    work = partial(run_and_record, comparison, output=output)
    for key, outcome in in_processes(work, keys, jobs):
        yield outcome or Outcome(key, error=DIED)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what is printed, logged and warned of into a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open('w', encoding='utf-8')
    except OSError as error:
        raise CacheError(f'cannot write {path}: {error}') from error
    # Lightning's loggers hold the standard error of the moment in which they were imported.
    loggers = [logging.getLogger(name) for name in ('lightning.pytorch', 'lightning.fabric')]
    before = [logger.handlers for logger in loggers]
    with file, redirect_stdout(file), redirect_stderr(file), warnings.catch_warnings():
        for logger in loggers:
            logger.handlers = [logging.StreamHandler(file)]
        try:
            yield
        finally:
            for logger, handlers in zip(loggers, before, strict=True):
                logger.handlers = handlers
