"""Which runs are still to be done, and doing them: in this process, or in several at once."""

import logging
import os
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import torch

from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey, RunRecord, read_record, write_record
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.errors import CacheError

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
    """Run in long-lived processes, which share the cores.

    A process that dies (the kernel kills what needs too much memory) takes the runs with it that
    were running; the others go on in new processes. All end where this one ends, however it does.
    """
    # What torch would take here: all cores, or as many as OMP_NUM_THREADS says.
    threads = max(1, torch.get_num_threads() // jobs)
    waiting = list(reversed(keys))
    while waiting:
        pool = ProcessPoolExecutor(jobs, get_context('spawn'), _begin, (threads,))
        running: dict[Future[Outcome], RunKey] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    future = pool.submit(run_and_record, comparison, waiting[-1], output)
                    running[future] = waiting.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    key = running[future]
                    outcome = future.result()
                    del running[future]
                    yield outcome
        except BrokenProcessPool:
            for key in running.values():
                yield Outcome(key, error='its process died: was there enough memory?')
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    """Prepare a process: it has its share of the cores, and does not outlive its parent."""
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has: else it would wait for work forever."""
    parent = parent_process()
    assert parent is not None, 'a process of the pool has a parent'
    parent.join()
    os._exit(1)


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
